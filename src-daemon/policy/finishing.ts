import type { DaemonState } from "../../src-protocol/state.ts";
import { isWorking } from "../../src-protocol/why.ts";

type Finished = Pick<DaemonState, "decision" | "override" | "run" | "node">;

/** Watches for the end of the step in hand while a pause waits for it. */
export class Finishing {
  readonly #state: () => Finished;
  readonly #done: () => void;
  #since: { at: number; step: number } | null = null;

  constructor(ports: { state: () => Finished; done: () => void }) {
    this.#state = ports.state;
    this.#done = ports.done;
  }

  /** The state has changed. */
  look(): void {
    const state = this.#state();
    const { override, run } = state;
    if (override?.action !== "finish") {
      this.#since = null;
      return;
    }
    const step = run?.step ?? 0;
    if (this.#since?.at !== override.since) this.#since = { at: override.since, step };
    // Nothing is in hand while it gets ready.
    if (step === this.#since.step && isWorking(state) && run !== null) return;
    this.#since = null;
    // Not within the change that is being told.
    queueMicrotask(() => this.#done());
  }
}
