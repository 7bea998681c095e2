import { sumCodecOf } from "../src-protocol/link-codecs.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { shardCount } from "../src-protocol/sum-shards.ts";
import type { Stage } from "./stage.ts";
import { tiesOf } from "./stages.ts";

/**
 * What a replica keeps besides parameters, the sum that its compute thread adds to, and the activations of micro-batches
 * under way: the planner, the network that gives out stages and the worker that takes one all ask here. `npm run bench --
 * memory --only replicas` measures it.
 */
export interface SharedStage {
  readonly run: Pick<RunSpec, "arithmetic" | "codecs" | "microBatches">;
  /** Values in a sum of the stage's gradients. */
  readonly values: number;
  /** Values that stages give one another of parameters which several hold, of all stages together. */
  readonly tiedValues: number;
  /** `y` and `dx` of one micro-batch: what was sent is kept until the step is over. */
  readonly boundaryBytes: number;
  /** Computers that hold the stage. */
  readonly replicas: number;
}

/**
 * The fastest computers do about three times what the average one does, and at times only half of those who are
 * expected are there.
 */
const COUNTED_TIMES = 6;
/** Of a sum that is cut into shards: so many replicas add up each. */
export const ADDERS = 2;
/** What a sum in fewer bits takes beside itself while it is encoded: it with the last one's rest, and its bytes. */
const ENCODED_SUMS = 2;
/** What rounding left out of the last sum, and of the one that is taken. */
const RESTS = 2;

/** Micro-batches of a step that a replica counts, when all of its stage count as many. */
export function usuallyCounted({ microBatches }: Pick<RunSpec, "microBatches">, replicas: number): number {
  return Math.ceil(microBatches / replicas);
}

/** Micro-batches of a step that one replica counts at most: what others have counted who leave is done again. */
export function mostCounted(run: Pick<RunSpec, "microBatches">, replicas: number): number {
  return Math.min(run.microBatches, COUNTED_TIMES * usuallyCounted(run, replicas));
}

/**
 * In bytes. In the class `exact` it has a gradient of each micro-batch that it has counted, in `fast` one sum of them,
 * and until the step is taken as much of others as it adds up, and the stage's whole sum; and in both what it has sent.
 */
export function replicaBytes({ run, values, tiedValues, boundaryBytes, replicas }: SharedStage): number {
  const isExact = run.arithmetic === "exact";
  const isCut = shardCount(replicas) > 1;
  const counted = mostCounted(run, replicas);
  const own = isExact ? counted : 1;
  const others = (isExact ? run.microBatches : replicas) - own;
  const added = isCut ? (ADDERS * others) / replicas : others;
  // A sum in shards is put together.
  const whole = isCut ? 2 : 1;
  const encoded = sumCodecOf(run) === "f32" ? 0 : ENCODED_SUMS + RESTS;
  const sums = own + added + whole + encoded;
  return Math.ceil((sums * values + tiedValues) * Float32Array.BYTES_PER_ELEMENT) + counted * boundaryBytes;
}

type Summed = Pick<Stage, "parameters" | "uses">;

/** Values in a sum of a stage's gradients: each further place where a parameter is read has a sum of its own. */
export function sumValues({ parameters, uses }: Summed): number {
  return [...parameters, ...uses].reduce((sum, { size }) => sum + size, 0);
}

/** See `SharedStage`. */
export function tiedValues(stages: readonly Summed[]): number {
  const tied = new Set(tiesOf(stages).map(({ name }) => name));
  const its = stages.flatMap(({ parameters, uses }) => [
    ...parameters.filter(({ name }) => tied.has(name)),
    ...uses.filter(({ parameter }) => tied.has(parameter)),
  ]);
  return its.reduce((sum, { size }) => sum + size, 0);
}
