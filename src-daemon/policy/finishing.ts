import type { DaemonState } from "../../src-protocol/state.ts";

/** Watches for the end of the step in hand while a pause waits for it. */
export class Finishing {
  readonly #state: () => Pick<DaemonState, "override" | "run" | "node">;
  readonly #done: () => void;
  #since: { at: number; step: number } | null = null;

  constructor(ports: { state: () => Pick<DaemonState, "override" | "run" | "node">; done: () => void }) {
    this.#state = ports.state;
    this.#done = ports.done;
  }

  /** The state has changed. */
  look(): void {
    const { override, run, node } = this.#state();
    if (override?.action !== "finish") {
      this.#since = null;
      return;
    }
    const step = run?.step ?? 0;
    if (this.#since?.at !== override.since) this.#since = { at: override.since, step };
    // Nothing is in hand while it gets ready.
    if (step === this.#since.step && node.phase === "training" && run !== null) return;
    this.#since = null;
    // Not within the change that is being told.
    queueMicrotask(() => this.#done());
  }
}
