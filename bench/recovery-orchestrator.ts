import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { childEnvironment } from "../src-daemon/children/child.ts";
import { orchestratorToDaemon } from "../src-protocol/daemon-ipc.ts";
import type { DaemonToOrchestrator } from "../src-protocol/daemon-ipc.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { Spied } from "./recovery-spy.ts";

const MAIN = join(import.meta.dirname, "..", "src-orchestrator", "main.ts");
const SPY = join(import.meta.dirname, "recovery-spy.ts");
const ENDS_WITHIN_MS = 5_000;

export interface OrchestratorStart {
  readonly message: Extract<DaemonToOrchestrator, { type: "start" }>;
  /** Loaded before everything else, after the spy. */
  readonly imports: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly onSpied: (spied: Spied) => void;
  /** It could not go on, or is gone without having been told to go. */
  readonly onLost: (why: string) => void;
}

/** An orchestrator as the daemon starts it: a process of its own. */
export class OrchestratorProcess {
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start({
    message,
    imports,
    env,
    onSpied,
    onLost,
  }: OrchestratorStart): Promise<OrchestratorProcess> {
    const child = fork(MAIN, [], {
      env: { ...childEnvironment(), ...env },
      execArgv: [SPY, ...imports].flatMap((path) => ["--import", path]),
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const url = await new Promise<string>((resolve, reject) => {
      child.on("message", (raw: Spied | { type: "other" }) => {
        if (raw.type.startsWith("spied")) return onSpied(raw as Spied);
        const told = orchestratorToDaemon.parse(raw);
        if (told.type === "listening") resolve(told.url);
        if (told.type === "failed") reject(new Failure(told.code, told.message));
        if (told.type === "failed") onLost(told.message);
      });
      child.once("exit", (code, signal) => {
        reject(new Failure("bench-failed", `The orchestrator ended with ${code ?? signal} at once.`));
        if (signal !== "SIGKILL" && code !== 0) onLost(`it ended with ${code ?? signal}`);
      });
      child.send(message);
    });
    return new OrchestratorProcess(child, url);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Nothing of it goes on when this resolves, and nothing was said to anybody. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.send({ type: "stop", reason: "the bench ends" } satisfies DaemonToOrchestrator);
    await Promise.race([ended, wait(ENDS_WITHIN_MS)]);
    await this.kill();
  }
}
