import { Failure } from "../src-protocol/failure.ts";
import { codecOf, sumCodecOf } from "../src-protocol/link-codecs.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { shardCount } from "../src-protocol/sum-shards.ts";
import { CODECS } from "./codecs/codecs.ts";
import { leastKept } from "./recompute.ts";
import { ADDERS, replicaBytes, sumValues, tiedValues, usuallyCounted } from "./replica-memory.ts";
import type { Stage } from "./stage.ts";
import { trainingBytes } from "./training-memory.ts";

/** What lies between the computers of a run: see docs/codecs.md, "How many micro-batches". */
export interface Line {
  /** Up, of one computer. */
  readonly bytesPerSecond: number;
  /** One way. */
  readonly latencyMs: number;
  /** Within a home or a computer, where values may travel as they are. */
  readonly isNear: boolean;
  /** All stages and replicas share so many cores; null: each has its own computer. */
  readonly cores: number | null;
  /** The same while others in the home use it: what is chosen must be good then, too. */
  readonly busy?: Pick<Line, "bytesPerSecond" | "latencyMs">;
}

export const LINES = {
  // Three quarters of a shared line are one's own, and its router's queue adds 100 ms and more.
  home: {
    bytesPerSecond: 2.5e6,
    latencyMs: 30,
    isNear: false,
    cores: null,
    busy: { bytesPerSecond: 1.875e6, latencyMs: 130 },
  },
  lan: { bytesPerSecond: 1e8, latencyMs: 0.5, isNear: true, cores: null },
} as const satisfies Record<string, Line>;

/** A computer that takes part, as a plan supposes it. */
export interface Computer {
  readonly flopsPerSecond: number;
  readonly memoryBytes: number;
}

/**
 * One core was measured at 1e11 with the default model's stages (AVX-512 and AVX2, 6.7 ms for 0.67 GFLOP), and
 * half of a small computer's 4 GB may be used.
 */
export const USUAL_COMPUTER: Computer = { flopsPerSecond: 1e11, memoryBytes: 2e9 };

/**
 * What a micro-batch costs a stage besides its operations: two calls of the runtime (1 ms measured, 2.5 in the
 * class exact), and messages that are framed, hashed, encrypted and booked.
 */
export const MICRO_BATCH_MS = 2;

export interface StepShape {
  readonly run: Pick<RunSpec, "arithmetic" | "codecs" | "batch" | "microBatches">;
  /** As they are cut for the run's batch. */
  readonly stages: readonly Omit<Stage, "forward" | "backward" | "train">[];
  readonly line: Line;
  readonly computer: Computer;
  /** Of each stage. */
  readonly replicas: number;
}

export interface StepEstimate {
  readonly ms: number;
  /** While the first micro-batches come and the last ones go, the busiest computer waits: that, of `ms`. */
  readonly bubbleMs: number;
  /** In which the replicas' sums travel, of `ms`. */
  readonly sumMs: number;
  /** The busiest computer computes in so much of `ms`. */
  readonly busy: number;
  /** In which the slowest computer, or its line, has done with one micro-batch. */
  readonly turnMs: number;
  /** Of the stage that needs most, with what it keeps of micro-batches under way. */
  readonly memoryBytes: number;
}

/**
 * How long a step takes: the first micro-batch goes through all stages and back, and each further one comes
 * after it in the time of whatever is narrowest. With `M` micro-batches over `P` stages of `R` replicas,
 *
 *     step = roundTrip + (⌈M/R⌉ − 1) · max(pass, line up, roundTrip / (P + 1)) + sums
 *
 * `P + 1` is what a pipeline of single holders has under way at most; replicas have as much as keeps them at
 * work. A middle stage's line carries activations on and gradients back. In the class `exact` a replica's sum is
 * the gradient of each of its micro-batches; a total is one gradient in every class.
 */
export function estimateStep(shape: StepShape): StepEstimate {
  const { run, stages, line, computer, replicas } = shape;
  const { microBatches } = run;
  const isExact = run.arithmetic === "exact";
  const sentMs = (bytes: number): number => (bytes / line.bytesPerSecond) * 1000;
  const border = (pass: "forward" | "backward", bytes: number): number =>
    bytes === 0
      ? 0
      : sentMs(CODECS[codecOf(run, pass, line.isNear)].encodedBytes(bytes / Float32Array.BYTES_PER_ELEMENT));
  const passes = stages.map(
    ({ flops }) => ((flops.forward + flops.backward) / computer.flopsPerSecond) * 1000 + MICRO_BATCH_MS,
  );
  const ups = stages.map(
    ({ boundaryBytes }) => border("forward", boundaryBytes.out) + border("backward", boundaryBytes.in),
  );
  const all = sum(passes);
  const hops = 2 * (stages.length - 1);
  const roundTrip = all + sum(ups) + hops * line.latencyMs;
  const turns = usuallyCounted(run, replicas);
  // What a pipeline of single holders has under way is bounded: a long way is not filled by short work.
  const flow = replicas === 1 ? roundTrip / (stages.length + 1) : 0;
  const turnMs = Math.max(...passes, ...ups);
  const apart = (turns - 1) * Math.max(turnMs, flow);
  // Replicas on one computer's cores are no faster together.
  const together = line.cores === null ? 0 : ((microBatches - 1) * all) / line.cores;
  const given = isExact ? turns : 1;
  // A sum in shards goes to those who add up each, and one of them gives the total.
  const times = shardCount(replicas) > 1 ? ADDERS * given + 1 : (replicas - 1) * given;
  const gradientBytes = CODECS[sumCodecOf(run)].encodedBytes(mostParameters(stages));
  const sumMs = replicas === 1 ? 0 : sentMs(gradientBytes * times) + 2 * line.latencyMs;
  const ms = roundTrip + Math.max(apart, together) + sumMs;
  const busiest = Math.max(
    turns * Math.max(...passes),
    line.cores === null ? 0 : (microBatches * all) / line.cores,
  );
  return {
    ms,
    bubbleMs: roundTrip - Math.max(...passes),
    sumMs,
    busy: busiest / ms,
    turnMs,
    memoryBytes:
      Math.max(...stages.map((stage) => trainingBytes(stage, leastKept(run.arithmetic)))) +
      sharedBytes(shape),
  };
}

