const MOST = 2;
/** Beside a longer job the time between two is nothing, and whoever stops waits for all that was given. */
const SHORT_MS = 250;

/**
 * How many jobs a compute thread has at once: short ones are given ahead, one while another is computed, so that
 * nothing waits for a word between them. `lastMs`: what the last one took; infinite: there was none.
 */
export function mostGiven(lastMs: number): number {
  return lastMs <= SHORT_MS ? MOST : 1;
}
