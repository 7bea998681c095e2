import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import type { ModelSize } from "../src-protocol/run-size.ts";
import { childEnvironment } from "../src-daemon/children/child.ts";
import { memoryFolder, laneFolder, removeMemoryOf } from "../src-daemon/supervision/memory-folder.ts";
import { startOrchestrator } from "../src-orchestrator/orchestrator.ts";
import type { Orchestrator } from "../src-orchestrator/orchestrator.ts";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { workerToDaemon } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToWorker } from "../src-protocol/daemon-ipc.ts";
import { workerBundle } from "../scripts/daemon-bundle.ts";
import { daemonScript } from "../src-cli/daemon-script.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { LinkProxy } from "./recovery-proxy.ts";
import type { HistoryPoint, RunState } from "../src-protocol/state.ts";

const NETWORK = "recovery";
const TEXT = Array.from(
  { length: 20_000 },
  (_, i) => `Line ${i}: the whale is ${i % 97} fathoms long.\n`,
).join("");
/** What `--import` changes in it is changed in its sources. */
const WORKER_SOURCES = join(import.meta.dirname, "..", "src-worker", "main.ts");
const LIAR = join(import.meta.dirname, "recovery-liar.ts");
const LOOK_EVERY_MS = 5;
/** A second of /proc, on every Linux. */
const CLOCK_TICKS = 100;
/** For workers that join, and for those that come in their places. */
const PROXIES_AHEAD = 16;
/** Receipts wait 6 s for signatures that do not come, are stored together, and on a loaded machine are late: that is no loss. */
const RECEIPTS_WITHIN_MS = 40_000;

interface Worker {
  readonly child: ChildProcess;
  readonly pid: number;
  key: SessionKey | null;
  /** Its own, over restarts. */
  readonly number: number;
  /** Seconds of a processor until it trained; null: it does not yet, or this system does not say. */
  startSeconds: number | null;
}

const NOTHING: NonNullable<RunState["redone"]> = { byLostStages: 0, byOthers: 0 };
const DELEGATION_MS = 7 * 86_400_000;

export interface NetworkOptions {
  readonly stages: number;
  readonly replicas: number;
  readonly size: ModelSize;
  /** Left out: fast. */
  readonly arithmetic?: Arithmetic;
  /** Links pass where they can be cut and spoiled. */
  readonly isProxied?: boolean;
  /** Workers that can be made to tell a wrong digest. */
  readonly mayLie?: boolean;
  /** Whatever is waited for is given up. */
  readonly signal?: AbortSignal;
}

/** A model, trained by real workers under a real orchestrator in this process. */
export class ReplicaNetwork {
  readonly #folder: string;
  readonly spec: RunSpec;
  readonly corpus = new TextEncoder().encode(TEXT);
  readonly #replicas: number;
  #orchestrator: Orchestrator;
  #workers: Worker[] = [];
  #finished: number[] = [];
  #points: HistoryPoint[] = [];
  readonly #mayLie: boolean;
  readonly #script: string;
  #laneFolder: string | null;
  readonly #signal: AbortSignal | undefined;
  /** What was counted before all began anew, and since. */
  #redoneBefore = NOTHING;
  #redoneNow = NOTHING;
  /** Whoever joins again gets another one. */
  readonly #opened: LinkProxy[] = [];
  readonly #free: LinkProxy[] = [];
  readonly #proxies = new Map<SessionKey, LinkProxy>();
  readonly #replaced = new Set<number>();
  #startSeconds = 0;
  /** How far the wall clock was set on; ms. */
  readonly #ahead: { ms: number };

  private constructor(
    folder: string,
    spec: RunSpec,
    replicas: number,
    orchestrator: Orchestrator,
    ahead: { ms: number },
    mayLie: boolean,
    signal: AbortSignal | undefined,
  ) {
    this.#signal = signal;
    this.#mayLie = mayLie;
    const bundle = workerBundle(daemonScript());
    // Where it cannot be made the daemon starts its workers from their sources, too.
    this.#script = mayLie || !existsSync(bundle) ? WORKER_SOURCES : bundle;
    this.#ahead = ahead;
    this.#folder = folder;
    this.#laneFolder = laneFolder(folder);
    this.spec = spec;
    this.#replicas = replicas;
    this.#orchestrator = orchestrator;
    this.#watch();
  }

  static async start(options: NetworkOptions): Promise<ReplicaNetwork> {
    const { stages, replicas, size, arithmetic = "fast", isProxied, mayLie, signal } = options;
    const folder = mkdtempSync(join(tmpdir(), "tah-recovery-"));
    writeFileSync(join(folder, "corpus.txt"), TEXT);
    const corpus = { name: "Lines", sha256: sha256(TEXT), bytes: TEXT.length };
    const spec = planRun({ corpus, size, steps: null, workers: stages, arithmetic });
    const ahead = { ms: 0 };
    const orchestrator = await opened(folder, spec, replicas, 0, () => Date.now() + ahead.ms);
    const network = new ReplicaNetwork(folder, spec, replicas, orchestrator, ahead, mayLie === true, signal);
    if (isProxied === true) await network.#proxy();
    for (let number = 0; number < stages * replicas; number++) network.#start(number);
    return network;
  }