/** What a computer of each stage keeps as one of so many replicas: nothing more where it has the stage alone. */
function sharedBytes({ run, stages, replicas }: Pick<StepShape, "run" | "stages" | "replicas">): number {
  if (replicas === 1) return 0;
  const values = Math.max(...stages.map(sumValues));
  const boundaryBytes = Math.max(...stages.map(({ boundaryBytes: { in: dx, out: y } }) => dx + y));
  return replicaBytes({ run, values, tiedValues: tiedValues(stages), boundaryBytes, replicas });
}

function mostParameters(stages: StepShape["stages"]): number {
  return Math.max(...stages.map(({ parameterCount }) => parameterCount));
}

export interface MicroBatchChoice {
  readonly batch: number;
  readonly microBatches: number;
  /** For each number of replicas that was asked about, in that order, with the line to oneself. */
  readonly estimates: readonly StepEstimate[];
}

/** Of choices whose steps take as long as the best within this, the one with the fewest micro-batches: each is booked. */
const AS_GOOD = 1.03;

/**
 * Into how many micro-batches a step's sequences are best dealt: small ones fill the pipeline sooner, large ones
 * pay less often for what each costs. The tokens of a step stay the same. Of several numbers of replicas that a
 * run may come to have, and whether its lines are busy or not, the choice is the one that is least worse than the
 * best in any of these cases.
 *
 * `stagesOf`: the stages for a batch; it throws a Failure for one that cannot be trained.
 *
 * @throws Failure of `stagesOf` when no choice can be trained, `run-too-large` when none fits the memory
 */
export function chooseMicroBatches(
  shape: Omit<StepShape, "stages" | "replicas">,
  replicas: readonly number[],
  stagesOf: (batch: number) => StepShape["stages"],
): MicroBatchChoice {
  const sequences = shape.run.batch * shape.run.microBatches;
  const candidates = divisorsOf(sequences).map((microBatches) => ({
    batch: sequences / microBatches,
    microBatches,
  }));
  const found = leastWorse(shape, candidates, stagesOf, (step) =>
    replicas.map((count) => estimateStep({ ...step, replicas: count })),
  );
  return { ...found, estimates: found.estimates.slice(0, replicas.length) };
}

/**
 * Of these, which have fewest micro-batches first, the first whose sequences take about as little time as with the best,
 * with the line to oneself and with a busy one, in each of the cases that `estimatesOf` gives.
 *
 * @throws Failure as `chooseMicroBatches`
 */
export function leastWorse<Estimate extends Pick<StepEstimate, "ms" | "memoryBytes">>(
  shape: Omit<StepShape, "stages" | "replicas">,
  candidates: readonly Pick<RunSpec, "batch" | "microBatches">[],
  stagesOf: (batch: number) => StepShape["stages"],
  estimatesOf: (step: Omit<StepShape, "replicas">) => readonly Estimate[],
  asGood = AS_GOOD,
): Pick<RunSpec, "batch" | "microBatches"> & { readonly estimates: readonly Estimate[] } {
  const { run, computer, line }: { run: StepShape["run"]; computer: Computer; line: Line } = shape;
  const lines = line.busy === undefined ? [line] : [line, { ...line, ...line.busy }];
  let failure: Failure | null = null;
  const choices: { batch: number; microBatches: number; estimates: Estimate[] }[] = [];
  for (const { batch, microBatches } of candidates) {
    try {
      const stages = stagesOf(batch);
      const its = { ...run, batch, microBatches };
      const estimates = lines.flatMap((each) => estimatesOf({ ...shape, line: each, run: its, stages }));
      if (estimates.every(({ memoryBytes }) => memoryBytes <= computer.memoryBytes))
        choices.push({ batch, microBatches, estimates });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failure = error;
    }
  }
  const msEach = ({ batch, microBatches, estimates }: (typeof choices)[number]): number[] =>
    estimates.map(({ ms }) => ms / (batch * microBatches));
  const times = choices.map(msEach);
  const best = (times[0] ?? []).map((_, i) => Math.min(...times.map((each) => each[i] ?? Infinity)));
  const worse = times.map((each) => Math.max(...each.map((ms, i) => ms / (best[i] ?? ms))));
  const least = Math.min(...worse);
  const found = choices.find((_, i) => (worse[i] ?? Infinity) <= least * asGood);
  if (found !== undefined) return found;
  throw (
    failure ??
    new Failure(
      "run-too-large",
      `Not even one sequence fits into ${(computer.memoryBytes / 1e9).toFixed(1)} GB on every slice. Use more slices or shorter sequences.`,
    )
  );
}

/** From the smallest. */
export function divisorsOf(count: number): number[] {
  const small: number[] = [];
  for (let each = 1; each * each <= count; each++) if (count % each === 0) small.push(each);
  return [...new Set([...small, ...small.toReversed().map((each) => count / each)])];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
