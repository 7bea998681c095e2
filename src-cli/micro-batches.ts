import { stagesOf } from "../src-engine/stages.ts";
import { LINES, USUAL_COMPUTER, chooseMicroBatches, estimateStep } from "../src-engine/step-estimate.ts";
import type { StepEstimate } from "../src-engine/step-estimate.ts";
import { number, plural } from "../src-protocol/amounts.ts";
import { codecsPart } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { MODEL_SIZES } from "../src-protocol/run-size.ts";
import type { Dealt, ModelSize } from "../src-protocol/run-size.ts";
import type { Reach } from "./network-reach.ts";

/** A network may come to have one computer for each slice, or more: neither is to be bad. */
const REPLICAS = [1, 2] as const;

/** A run of a size that is built in, as it will be planned. */
export interface SizedRun {
  readonly size: ModelSize;
  readonly stages: number;
  readonly arithmetic: Arithmetic;
  readonly codecs: LinkCodecs;
}

/** What a step's sequences are best dealt into; null: as usual, since on one computer there are no lines. */
export function microBatchesFor(run: SizedRun, reach: Reach): number | null {
  if (reach === "computer") return null;
  return chooseMicroBatches(shapeOf(run, MODEL_SIZES[run.size], reach), REPLICAS, cutterOf(run)).microBatches;
}

/** One line: how a step is dealt, and how long it will take as far as that can be known. */
export function microBatchText(run: SizedRun, dealt: Dealt, reach: Reach): string {
  const { batch, microBatches } = dealt;
  const head = `${plural(microBatches, "micro-batch", "micro-batches")} of ${plural(batch, "sequence")}`;
  if (reach === "computer") return `${head}: as usual on one computer.`;
  const stages = cutterOf(run)(batch);
  const [alone, two] = REPLICAS.map((replicas) =>
    estimateStep({ ...shapeOf(run, dealt, reach), stages, replicas }),
  );
  if (alone === undefined || two === undefined) return `${head}.`;
  const best = microBatchesFor(run, reach);
  const better =
    best === null || best === microBatches
      ? ""
      : ` ${number(best)} would suit them better (--micro-batches ${best}, which begins the run anew).`;
  return `${head}: over ${LINE_TEXT[reach]} a step takes about ${seconds(alone)} with one computer for each slice (the busiest computes ${percent(alone.busy)} of it), and ${seconds(two)} with two.${better}`;
}

const LINE_TEXT = {
  home: "home lines (20 Mbit/s up, 30 ms)",
  lan: "a network within a home (0.5 ms)",
} as const satisfies Record<keyof typeof LINES, string>;

function shapeOf({ arithmetic, codecs }: SizedRun, dealt: Dealt, reach: keyof typeof LINES) {
  const run = { ...dealt, arithmetic, ...codecsPart(arithmetic, codecs) };
  return { run, line: LINES[reach], computer: USUAL_COMPUTER };
}

function cutterOf({ size, stages, arithmetic }: SizedRun) {
  const { model, sequence } = MODEL_SIZES[size];
  const count = Math.max(1, Math.min(model.blocks, stages));
  return (batch: number) => stagesOf({ model, batch, sequence, stages: count, arithmetic }, null);
}

function seconds({ ms }: StepEstimate): string {
  return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
