import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import { childEnvironment } from "../src-daemon/supervision/child.ts";
import { startOrchestrator } from "../src-orchestrator/orchestrator.ts";
import type { Orchestrator } from "../src-orchestrator/orchestrator.ts";
import { delegate, hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import { workerToDaemon } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToWorker } from "../src-protocol/daemon-ipc.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { SessionKey } from "../src-protocol/keys.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { RunState } from "../src-protocol/state.ts";

const NETWORK = "recovery";
const TEXT = Array.from(
  { length: 20_000 },
  (_, i) => `Line ${i}: the whale is ${i % 97} fathoms long.\n`,
).join("");
const WORKER = join(import.meta.dirname, "..", "src-worker", "main.ts");
const LOOK_EVERY_MS = 5;

interface Worker {
  readonly child: ChildProcess;
  readonly pid: number;
  key: SessionKey | null;
  /** Its own, over restarts. */
  readonly number: number;
}

/** The default model, trained by real workers under a real orchestrator in this process. */
export class ReplicaNetwork {
  readonly #folder: string;
  readonly #orchestrator: Orchestrator;
  readonly #replicas: number;
  #workers: Worker[] = [];
  #finished: number[] = [];

  private constructor(folder: string, orchestrator: Orchestrator, replicas: number) {
    this.#folder = folder;
    this.#orchestrator = orchestrator;
    this.#replicas = replicas;
    orchestrator.host.watch({
      changed: () => undefined,
      point: () => this.#finished.push(performance.now()),
    });
  }

  static async start(stages: number, replicas: number): Promise<ReplicaNetwork> {
    const folder = mkdtempSync(join(tmpdir(), "tah-recovery-"));
    const corpusFile = join(folder, "corpus.txt");
    writeFileSync(corpusFile, TEXT);
    const corpus = { name: "Lines", sha256: sha256(TEXT), bytes: TEXT.length };
    const orchestrator = await startOrchestrator({
      network: NETWORK,
      netuid: 0,
      folder: join(folder, "network"),
      host: "127.0.0.1",
      port: 0,
      run: planRun({ corpus, size: "default", steps: null, workers: stages, arithmetic: "fast" }),
      corpusFile,
      modelFiles: [],
      raoPerTeraflop: 1n,
      replicas,
      onBroken: (error) => {
        throw error;
      },
    });
    const network = new ReplicaNetwork(folder, orchestrator, replicas);
    for (let number = 0; number < stages * replicas; number++) network.#start(number);
    return network;
  }

  async end(): Promise<void> {
    const ended = this.#workers.map(
      ({ child }) =>
        new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve(0))),
    );
    for (const { child } of this.#workers) child.kill("SIGKILL");
    await Promise.race([Promise.all(ended), wait(5_000)]);
    await this.#orchestrator.close();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  redone(): NonNullable<RunState["redone"]> {
    return this.#orchestrator.host.view().redone ?? { byLostStages: 0, byOthers: 0 };
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

  /** As the daemon does: a new process in the same folder. */
  async replace(old: Worker): Promise<void> {
    this.#workers = this.#workers.filter((worker) => worker !== old);
    this.#start(old.number);
  }

  /** All replicas of all stages work. */
  async whole(withinMs: number): Promise<void> {
    await this.#until(
      () => this.#orchestrator.host.view().stages.every(({ replicas }) => replicas?.live === this.#replicas),
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
    return `${this.#orchestrator.host.view().recoveries}/${this.#finished.length}`;
  }

  async movedSince(moves: string, withinMs: number): Promise<void> {
    await this.#until(() => this.moves() !== moves, withinMs, "the stage did not go on");
  }

  async #until(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const until = performance.now() + withinMs;
    while (!done()) {
      if (performance.now() > until) {
        const { detail } = this.#orchestrator.host.view();
        throw new Failure("recovery-stuck", `In ${withinMs / 1000} s ${what}: ${detail}`);
      }
      await wait(LOOK_EVERY_MS);
    }
  }

  #start(number: number): void {
    const child = fork(WORKER, [], {
      env: childEnvironment(),
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const worker: Worker = { child, pid: child.pid ?? 0, key: null, number };
    this.#workers.push(worker);
    child.on("message", (raw) => {
      const message = workerToDaemon.parse(raw);
      if (message.type !== "sessionKey") return;
      worker.key = message.sessionKey;
      child.send({
        type: "start",
        network: NETWORK,
        orchestratorUrl: this.#orchestrator.url,
        access: null,
        folder: join(this.#folder, `worker-${number}`),
        localBlobs: null,
        delegation: delegate(hotkey(number), message.sessionKey, NETWORK),
        threads: 1,
        executionProvider: "cpu",
        linkHost: "127.0.0.1",
        hyperdhtOff: null,
      } satisfies DaemonToWorker);
    });
  }
}
