/**
 * Random bits for stochastic rounding: xorshift32 (G. Marsaglia, J. Stat. Software 8(14), 2003),
 * period 2³² − 1. It runs inside loops that take a nanosecond a value, where `randomStream` would
 * take ten times that; it keeps no secret, and one tensor is far shorter than its period.
 */
export function nextNoise(noise: number): number {
  let next = noise ^ (noise << 13);
  next ^= next >>> 17;
  return next ^ (next << 5);
}

/** The first state: never 0, from which xorshift does not move. */
export function noiseFrom(random: () => number): number {
  return (1 + Math.floor(random() * 0xff_ff_ff_ff)) | 0;
}

/** Adding and taking away 1.5·2⁵² leaves a double no room for a fraction. */
const NO_FRACTION = 1.5 * 2 ** 52;

/** The nearest integer of a value in [-127, 127], ties to even. */
export function nearestTo(value: number): number {
  return (value + NO_FRACTION - NO_FRACTION) | 0;
}

/**
 * `floor(value + u)` of a value in [-127, 127], which it does not leave. u is the middle of step
 * `noise` of the 2¹⁶ steps of [0, 1), so the mean over them is the value to 2⁻¹⁷.
 */
export function floorOf(value: number, noise: number): number {
  // Truncation is floor for what is not negative, and one instruction.
  return ((value + (128 + 2 ** -17) + noise * 2 ** -16) | 0) - 128;
}
