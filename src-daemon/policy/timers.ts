import { scheduleJob } from "node-schedule";

export type Cancel = () => void;

/** Waiting, as a port, so that the keeper is tested without waiting. */
export interface Timers {
  /** Calls `wake` once, at `moment` (Unix ms) or soon if that is past. */
  at(moment: number, wake: () => void): Cancel;
  /** Does not keep the process alive. */
  every(periodMs: number, tick: () => void): Cancel;
}

export const systemTimers: Timers = {
  at(moment, wake) {
    const job = scheduleJob(new Date(moment), wake);
    if (job !== null) return () => void job.cancel();
    // node-schedule refuses a moment that is past by the time it looks.
    const soon = setImmediate(wake);
    return () => clearImmediate(soon);
  },
  every(periodMs, tick) {
    const timer = setInterval(tick, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};
