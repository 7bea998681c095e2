import type { OptimizerSpec } from "../src-protocol/model.ts";
import { cos, power } from "./portable-math.ts";
import type { Stage } from "./stage.ts";

export interface AdamwStep {
  /** Names which parameters decay; its order is that of the arrays. */
  plan: Pick<Stage, "parameters">;
  optimizer: OptimizerSpec;
  /** Steps taken before this one: 0 for the first. */
  step: number;
  /** Multiplies every gradient: 1/M when gradients of M micro-batches were added up. */
  gradientScale: number;
}

/**
 * One AdamW step over every parameter of a stage, in place (Loshchilov & Hutter, arXiv:1711.05101,
 * algorithm 2, as in PyTorch). With t = step + 1 and η the scheduled rate:
 *
 *     m ← β₁·m + (1−β₁)·g          v ← β₂·v + (1−β₂)·g²
 *     p ← p·(1 − η·λ) − η · (m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)
 *
 * λ applies to parameters with `decay`. Gradients are read, not changed.
 */
export function adamwStep(
  parameters: readonly Float32Array[],
  gradients: readonly Float32Array[],
  m: readonly Float32Array[],
  v: readonly Float32Array[],
  { plan, optimizer, step, gradientScale }: AdamwStep,
): void {
  const { beta1, beta2, epsilon } = optimizer;
  const { keep, correctedRate, correction2 } = adamwFactors(optimizer, step);
  for (const [i, { name, size }] of plan.parameters.entries()) {
    if ([parameters, gradients, m, v].some((arrays) => arrays[i]?.length !== size)) {
      throw new RangeError(`adamwStep: ${name} needs four arrays of ${size} values.`);
    }
  }
  for (const [i, { decay }] of plan.parameters.entries()) {
    update(
      parameters[i] as Float32Array,
      gradients[i] as Float32Array,
      m[i] as Float32Array,
      v[i] as Float32Array,
      {
        keep: decay ? keep : 1,
        correctedRate,
        correction2,
        beta1,
        beta2,
        epsilon,
        gradientScale,
      },
    );
  }
}

/** What of AdamW's formula changes from step to step. */
export interface AdamwFactors {
  /** 1 − η·λ: what is left of a parameter that decays. */
  keep: number;
  /** η/(1−β₁ᵗ) */
  correctedRate: number;
  /** 1/√(1−β₂ᵗ) */
  correction2: number;
}

export function adamwFactors(optimizer: OptimizerSpec, step: number): AdamwFactors {
  const { beta1, beta2, weightDecay } = optimizer;
  const rate = learningRate(optimizer, step);
  return {
    keep: 1 - rate * weightDecay,
    correctedRate: rate / (1 - power(beta1, step + 1)),
    correction2: 1 / Math.sqrt(1 - power(beta2, step + 1)),
  };
}

interface UpdateConstants extends AdamwFactors {
  beta1: number;
  beta2: number;
  epsilon: number;
  gradientScale: number;
}

/** Its own function, so that V8 compiles this loop once and for every parameter. */
function update(
  p: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  constants: UpdateConstants,
): void {
  const { keep, correctedRate, correction2, beta1, beta2, epsilon, gradientScale } = constants;
  const new1 = 1 - beta1;
  const new2 = 1 - beta2;
  for (let i = 0; i < p.length; i++) {
    const gi = (g[i] as number) * gradientScale;
    const mi = beta1 * (m[i] as number) + new1 * gi;
    const vi = beta2 * (v[i] as number) + new2 * gi * gi;
    m[i] = mi;
    v[i] = vi;
    p[i] = keep * (p[i] as number) - (correctedRate * mi) / (Math.sqrt(vi) * correction2 + epsilon);
  }
}

/**
 * The rate of a step (0 is the first): a line from η/warm-up to η over `warmupSteps`, then half a
 * cosine down to η·finalFraction at `decaySteps`, and constant after that.
 */
export function learningRate(optimizer: OptimizerSpec, step: number): number {
  const { learningRate: peak, warmupSteps, decaySteps, finalFraction } = optimizer;
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, decaySteps - warmupSteps));
  const cosine = (1 + cos(Math.PI * progress)) / 2;
  return peak * (finalFraction + (1 - finalFraction) * cosine);
}
