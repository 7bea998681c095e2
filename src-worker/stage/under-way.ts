import { failureBody } from "../../src-protocol/failure.ts";
import type { Report } from "../control/control.ts";

/** What a runner has begun and not ended. The first thing that goes wrong ends the runner, and is told once. */
export class UnderWay {
  readonly #generation: number;
  readonly #report: (report: Report) => void;
  readonly #stop: () => void;
  readonly #works = new Set<Promise<void>>();
  #isTold = false;

  /** @param stop the runner takes nothing new */
  constructor(generation: number, report: (report: Report) => void, stop: () => void) {
    this.#generation = generation;
    this.#report = report;
    this.#stop = stop;
  }

  track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.trouble(error))
      .finally(() => this.#works.delete(tracked));
    this.#works.add(tracked);
  }

  /** Resolves when nothing is under way. */
  async quiet(): Promise<void> {
    while (this.#works.size > 0) await Promise.all(this.#works);
  }

  /** What goes wrong from now on is nobody's. */
  stopped(): void {
    this.#isTold = true;
  }

  trouble(error: unknown): void {
    if (this.#isTold) return;
    this.#stop();
    const { code, message } = failureBody(error);
    const generation = this.#generation;
    this.#report({ type: "trouble", generation, code, message: message.slice(0, 2000) });
  }
}
