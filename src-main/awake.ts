import type { PowerSaveBlocker } from "electron";
import type { DaemonState } from "../src-protocol/state.ts";

/**
 * Keeps the system from going to sleep by itself where the daemon wants that and has no way of its own
 * (Windows). The screen may go dark: `prevent-app-suspension`, not `prevent-display-sleep`.
 */
export class AwakeBlocker {
  readonly #blocker: Pick<PowerSaveBlocker, "start" | "stop">;
  #id: number | null = null;

  constructor(blocker: Pick<PowerSaveBlocker, "start" | "stop">) {
    this.#blocker = blocker;
  }

  /** With every state; null: there is no daemon, so nothing works. */
  follow(state: Pick<DaemonState, "policy"> | null): void {
    const wanted = state !== null && state.policy.awake.wanted && state.policy.awake.held === null;
    if (wanted && this.#id === null) this.#id = this.#blocker.start("prevent-app-suspension");
    else if (!wanted && this.#id !== null) {
      this.#blocker.stop(this.#id);
      this.#id = null;
    }
  }
}
