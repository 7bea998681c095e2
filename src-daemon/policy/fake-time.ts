import type { Timers } from "./timers.ts";

interface Waiting {
  /** On the monotonic clock. */
  due: number;
  fire: () => void;
}

/** Time for tests, with a wall clock apart from the clock that timers run on, as in a real computer. */
export class FakeTime implements Timers {
  #wall: number;
  #monotonic = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(start: number | string) {
    this.#wall = new Date(start).getTime();
  }

  readonly now = (): number => this.#wall;

  /** Timers that wait; a daemon at rest has none. */
  get waiting(): number {
    return this.#waiting.size;
  }

  at(moment: number, wake: () => void): () => void {
    const fire = (): void => {
      // Like node-schedule: it looks at the clock again before it calls.
      if (this.#wall < moment) entry.due = this.#monotonic + moment - this.#wall;
      else {
        this.#waiting.delete(entry);
        wake();
      }
    };
    const entry: Waiting = { due: this.#monotonic + Math.max(0, moment - this.#wall), fire };
    this.#waiting.add(entry);
    return () => void this.#waiting.delete(entry);
  }

  every(periodMs: number, tick: () => void): () => void {
    const fire = (): void => {
      entry.due += periodMs;
      tick();
    };
    const entry: Waiting = { due: this.#monotonic + periodMs, fire };
    this.#waiting.add(entry);
    return () => void this.#waiting.delete(entry);
  }

  /** Time passes; timers fire in order, and what they started is given time to finish. */
  async pass(milliseconds: number): Promise<void> {
    await settled();
    const end = this.#monotonic + milliseconds;
    for (;;) {
      const next = [...this.#waiting].sort((a, b) => a.due - b.due)[0];
      if (next === undefined || next.due > end) break;
      this.#step(next.due);
      next.fire();
      await settled();
    }
    this.#step(end);
  }

  /** The computer sleeps: the wall clock goes on, timers stand still. Also a clock that is set. */
  sleep(milliseconds: number): void {
    this.#wall += milliseconds;
  }

  #step(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }
}

/** Lets promises that need no input or output finish. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