  #watch(): void {
    this.#orchestrator.host.watch({
      changed: () => {
        const now = this.#orchestrator.host.view().redone ?? NOTHING;
        // An orchestrator that starts again counts from nothing.
        if (now.byLostStages < this.#redoneNow.byLostStages || now.byOthers < this.#redoneNow.byOthers)
          this.#redoneBefore = this.redone();
        this.#redoneNow = now;
      },
      point: (point) => {
        // Said again with its held-out loss.
        const last = this.#points.at(-1);
        if (last?.step === point.step && last.at === point.at) return;
        this.#finished.push(performance.now());
        this.#points.push(point);
      },
    });
  }

  /** Everybody hears of the others at the addresses of proxies, and all that they send passes there, as between homes. */
  async #proxy(): Promise<void> {
    this.#laneFolder = null;
    const open = async (): Promise<void> => {
      const proxy = await LinkProxy.open();
      this.#opened.push(proxy);
      this.#free.push(proxy);
    };
    await Promise.all(Array.from({ length: PROXIES_AHEAD }, open));
    const { host } = this.#orchestrator;
    const join = host.join.bind(host);
    host.join = (event, connection) => {
      const proxy = this.#free.shift();
      if (proxy === undefined) throw new Error("more workers came than proxies were opened");
      void open();
      proxy.lead(event.linkAddress.port);
      this.#proxies.set(event.sessionKey, proxy);
      const linkAddress = { host: "127.0.0.1", port: proxy.port };
      join({ ...event, linkAddress, otherAddresses: [] }, connection);
    };
  }

  /** By which others reach this worker. */
  proxyOf({ key }: Worker): LinkProxy {
    const proxy = key === null ? undefined : this.#proxies.get(key);
    if (proxy === undefined) throw new Error("the links of this network pass no proxy");
    return proxy;
  }

  /** It ends, and is there again at the same address. */
  async restartOrchestrator(): Promise<void> {
    const port = Number(new URL(this.#orchestrator.url).port);
    await this.#orchestrator.close();
    this.#orchestrator = await opened(
      this.#folder,
      this.spec,
      this.#replicas,
      port,
      () => Date.now() + this.#ahead.ms,
    );
    this.#watch();
  }

  /** What a computer that slept sees when it wakes. */
  setClockOn(ms: number): void {
    this.#ahead.ms += ms;
  }

  /** When steps were finished, by `performance.now`, and what they came to. */
  get finished(): readonly number[] {
    return this.#finished;
  }

  get points(): readonly HistoryPoint[] {
    return this.#points;
  }

  async end(): Promise<void> {
    const ended = this.#workers.map(
      ({ child }) =>
        new Promise((resolve) =>
          child.exitCode === null && child.signalCode === null ? child.once("exit", resolve) : resolve(0),
        ),
    );
    for (const { child } of this.#workers) child.kill("SIGKILL");
    await Promise.race([Promise.all(ended), wait(5_000)]);
    await this.#orchestrator.close();
    for (const proxy of this.#opened) proxy.close();
    removeMemoryOf(this.#folder);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  redone(): NonNullable<RunState["redone"]> {
    const [before, now] = [this.#redoneBefore, this.#redoneNow];
    return {
      byLostStages: before.byLostStages + now.byLostStages,
      byOthers: before.byOthers + now.byOthers,
    };
  }

  get recoveries(): number {
    return this.#orchestrator.host.view().recoveries;
  }

  /**
   * Of what finished steps have counted for somebody, how much has no receipt in the network's books, and had
   * none: those of some hundred steps ago are added up and deleted. Work that was done again has one, whoever has it.
   */
  async receiptsLost(): Promise<number> {
    const { step } = this.#orchestrator.host.view();
    const until = performance.now() + RECEIPTS_WITHIN_MS;
    for (;;) {
      const row = this.#orchestrator.store.get(
        `SELECT count(*) AS lost FROM shares s WHERE s.runId = :runId AND s.step < :step AND s.isPaid = 0
           AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.runId = s.runId AND r.step = s.step AND r.stage = s.stage
             AND (lower(hex(r.worker)) = s.worker OR NOT EXISTS (SELECT 1 FROM shares o WHERE o.runId = s.runId
               AND o.step = s.step AND o.stage = s.stage AND o.worker = lower(hex(r.worker)) AND o.generation = s.generation)))`,
        { runId: this.spec.runId, step },
      );
      const lost = Number(row?.["lost"]);
      if (lost === 0 || performance.now() > until) return lost;
      await wait(100);
    }
  }

  /** The first replicas of these stages; a stage that is named twice gives two. */
  victims(stages: readonly number[]): Worker[] {
    const taken: Worker[] = [];
    for (const stage of stages) {
      const found = this.#workers.find(
        (worker) =>
          worker.key !== null &&
          this.#orchestrator.host.stageOf(worker.key) === stage &&
          !taken.includes(worker),
      );
      if (found !== undefined) taken.push(found);
    }
    return taken;
  }

  resume(workers: readonly Worker[]): void {
    for (const { child } of workers) child.kill("SIGCONT");
  }

  /** As the daemon does when its owner's rules end its work then. */
  declareEnd({ child }: Worker, inMs: number): void {
    child.send({ type: "ends", inMs } satisfies DaemonToWorker);
  }

  /** Of each stage the replicas that work. */
  get live(): readonly number[] {
    return this.#orchestrator.host.view().stages.map(({ replicas }) => replicas?.live ?? 0);
  }

  /** What the network says that it does. */
  get detail(): string {
    return this.#orchestrator.host.view().detail;
  }

  /** As the daemon does: a new process in the same folder. */
  async replace(old: Worker): Promise<void> {
    this.#workers = this.#workers.filter((worker) => worker !== old);
    this.#replaced.add(old.number);
    this.#start(old.number);
  }

  /** What processes that were started in the place of others have taken of the processors until they trained; null: this system does not say. */
  get startSeconds(): number | null {
    return process.platform === "linux" ? this.#startSeconds : null;
  }

  #trains(worker: Worker): void {
    if (worker.startSeconds !== null) return;
    worker.startSeconds = processorSeconds(worker.pid);
    if (this.#replaced.has(worker.number)) this.#startSeconds += worker.startSeconds;
  }

  /** All replicas of all stages work. */
  async whole(withinMs: number): Promise<void> {
    await this.#until(
      () => this.live.every((live) => live === this.#replicas),
      withinMs,
      "a replica did not come back",
    );
  }

  async steps(count: number, withinMs: number): Promise<void> {
    const from = this.#finished.length;
    await this.#until(() => this.#finished.length >= from + count, withinMs, "no step was finished");
  }

  stepMs(): number {
    const last = this.#finished.slice(-5);
    return ((last.at(-1) ?? 0) - (last[0] ?? 0)) / Math.max(1, last.length - 1);
  }

  /** What a loss changes when the stage goes on: work of it, or a step that was finished. */
  moves(): string {
    return `${this.recoveries}/${this.#finished.length}`;
  }

  async movedSince(moves: string, withinMs: number): Promise<void> {
    await this.#until(() => this.moves() !== moves, withinMs, "the stage did not go on");
  }

  async #until(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const until = performance.now() + withinMs;
    while (!done()) {
      if (this.#signal?.aborted === true)
        throw new Failure("recovery-stopped", `It was stopped while it waited: ${what}.`);
      if (performance.now() > until) {
        const { detail } = this.#orchestrator.host.view();
        throw new Failure("recovery-stuck", `In ${withinMs / 1000} s ${what}: ${detail}`);
      }
      await wait(LOOK_EVERY_MS);
    }
  }

  /** Anybody of the stage; null: nobody is there. */
  victim(stage: number, which: number): Worker | null {
    const here = this.#workers.filter(
      ({ key, child }) =>
        key !== null && child.exitCode === null && this.#orchestrator.host.stageOf(key) === stage,
    );
    return here[Math.floor(which * here.length)] ?? null;
  }

  #start(number: number): void {
    const child = fork(this.#script, [], {
      env: childEnvironment(),
      execArgv: this.#mayLie ? ["--import", LIAR] : [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const folder = join(this.#folder, `worker-${number}`);
    const worker: Worker = { child, pid: child.pid ?? 0, key: null, number, startSeconds: null };
    this.#workers.push(worker);
    child.on("message", (raw) => {
      const message = workerToDaemon.parse(raw);
      if (message.type === "phase" && message.phase === "training") this.#trains(worker);
      if (message.type !== "sessionKey") return;
      worker.key = message.sessionKey;
      child.send({
        type: "start",
        network: NETWORK,
        orchestratorUrl: this.#orchestrator.url,
        access: null,
        folder,
        memoryFolder: memoryFolder(folder),
        laneFolder: this.#laneFolder,
        localBlobs: null,
        // As long as the daemon's own: an hour that passes at once is within it.
        delegation: delegate(hotkey(number), message.sessionKey, NETWORK, Date.now(), DELEGATION_MS),
        threads: 1,
        memoryBytes: null,
        workersHere: 1,
        executionProvider: "cpu",
        linkHost: "127.0.0.1",
        hyperdhtOff: null,
      } satisfies DaemonToWorker);
    });
  }
}

/** Of all its threads; 0: it has ended. */
function processorSeconds(pid: number): number {
  try {
    const [, after = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
    const [user, system] = after.split(" ").slice(11, 13).map(Number);
    return ((user ?? 0) + (system ?? 0)) / CLOCK_TICKS;
  } catch {
    return 0;
  }
}

function opened(
  folder: string,
  run: RunSpec,
  replicas: number,
  port: number,
  now: () => number,
): Promise<Orchestrator> {
  return startOrchestrator({
    network: NETWORK,
    netuid: 0,
    folder: join(folder, "network"),
    host: "127.0.0.1",
    port,
    run,
    corpusFile: join(folder, "corpus.txt"),
    modelFiles: [],
    raoPerTeraflop: 1n,
    replicas,
    now,
    onBroken: (error) => {
      throw error;
    },
  });
}
