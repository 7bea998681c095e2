/**
 * At which steps a stage's state is put on disk. Each node chooses how often by what its disk may take, as a
 * power of two: so nodes that never spoke of it have steps in common, whatever each of them chose.
 */

/** Steps between two states on a disk, at most. */
export const LONGEST_PERIOD_STEPS = 1024;

/** The largest power of two that divides `step`, up to the longest period. */
export function roundnessOf(step: number): number {
  let power = 1;
  while (power < LONGEST_PERIOD_STEPS && step % (power * 2) === 0) power *= 2;
  return power;
}

/** Every stage's newest states, by which a node that was killed is known again. */
const NEWEST = 8;
/** And of those on disks, the last few of each period. */
const OF_A_PERIOD = 4;

/** Whether a state that a stage had at step `at` may be gone back to, when its newest is that of `newest`. */
export function isStillKnown(at: number, newest: number): boolean {
  return newest - at < NEWEST || newest - at < OF_A_PERIOD * roundnessOf(at);
}

/** Places in which all states that are still known have room, and at which `step` belongs. */
export function placesOf(step: number): number[] {
  const power = roundnessOf(step);
  let period = 0;
  while (2 ** period < power) period += 1;
  const ofPeriod = NEWEST + period * OF_A_PERIOD + ((step / power) % OF_A_PERIOD);
  return power < 2 ? [step % NEWEST] : [step % NEWEST, ofPeriod];
}
