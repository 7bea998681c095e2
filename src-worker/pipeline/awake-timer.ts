/** How often it looks how much time has passed. */
const LOOK_MS = 100;
/** Whoever looks so much too late stood still, and what was said to it meanwhile is still to be read. */
const STANDSTILL_MS = 1_000;

/**
 * Calls `action` after so much time in which this process ran. Where it was stopped, or the computer slept, the
 * time begins anew: answers that came meanwhile count. Gives what ends the wait.
 *
 * @param now milliseconds of a clock that nobody sets
 */
export function afterAwake(ms: number, action: () => void, now = () => performance.now()): () => void {
  let leftMs = ms;
  let lookedAt = now();
  let after: NodeJS.Immediate | undefined;
  const timer = setInterval(() => {
    const passedMs = now() - lookedAt;
    lookedAt += passedMs;
    leftMs = passedMs > STANDSTILL_MS ? ms : leftMs - passedMs;
    if (leftMs > 0) return;
    clearInterval(timer);
    // Timers run before the sockets are read.
    after = setImmediate(action);
  }, LOOK_MS).unref();
  return () => {
    clearInterval(timer);
    clearImmediate(after);
  };
}
