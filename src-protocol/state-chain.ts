import type { RunSpec } from "./model.ts";
import { runDigest } from "./run-digest.ts";
import { sha256 } from "./signing.ts";

/**
 * The chain of one stage: a link for every optimiser step, each made from the one before. Two nodes
 * with the same link have trained the same run, from the same beginning, through the same numbers.
 *
 *     link₀ = H(run's description, arithmetic, ONNX Runtime's version and level, stage, step 0)
 *     linkₛ = H(linkₛ₋₁, s, ‖g‖² of the step, digest of [parameters | m | v] when one is due)
 *
 * ‖g‖² is summed for the overflow check anyway, in float64 and in a fixed order, so it costs nothing:
 * it shows at which step two honest computers part. SECURITY: it binds nobody; the digest of the whole
 * state does, and comes every `digestPeriod` steps.
 */

/** Tokens between two digests of the whole state: hashing then takes under 1 % of a training (bench `chain`). */
const TOKENS_PER_DIGEST = 32_768;

/** Every so many steps the whole state goes into the chain. A part of the run's description. */
export function digestPeriod(
  spec: Pick<RunSpec, "batch" | "sequence" | "microBatches" | "digestEverySteps">,
): number {
  const { batch, sequence, microBatches, digestEverySteps } = spec;
  return digestEverySteps ?? Math.max(1, Math.ceil(TOKENS_PER_DIGEST / (batch * sequence * microBatches)));
}

/** Whether `step` steps make a link that holds the whole state. */
export function isDigestDue(spec: Parameters<typeof digestPeriod>[0], step: number): boolean {
  return step % digestPeriod(spec) === 0;
}

/** The link before the first step; of a later one where a stage goes on from a state whose link is not known. */
export function firstLink(spec: RunSpec, stage: number, step = 0): string {
  const { arithmetic, kernels } = spec;
  // The run's digest names them for class exact only, so that a fast run outlives an update.
  const runtime = `${arithmetic} ${kernels.onnxruntime} ${kernels.level}`;
  return sha256(`Train at Home chain v1\n${runDigest(spec)}\n${runtime}\n${stage}\n${step}`);
}

export interface LinkedStep {
  /** Steps taken, this one included. */
  readonly step: number;
  /** The sum of the squares of the step's gradient sums, before they are divided. */
  readonly squaredNorm: number;
  /** Of the state after the step; null when none is due. */
  readonly stateSha256: string | null;
}

export function nextLink(previous: string, { step, squaredNorm, stateSha256 }: LinkedStep): string {
  return sha256(
    `Train at Home link v1\n${previous}\n${step}\n${float64Bits(squaredNorm)}\n${stateSha256 ?? "-"}`,
  );
}

function float64Bits(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}
