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
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { workerToDaemon } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToWorker, WorkerToDaemon } from "../src-protocol/daemon-ipc.ts";
import { workerBundle } from "../scripts/daemon-bundle.ts";
import { daemonScript } from "../src-cli/daemon-script.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { OrchestratorProcess } from "./recovery-orchestrator.ts";
import type { PassTold } from "./recovery-passes.ts";
import { LinkProxy } from "./recovery-proxy.ts";
import type { HostSight, Spied } from "./recovery-spy.ts";
import type { HistoryPoint, RunState } from "../src-protocol/state.ts";

const NETWORK = "recovery";
const TEXT = Array.from(
  { length: 20_000 },
  (_, i) => `Line ${i}: the whale is ${i % 97} fathoms long.\n`,
).join("");
/** What `--import` changes in it is changed in its sources. */
const WORKER_SOURCES = join(import.meta.dirname, "..", "src-worker", "main.ts");
const LIAR = join(import.meta.dirname, "recovery-liar.ts");
const PASSES = join(import.meta.dirname, "recovery-passes.ts");
const CLOCK = join(import.meta.dirname, "recovery-clock.ts");
const LOOK_EVERY_MS = 5;
/** A second of /proc, on every Linux. */
const CLOCK_TICKS = 100;
/** For workers that join, and whenever one joins again. */
const PROXIES = 128;
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
  /** Another model than the size's. */
  readonly model?: RunSpec["model"];
  /** Left out: fast. */
  readonly arithmetic?: Arithmetic;
  /** Links pass where they can be cut and spoiled. */
  readonly isProxied?: boolean;
  /** Workers that can be made to tell a wrong digest. */
  readonly mayLie?: boolean;
  /** All its processes have a wall clock that can be set on. */
  readonly maySleep?: boolean;
  /** Workers say what they compute. */
  readonly tellsPasses?: boolean;
  /** Whatever is waited for is given up. */
  readonly signal?: AbortSignal;
}

export interface Work {
  /** Steps that were finished once more. */
  readonly repeated: number;
  readonly step: number;
  /** When the newest step was finished: see `sharedNow`. */
  readonly at: number;
}

interface Pass extends Pick<PassTold, "call" | "microBatch" | "at"> {
  /** Its number. */
  readonly worker: number;
}

/** What went through its stage more often, or less, than a step takes, between two finished ones. */
export interface PassAgain extends Pick<PassTold, "stage" | "call" | "microBatch"> {
  /** The one that was finished after it. */
  readonly step: number;
  /** Beyond what the step takes. */
  readonly times: number;
  /** Who did it, once or more. */
  readonly workers: readonly number[];
}

/** What a network is made of. */
interface Made {
  readonly replicas: number;
  readonly signal: AbortSignal | undefined;
  readonly folder: string;
  readonly spec: RunSpec;
  readonly script: string;
  /** Loaded into workers before everything else. */
  readonly imports: readonly string[];
  readonly laneFolder: string | null;
  readonly proxies: ReadonlyMap<number, LinkProxy>;
  /** Says how far the wall clock is ahead; null: nobody sets it. */
  readonly clockFile: string | null;
}

/** A model, trained by real workers under a real orchestrator, in processes as the daemon starts them. */
export class ReplicaNetwork {
  readonly #made: Made;
  readonly spec: RunSpec;
  readonly corpus = new TextEncoder().encode(TEXT);
  #orchestrator: OrchestratorProcess | null = null;
  #sight: HostSight;
  #broken: string | null = null;
  #workers: Worker[] = [];
  #finished: number[] = [];
  #points: HistoryPoint[] = [];
  #newest = 0;
  #repeated = 0;
  /** What was counted before all began anew, and since. */
  #redoneBefore = NOTHING;
  #redoneNow = NOTHING;
  /** Of each stage, when compute threads were given a pass: what is told of the next step may come before the word of this one's end. */
  readonly #passes: Pass[][];
  /** When steps were finished: see `sharedNow`. */
  readonly #ends: { readonly step: number; readonly at: number }[] = [];
  /** Whoever joins again gets another one. */
  readonly #proxies = new Map<SessionKey, LinkProxy>();
  readonly #replaced = new Set<number>();
  #startSeconds = 0;
  #aheadMs = 0;
  #heardReceipts: (lost: number) => void = () => undefined;

