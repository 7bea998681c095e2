const LOOK_MS = 100;
/** Shorter is no standstill: a computer may be busy for a moment. */
const LEAST_MS = 400;

export interface StandstillPorts {
  /** Milliseconds of a clock that nobody sets; and Unix milliseconds. */
  readonly now: () => number;
  readonly wall: () => number;
  /** Calls it when this process goes on after it was stopped; a system that does not tell never does. */
  readonly onContinued: (heard: () => void) => void;
}

export const SYSTEM: StandstillPorts = {
  now: () => performance.now(),
  wall: Date.now,
  onContinued: (heard) => void process.on("SIGCONT", heard),
};

/**
 * Tells when this process was stopped, or its computer slept, and goes on. A process that is only starved of
 * time is not told of: its lateness is its pace. Sleep is seen by the wall clock, which goes on meanwhile.
 */
export function watchStandstill(onStood: (ms: number) => void, { now, wall, onContinued } = SYSTEM): void {
  let [at, wallAt] = [now(), wall()];
  /** The longest time without a look, as long as it may be the one that `onContinued` is about. */
  let gap = { ms: 0, at };
  setInterval(() => {
    const [passedMs, wallMs] = [now() - at, wall() - wallAt];
    [at, wallAt] = [at + passedMs, wallAt + wallMs];
    if (passedMs >= LEAST_MS || at - gap.at > 2 * LOOK_MS) gap = { ms: passedMs, at };
    if (wallMs - passedMs >= LEAST_MS) onStood(wallMs - passedMs);
  }, LOOK_MS).unref();
  onContinued(() => {
    const ms = Math.max(now() - at, gap.ms);
    if (ms >= LEAST_MS) onStood(ms);
    gap = { ms: 0, at: now() };
  });
}
