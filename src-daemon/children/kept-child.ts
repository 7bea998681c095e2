import type { PingMessage, PongMessage, StopMessage } from "../../src-protocol/daemon-ipc.ts";
import type { Child, ChildEvents } from "./child.ts";
import { CRASH_WINDOW_MS, afterCrash } from "./restart.ts";
import type { Crash } from "./restart.ts";

/** How long a polite `stop` may take before SIGKILL. */
export const STOP_GRACE_MS = 800;
/** A child is asked so often whether it answers, and has so long to do so, also on a busy computer. */
export const PING_EVERY_MS = 10_000;
export const DEAF_AFTER_MS = 45_000;
/** Nobody may be there to help, and what was wrong (a full disk) may be over. */
export const ASIDE_MS = 5 * 60_000;
/** Room on a disk comes and goes; to find none again costs a start. */
const ASIDE_FULL_DISK_MS = 30_000;

export function asideMs(code: string): number {
  return code === "disk-full" || code === "folder-full" ? ASIDE_FULL_DISK_MS : ASIDE_MS;
}

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
  #pulse: NodeJS.Timeout | undefined;
  #heardAt = 0;
  #lookedAt = 0;
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

  /** It must not go on as it is: ended, and started again as after any crash. */
  fail(code: string, message: string): void {
    this.failing(code, message);
    this.#child?.kill("SIGKILL");
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
        if (this.#child !== child) return;
        this.#heardAt = this.#ports.now();
        if (!isPong(message)) this.#ports.onMessage(message);
      },
      onGarbage: () => {
        if (this.#child === child)
          this.failing("child-garbage", "It sent something that is no message, so it was ended.");
      },
      onLine: (line) => this.#ports.onLine(line),
      onExit: (code, signal) => {
        ended = true;
        this.#ended(code, signal);
      },
    });
    if (ended) return;
    this.#child = child;
    this.#listenFor(child);
    this.#become({ kind: "running", pid: child.pid });
  }

  /** One that is alive and deaf (it hangs, or has lost itself in a loop) is ended, and so replaced. */
  #listenFor(child: Child): void {
    this.#heardAt = this.#lookedAt = this.#ports.now();
    this.#pulse = setInterval(() => {
      const now = this.#ports.now();
      // We slept (a closed lid): what it said meanwhile is still to be read.
      if (now - this.#lookedAt > 2 * PING_EVERY_MS) this.#heardAt = now;
      this.#lookedAt = now;
      if (now - this.#heardAt < DEAF_AFTER_MS) return child.send({ type: "ping" } satisfies PingMessage);
      const seconds = Math.round((now - this.#heardAt) / 1000);
      this.fail("child-deaf", `It did not answer for ${seconds} seconds, so it was ended.`);
    }, PING_EVERY_MS);
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
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
      this.#timer = setTimeout(() => this.start(), asideMs(crash.code));
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

function isPong(message: unknown): boolean {
  const pong: PongMessage["type"] = "pong";
  return typeof message === "object" && message !== null && "type" in message && message.type === pong;
}
