import { canonicalJson } from "./canonical.ts";
import type { CanonicalValue } from "./canonical.ts";
import type { RunSpec } from "./model.ts";
import { sha256 } from "./signing.ts";

/**
 * Names what decides a run's numbers. Two specs with the same digest may share snapshots; how long
 * the run lasts and how often it is evaluated or stored may differ.
 */
export function runDigest(spec: RunSpec): string {
  const {
    runId,
    model,
    stages,
    batch,
    sequence,
    microBatches,
    optimizer,
    seed,
    corpus,
    arithmetic,
    kernels,
    codecs,
    digestEverySteps,
  } = spec;
  const numbers = {
    runId,
    model,
    stages,
    batch,
    sequence,
    microBatches,
    optimizer,
    seed,
    corpus: {
      sha256: corpus.sha256,
      tokenBytes: corpus.tokenBytes,
      ...(corpus.trainingTokens === undefined ? {} : { trainingTokens: corpus.trainingTokens }),
    },
    // Left out where it is not said, so that runs from before it keep their digest.
    ...(digestEverySteps === undefined ? {} : { digestEverySteps }),
    // A fast run is what any kernels make of it, and its snapshots stay good.
    ...(arithmetic === "exact" ? { arithmetic, kernels } : {}),
    // So does one whose tensors travel in another codec than before.
    ...(arithmetic === "exact" && codecs !== undefined ? { codecs } : {}),
  };
  return sha256(canonicalJson(asText(numbers)));
}

/** Canonical JSON takes whole numbers only; rates and epsilons are not. */
function asText(value: unknown): CanonicalValue {
  if (typeof value !== "object" || value === null) return String(value);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, asText(member)]));
}
