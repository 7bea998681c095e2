import type { StopMessage } from "../../src-protocol/daemon-ipc.ts";
import type { Child, ChildEvents } from "./child.ts";
import { CRASH_WINDOW_MS, afterCrash } from "./restart.ts";
import type { Crash } from "./restart.ts";

/** How long a polite `stop` may take before SIGKILL. */
export const STOP_GRACE_MS = 800;
/** Nobody may be there to help, and what was wrong (a full disk) may be over. */
export const ASIDE_MS = 5 * 60_000;

export type KeptState =
  | { readonly kind: "stopped" }
  | { readonly kind: "running"; readonly pid: number | null }
  | { readonly kind: "stopping"; readonly pid: number | null }
  | { readonly kind: "restarting"; readonly crash: Crash; readonly delayMs: number }
  /** It kept failing in the same way; tried again after a while, and by `start` at once. */
  | { readonly kind: "aside"; readonly crash: Crash };

export interface KeptChildPorts {
  start(events: ChildEvents): Child;
  /** Of the process that runs now; never of one before it. */
  onMessage(message: unknown): void;
  onLine(line: string): void;
  onState(state: KeptState): void;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

/** One process that shall run while it is wanted: started again when it ends by itself. */
export class KeptChild {
  readonly #ports: KeptChildPorts;
  readonly #graceMs: number;
  #state: KeptState = { kind: "stopped" };
  #child: Child | null = null;
  #wanted = false;
  #crashes: Crash[] = [];
  #failure: { code: string; message: string } | null = null;
  #timer: NodeJS.Timeout | undefined;
  #whenStopped: (() => void)[] = [];

  constructor(ports: KeptChildPorts, graceMs = STOP_GRACE_MS) {
    this.#ports = ports;
    this.#graceMs = graceMs;
  }

  get state(): KeptState {
    return this.#state;
  }

  /** Wanted from now on. Forgets earlier crashes: somebody asked for it. */
  start(): void {
    if (this.#wanted && this.#state.kind !== "aside") return;
    if (this.#state.kind === "aside") clearTimeout(this.#timer);
    this.#wanted = true;
    this.#crashes = [];
    if (this.#state.kind === "stopped" || this.#state.kind === "aside") this.#spawn();
  }

  send(message: object): void {
    this.#child?.send(message);
  }

  /** The child has said why it is about to end. */
  failing(code: string, message: string): void {
    this.#failure = { code, message };
  }

  /** Not wanted any more: a polite `stop`, then SIGKILL. Resolves when no process is left. */
  stop(reason: string): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) {
      this.#become({ kind: "stopped" });
      return Promise.resolve();
    }
    if (this.#state.kind !== "stopping") {
      this.#become({ kind: "stopping", pid: child.pid });
      child.send({ type: "stop", reason } satisfies StopMessage);
    }
    this.#timer = setTimeout(() => child.kill("SIGKILL"), this.#graceMs);
    return new Promise((resolve) => this.#whenStopped.push(resolve));
  }

  /** Ends it at once, whatever it is doing. */
  kill(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#child?.kill("SIGKILL");
  }

  #spawn(): void {
    this.#failure = null;
    let ended = false;
    const child = this.#ports.start({
      onMessage: (message) => {
        if (this.#child === child) this.#ports.onMessage(message);
      },
      onLine: (line) => this.#ports.onLine(line),
      onExit: (code, signal) => {
        ended = true;
        this.#ended(code, signal);
      },
    });
    if (ended) return;
    this.#child = child;
    this.#become({ kind: "running", pid: child.pid });
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    clearTimeout(this.#timer);
    this.#child = null;
    if (!this.#wanted) {
      this.#become({ kind: "stopped" });
      for (const resolve of this.#whenStopped.splice(0)) resolve();
      return;
    }
    // Stopped and then wanted again before it was gone: this end is no crash.
    if (this.#state.kind === "stopping") {
      for (const resolve of this.#whenStopped.splice(0)) resolve();
      this.#spawn();
      return;
    }
    this.#crashed(code, signal);
  }

  #crashed(code: number | null, signal: NodeJS.Signals | null): void {
    const at = this.#ports.now();
    const ending = signal === null ? `exit-${code ?? "none"}` : `signal-${signal}`;
    const crash = {
      at,
      code: this.#failure?.code ?? ending,
      message: this.#failure?.message ?? `It ended unexpectedly (${ending}).`,
    };
    this.#crashes = [...this.#crashes.filter((old) => at - old.at < CRASH_WINDOW_MS), crash];
    const next = afterCrash(this.#crashes, at);
    if (next.kind === "aside") {
      this.#wanted = false;
      this.#timer = setTimeout(() => this.start(), ASIDE_MS);
      this.#become(next);
      return;
    }
    this.#become({ kind: "restarting", crash, delayMs: next.delayMs });
    if (next.delayMs === 0) this.#spawn();
    else this.#timer = setTimeout(() => this.#spawn(), next.delayMs);
  }

  #become(state: KeptState): void {
    this.#state = state;
    this.#ports.onState(state);
  }
}
