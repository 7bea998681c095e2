/** Time, as far as links need it: passed in, so that no test has to wait. */
export interface LinkClock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Runs `action` once, later; the result cancels it. */
  after(delayMs: number, action: () => void): () => void;
}

export const systemClock: LinkClock = {
  now: () => performance.now(),
  after(delayMs, action) {
    // A timer alone never keeps a process alive: the sockets do.
    const timer = setTimeout(action, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

interface Alarm {
  readonly at: number;
  readonly action: () => void;
}

/** A clock that stands still until it is told to move. */
export class ManualClock implements LinkClock {
  #now = 0;
  #alarms: Alarm[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const alarm = { at: this.#now + delayMs, action };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  /** Moves on, running what falls due in order; promises settle in between. */
  async advance(byMs: number): Promise<void> {
    const end = this.#now + byMs;
    await settled();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = next.at;
      const due = next;
      this.#alarms = this.#alarms.filter((alarm) => alarm !== due);
      due.action();
      await settled();
    }
    this.#now = end;
  }

  #next(end: number): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (next === undefined || alarm.at < next.at)) next = alarm;
    }
    return next;
  }
}

/** Resolves when all promise reactions that were ready have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