  private constructor(made: Made) {
    this.#made = made;
    this.spec = made.spec;
    const none = Array.from({ length: made.spec.stages }, () => 0);
    this.#passes = none.map(() => []);
    this.#sight = {
      generation: 0,
      recoveries: 0,
      detail: "",
      redone: null,
      live: none,
      stageOf: {},
      working: [],
    };
  }

  static async start(options: NetworkOptions): Promise<ReplicaNetwork> {
    const { stages, replicas, size, arithmetic = "fast", signal } = options;
    const { isProxied = false, mayLie = false, maySleep = false, tellsPasses = false } = options;
    const folder = mkdtempSync(join(tmpdir(), "tah-recovery-"));
    writeFileSync(join(folder, "corpus.txt"), TEXT);
    const corpus = { name: "Lines", sha256: sha256(TEXT), bytes: TEXT.length };
    const planned = planRun({ corpus, size, steps: null, workers: stages, arithmetic });
    const bundle = workerBundle(daemonScript());
    const proxies = isProxied ? await Promise.all(Array.from({ length: PROXIES }, LinkProxy.open)) : [];
    const network = new ReplicaNetwork({
      folder,
      spec: { ...planned, ...(options.model && { model: options.model }) },
      replicas,
      signal,
      // Where it cannot be made the daemon starts its workers from their sources, too.
      script: mayLie || !existsSync(bundle) ? WORKER_SOURCES : bundle,
      imports: [mayLie ? LIAR : [], maySleep ? CLOCK : [], tellsPasses ? PASSES : []].flat(),
      // Everybody hears of the others at the addresses of proxies, and all that they send passes there, as between homes.
      laneFolder: isProxied ? null : laneFolder(folder),
      proxies: new Map(proxies.map((proxy) => [proxy.port, proxy])),
      clockFile: maySleep ? join(folder, "clock") : null,
    });
    network.#setClock(0);
    await network.#orchestrate(0);
    for (let number = 0; number < stages * replicas; number++) network.#start(number);
    return network;
  }

  async #orchestrate(port: number): Promise<void> {
    const { folder, replicas, proxies, clockFile } = this.#made;
    this.#orchestrator = await OrchestratorProcess.start({
      message: {
        type: "start",
        network: NETWORK,
        folder: join(folder, "network"),
        memoryFolder: memoryFolder(join(folder, "network")),
        host: "127.0.0.1",
        port,
        run: this.spec,
        corpusFile: join(folder, "corpus.txt"),
        modelFiles: [],
        raoPerTeraflop: "1",
        replicas,
        payouts: [],
        served: null,
      },
      imports: clockFile === null ? [] : [CLOCK],
      env: { ...this.#clockEnv(), TAH_BENCH_PROXIES: [...proxies.keys()].join() },
      onSpied: (spied) => this.#spied(spied),
      onLost: (why) => (this.#broken = why),
    });
  }

  #spied(spied: Spied): void {
    switch (spied.type) {
      case "spied": {
        this.#sight = spied;
        const now = spied.redone ?? NOTHING;
        // An orchestrator that starts again counts from nothing.
        if (now.byLostStages < this.#redoneNow.byLostStages || now.byOthers < this.#redoneNow.byOthers)
          this.#redoneBefore = this.redone();
        this.#redoneNow = now;
        return;
      }
      case "spiedPoint": {
        const { point, at } = spied;
        // Said again with its held-out loss.
        const last = this.#points.at(-1);
        if (last?.step === point.step && last.at === point.at) return;
        // One that the orchestrator was killed over is not told here; one that was lost is told again.
        if (point.step <= this.#newest) this.#repeated += 1;
        this.#newest = Math.max(this.#newest, point.step);
        this.#finished.push(performance.now());
        this.#points.push(point);
        this.#ends.push({ step: point.step, at });
        return;
      }
      case "spiedProxy": {
        const proxy = this.#made.proxies.get(spied.proxy);
        proxy?.lead(spied.port);
        if (proxy !== undefined) this.#proxies.set(spied.key, proxy);
        return;
      }
      case "spiedReceipts":
        return this.#heardReceipts(spied.lost);
    }
  }

  /** By which others reach this worker. */
  proxyOf({ key }: Worker): LinkProxy {
    const proxy = key === null ? undefined : this.#proxies.get(key);
    if (proxy === undefined) throw new Error("the links of this network pass no proxy");
    return proxy;
  }

  /** Killed, and started again at the same address. */
  async killOrchestrator(): Promise<void> {
    const old = this.#orchestrator;
    if (old === null) return;
    await old.kill();
    // Nobody sees what there is now.
    this.#sight = { ...this.#sight, live: this.#sight.live.map(() => 0), stageOf: {} };
    await this.#orchestrate(Number(new URL(old.url).port));
  }

  get #pids(): number[] {
    const pids = this.#workers.map(({ pid }) => pid);
    return this.#orchestrator === null ? pids : [this.#orchestrator.pid, ...pids];
  }

  /** As a computer that falls asleep does to all of it at once. */
  stopAll(): void {
    for (const pid of this.#pids) process.kill(pid, "SIGSTOP");
  }

  /** So long after, by the wall clock. */
  wakeAll(ms: number): void {
    this.#setClock(this.#aheadMs + ms);
    for (const pid of this.#pids) process.kill(pid, "SIGCONT");
  }

  #setClock(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    const { clockFile } = this.#made;
    if (clockFile !== null) writeFileSync(clockFile, new Uint8Array(new Float64Array([aheadMs]).buffer));
  }

  #clockEnv(): Record<string, string> {
    const { clockFile } = this.#made;
    return clockFile === null ? {} : { TAH_BENCH_CLOCK: clockFile };
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
    await this.#orchestrator?.end();
    for (const proxy of this.#made.proxies.values()) proxy.close();
    removeMemoryOf(this.#made.folder);
    rmSync(this.#made.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  redone(): NonNullable<RunState["redone"]> {
    const [before, now] = [this.#redoneBefore, this.#redoneNow];
    return {
      byLostStages: before.byLostStages + now.byLostStages,
      byOthers: before.byOthers + now.byOthers,
    };
  }

  /** Counts how often all began anew. */
  get generation(): number {
    return this.#sight.generation;
  }

  get recoveries(): number {
    return this.#sight.recoveries;
  }

  /** Where the training is. */
  get work(): Work {
    return {
      repeated: this.#repeated,
      step: this.#newest,
      at: this.#ends.at(-1)?.at ?? 0,
    };
  }

  /** What was done again since then: steps that were finished before, and of each stage passes beyond those of new steps. */
  workSince(then: Work): { readonly stepsLost: number; readonly passes: readonly number[] } {
    const now = this.work;
    const { stages, microBatches } = this.spec;
    const steps = now.step - then.step;
    return {
      stepsLost: now.repeated - then.repeated,
      // The tail goes both ways at once.
      passes: this.#passes.map((all, stage) => {
        const each = stage === stages - 1 ? microBatches : 2 * microBatches;
        return all.filter(({ at }) => at > then.at && at <= now.at).length - each * steps;
      }),
    };
  }

  /** Which passes of these stages were done again since then, or are told with a step that they are not of. */
  againSince(then: Work, stages: readonly number[]): readonly PassAgain[] {
    const ends = this.#ends.filter(({ at }) => at > then.at);
    const { microBatches } = this.spec;
    const each = Array.from({ length: microBatches }, (_, microBatch) => microBatch);
    return stages.flatMap((stage) => {
      const passes = (this.#passes[stage] ?? []).filter(({ at }) => at > then.at).sort((a, b) => a.at - b.at);
      const kinds =
        stage === this.spec.stages - 1
          ? [{ call: "tail", microBatch: null, takes: microBatches }]
          : ["forward", "backward"].flatMap((call) =>
              each.map((microBatch) => ({ call, microBatch, takes: 1 })),
            );
      return ends.flatMap(({ step, at }) => {
        const next = passes.findIndex((pass) => pass.at > at);
        const its = passes.splice(0, next === -1 ? passes.length : next);
        return kinds.flatMap(({ call, microBatch, takes }) => {
          const same = its.filter((pass) => pass.call === call && pass.microBatch === microBatch);
          const workers = [...new Set(same.map(({ worker }) => worker))];
          const times = same.length - takes;
          return times === 0 ? [] : [{ stage, call, microBatch, step, times, workers }];
        });
      });
    });
  }

  /** Shares of finished steps without a receipt; see the spy. */
  async receiptsLost(): Promise<number> {
    const until = performance.now() + RECEIPTS_WITHIN_MS;
    for (;;) {
      const heard = new Promise<number>((resolve) => (this.#heardReceipts = resolve));
      if (this.#orchestrator !== null) process.kill(this.#orchestrator.pid, "SIGUSR2");
      const lost = await heard;
      if (lost === 0 || performance.now() > until) return lost;
      await wait(100);
    }
  }

  /** The first replicas of these stages; a stage that is named twice gives two. */
  victims(stages: readonly number[]): Worker[] {
    const taken: Worker[] = [];
    for (const stage of stages) {
      const found = this.#workers.find(
        (worker) => this.#stageOf(worker) === stage && !taken.includes(worker),
      );
      if (found !== undefined) taken.push(found);
    }
    return taken;
  }

  resume(workers: readonly Worker[]): void {
    for (const { child } of workers) child.kill("SIGCONT");
  }

  #stageOf({ key }: Worker): number | null {
    return key === null ? null : (this.#sight.stageOf[key] ?? null);
  }

  /** Whether it has a part in the steps. */
  works({ key }: Worker): boolean {
    return key !== null && this.#sight.working.includes(key);
  }

  /** As the daemon does when its owner's rules end its work then. */
  declareEnd({ child }: Worker, inMs: number): void {
    child.send({ type: "ends", inMs } satisfies DaemonToWorker);
  }

  /** Of each stage the replicas that work. */
  get live(): readonly number[] {
    return this.#sight.live;
  }

  /** What the network says that it does. */
  get detail(): string {
    return this.#sight.detail;
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
      () => this.live.every((live) => live === this.#made.replicas),
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
      if (this.#made.signal?.aborted === true)
        throw new Failure("recovery-stopped", `It was stopped while it waited: ${what}.`);
      if (performance.now() > until) {
        throw new Failure("recovery-stuck", `In ${withinMs / 1000} s ${what}: ${this.detail}`);
      }
      if (this.#broken !== null)
        throw new Failure("recovery-stuck", `The orchestrator could not go on: ${this.#broken}`);
      await wait(LOOK_EVERY_MS);
    }
  }

  /** Process numbers of those who have the stage. */
  processesOf(stage: number): number[] {
    return this.#workers.filter((worker) => this.#stageOf(worker) === stage).map(({ pid }) => pid);
  }

  /** Anybody of the stage; null: nobody is there. */
  victim(stage: number, which: number): Worker | null {
    const here = this.#workers.filter(
      (worker) => worker.child.exitCode === null && this.#stageOf(worker) === stage,
    );
    return here[Math.floor(which * here.length)] ?? null;
  }

  #start(number: number): void {
    const { script, imports, laneFolder } = this.#made;
    const child = fork(script, [], {
      env: { ...childEnvironment(), ...this.#clockEnv() },
      execArgv: imports.flatMap((path) => ["--import", path]),
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const folder = join(this.#made.folder, `worker-${number}`);
    const worker: Worker = { child, pid: child.pid ?? 0, key: null, number, startSeconds: null };
    this.#workers.push(worker);
    child.on("message", (raw: PassTold | WorkerToDaemon) => {
      if (raw.type === "passTold") {
        this.#passes[raw.stage]?.push({ ...raw, worker: worker.number });
        return;
      }
      const message = workerToDaemon.parse(raw);
      if (message.type === "phase" && message.phase === "training") this.#trains(worker);
      if (message.type !== "sessionKey") return;
      worker.key = message.sessionKey;
      child.send({
        type: "start",
        network: NETWORK,
        orchestratorUrl: this.#orchestrator?.url ?? "",
        access: null,
        folder,
        memoryFolder: memoryFolder(folder),
        laneFolder,
        localBlobs: null,
        // As long as the daemon's own: an hour that passes at once is within it.
        delegation: delegate(
          hotkey(number),
          message.sessionKey,
          NETWORK,
          Date.now() + this.#aheadMs,
          DELEGATION_MS,
        ),
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
