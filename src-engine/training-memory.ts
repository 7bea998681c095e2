import type { Recompute } from "./recompute.ts";
import type { Stage } from "./stage.ts";

/**
 * The most memory that training a stage takes of a computer that has it alone, in bytes: with one micro-batch, and what
 * further ones keep. A stage has at most `stages − index + 1` of them under way (the head starts no more); the tail goes
 * back at once. What who shares it keeps besides says `replicaBytes`.
 */
export function trainingBytes(
  { memory, index, stages, isTail }: Pick<Stage, "memory" | "index" | "stages" | "isTail">,
  recompute: Recompute,
): number {
  const { peakBytes, keptBytes } = memory[recompute];
  return peakBytes + (isTail ? 0 : stages - index) * keptBytes;
}
