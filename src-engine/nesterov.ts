export interface NesterovStep {
  /** η: 1 adopts the replicas' mean where there is no momentum. */
  learningRate: number;
  /** μ, at least 0 and below 1. */
  momentum: number;
}

/** What DiLoCo's authors found best for merges some hundred steps apart (arXiv:2311.08105, section 3). */
export const OUTER_NESTEROV: Readonly<NesterovStep> = { learningRate: 0.7, momentum: 0.9 };

/**
 * The outer step of a merge, in place: gradient descent with Nesterov momentum on the
 * pseudo-gradient Δ = θ_start − θ_local, averaged over the replicas (arXiv:2311.08105, algorithm 1;
 * the form of PyTorch's SGD with `nesterov=True`):
 *
 *     b ← μ·b + Δ          θ ← θ − η·(Δ + μ·b)
 *
 * `parameters` are θ_start, which all replicas share; `velocity` is b, zeros before the first merge.
 * Each number is rounded to float32 after each of the four operations and nothing depends on the
 * machine, so every replica that has the same Δ comes to the same bits.
 *
 * Cost per parameter: 8 bytes kept between merges (θ and b), three reads and two writes a merge.
 *
 * @throws RangeError, before anything is changed, when the arrays or numbers do not fit
 */
export function nesterovStep(
  parameters: readonly Float32Array[],
  pseudoGradients: readonly Float32Array[],
  velocity: readonly Float32Array[],
  { learningRate, momentum }: NesterovStep,
): void {
  if (!(learningRate > 0) || !(momentum >= 0 && momentum < 1)) {
    throw new RangeError(`nesterovStep: a rate of ${learningRate} with a momentum of ${momentum}.`);
  }
  for (const arrays of [pseudoGradients, velocity]) {
    const fits =
      arrays.length === parameters.length && arrays.every((a, i) => a.length === parameters[i]?.length);
    if (!fits)
      throw new RangeError("nesterovStep: pseudo-gradients and velocities need the parameters' sizes.");
  }
  for (const [i, theta] of parameters.entries()) {
    update(theta, pseudoGradients[i] as Float32Array, velocity[i] as Float32Array, learningRate, momentum);
  }
}

/** Its own function, so that V8 compiles this loop once and for every parameter. */
function update(
  theta: Float32Array,
  delta: Float32Array,
  b: Float32Array,
  learningRate: number,
  momentum: number,
): void {
  const rate = Math.fround(learningRate);
  const keep = Math.fround(momentum);
  for (let i = 0; i < theta.length; i++) {
    const d = delta[i] as number;
    const v = Math.fround(Math.fround(keep * (b[i] as number)) + d);
    b[i] = v;
    const ahead = Math.fround(d + Math.fround(keep * v));
    theta[i] = (theta[i] as number) - Math.fround(rate * ahead);
  }
}
