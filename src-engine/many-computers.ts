import { USUAL_REPLICAS } from "../src-protocol/control.ts";
import { Failure } from "../src-protocol/failure.ts";
import { MOST_BATCH, MOST_MICRO_BATCHES } from "../src-protocol/model.ts";
import { divisorsOf, estimateStep, leastWorse } from "./step-estimate.ts";
import type { StepEstimate, StepShape } from "./step-estimate.ts";

/**
 * How large a step is best where many computers share each stage. A step of few micro-batches leaves them waiting while
 * it fills and is emptied, and for its sums; the longer it is, the more is done again for those who leave in it.
 */

/**
 * A step is filled and emptied in as many round trips as this where replicas are unequal: some of the last micro-batches
 * go through slow ones. In simulation (`bench/simulation`, 8 stages of 31, speeds lognormal with a sigma of 0.5) 2.9.
 */
const ROUND_TRIPS = 3;
/** Of a home's computer, that it leaves without a word: what the homes of the simulation do. */
const LEAVES_PER_MS = 0.15 / 3_600_000;
/**
 * Who leaves has worked half of the step, on average; but all wait for the stage that has lost most, and most for
 * those who leave at its end.
 */
const LOST_OF_STEP = 1.5;
/**
 * A micro-batch that is larger than usual takes the usual computer and its line no longer. Whoever is much slower must
 * not be taken for one that does nothing: before a network knows what is usual, that is after a minute.
 */
const LONGEST_TURN_MS = 2_000;
/** A step may take so much longer than the best for its sequences: the fewer it has, the more is learned from each. */
const AS_GOOD_SMALLER = 1.05;

export interface ManyEstimate extends StepEstimate {
  /** In which is done again what was lost with those who left, of `ms`. */
  readonly lostMs: number;
  readonly replicas: number;
}

/** As `estimateStep`, over home lines that come and go: each stage's computers are unequal, and some leave in the step. */
export function estimateMany(shape: Omit<StepShape, "replicas">, computers: number): ManyEstimate {
  const { stages } = shape;
  const replicas = replicasOf(stages.length, computers);
  const many = { ...shape, replicas };
  const equal = estimateStep(many);
  const more = replicas === 1 ? 0 : (ROUND_TRIPS - 1) * equal.bubbleMs;
  const undisturbedMs = equal.ms + more;
  // Where a stage has one computer, all begin the step anew.
  const lostOfStep = replicas === 1 ? stages.length / 2 : LOST_OF_STEP;
  const lostMs = LEAVES_PER_MS * lostOfStep * undisturbedMs * undisturbedMs;
  const ms = undisturbedMs + lostMs;
  return {
    ...equal,
    ms,
    bubbleMs: equal.bubbleMs + more,
    busy: (equal.busy * equal.ms) / ms,
    lostMs,
    replicas,
  };
}

function replicasOf(stages: number, computers: number): number {
  return Math.min(USUAL_REPLICAS, Math.max(1, Math.floor(computers / stages)));
}

export interface SizeChoice {
  readonly batch: number;
  readonly microBatches: number;
  /** With the line to oneself. */
  readonly estimate: ManyEstimate;
}

/**
 * How a step is dealt for so many computers: the usual sequences dealt otherwise, or a larger step, of micro-batches as
 * usual. In the class `exact`, where replicas give the gradient of each, they may be larger, too. Of steps in which a
 * sequence takes about as little time as in the best, it is the smallest.
 *
 * @throws Failure as `chooseMicroBatches`
 */
export function chooseForMany(
  shape: Omit<StepShape, "stages" | "replicas">,
  computers: number,
  stagesOf: (batch: number) => StepShape["stages"],
): SizeChoice {
  const { batch, microBatches } = shape.run;
  const known = new Map<number, StepShape["stages"]>();
  const cut = (its: number): StepShape["stages"] => {
    const stages = known.get(its) ?? stagesOf(its);
    known.set(its, stages);
    return stages;
  };
  const sequences = batch * microBatches;
  const dealt = divisorsOf(sequences).map((count) => ({ batch: sequences / count, microBatches: count }));
  const isGivenEach = shape.run.arithmetic === "exact" && replicasOf(cut(batch).length, computers) > 1;
  const batches = [batch, ...(isGivenEach ? largerBatches(shape, cut) : [])];
  const larger: typeof dealt = [];
  for (let all = 2 * sequences; all <= MOST_MICRO_BATCHES * batch; all *= 2)
    for (const its of batches)
      if (all % its === 0 && all / its <= MOST_MICRO_BATCHES)
        larger.push({ batch: its, microBatches: all / its });
  const found = leastWorse(
    shape,
    [...dealt, ...larger],
    cut,
    (step) => [estimateMany(step, computers)],
    AS_GOOD_SMALLER,
  );
  const [estimate] = found.estimates;
  if (estimate === undefined) throw new RangeError("there is no line");
  return { batch: found.batch, microBatches: found.microBatches, estimate };
}

/** From the smallest. */
function largerBatches(
  shape: Omit<StepShape, "stages" | "replicas">,
  stagesOf: (batch: number) => StepShape["stages"],
): number[] {
  const found: number[] = [];
  for (let batch = 2 * shape.run.batch; batch <= MOST_BATCH; batch *= 2) {
    try {
      const step = { ...shape, run: { ...shape.run, batch }, stages: stagesOf(batch), replicas: 1 };
      if (estimateStep(step).turnMs > LONGEST_TURN_MS) break;
      found.push(batch);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      break;
    }
  }
  return found;
}
