import type { Stage } from "../src-engine/stage.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { chooseForMany, estimateMany } from "../src-engine/many-computers.ts";
import type { ManyEstimate, SizeChoice } from "../src-engine/many-computers.ts";
import { LINES, USUAL_COMPUTER, chooseMicroBatches, estimateStep } from "../src-engine/step-estimate.ts";
import type { StepEstimate } from "../src-engine/step-estimate.ts";
import { number, plural } from "../src-protocol/amounts.ts";
import { USUAL_REPLICAS } from "../src-protocol/control.ts";
import { codecsPart } from "../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { MODEL_SIZES, isDealtAs } from "../src-protocol/run-size.ts";
import type { Dealt, ModelSize } from "../src-protocol/run-size.ts";
import type { Reach } from "./network-reach.ts";

/** A network may come to have one computer for each slice, or more: neither is to be bad. */
const REPLICAS = [1, 2] as const;

/** A run as far as it says how its steps are best dealt. */
export interface DealtRun extends Pick<RunSpec, "arithmetic" | "codecs"> {
  /** For a batch; it throws a Failure for one that cannot be trained. */
  readonly stagesOf: (batch: number) => readonly Stage[];
  /** Slices that its model can be divided into; left out: nobody knows before it is tried. */
  readonly mostStages?: number;
}

/** A run of a size that is built in, as it will be planned. */
export interface SizedRun {
  readonly size: ModelSize;
  readonly stages: number;
  readonly arithmetic: Arithmetic;
  readonly codecs: LinkCodecs;
}

export function builtIn({ size, stages, arithmetic, codecs }: SizedRun): DealtRun {
  const { model, sequence } = MODEL_SIZES[size];
  const mostStages = Math.max(1, model.blocks);
  const count = Math.min(mostStages, stages);
  return {
    arithmetic,
    ...codecsPart(arithmetic, codecs),
    stagesOf: (batch) => stagesOf({ model, batch, sequence, stages: count, arithmetic }, null),
    mostStages,
  };
}

/**
 * What a step's sequences are best dealt into; null: as usual, since on one computer there are no lines. A model that
 * would usually take more memory than a small computer has may take that, and no more. `computers`: that are expected,
 * for which a step may be larger; null: nobody has said.
 */
export function dealtFor(run: DealtRun, usual: Dealt, reach: Reach, computers: number | null): Dealt | null {
  if (reach === "computer") return null;
  if (computers !== null) {
    const { batch, microBatches } = sizeFor(run, usual, reach, computers);
    return { batch, microBatches };
  }
  const shape = shapeOf(run, usual, reach);
  const usually = estimateStep({ ...shape, stages: run.stagesOf(usual.batch), replicas: 1 });
  const { batch, microBatches } = chooseMicroBatches(roomFor(shape, usually), REPLICAS, run.stagesOf);
  return { batch, microBatches };
}

/** As `dealtFor`, with what a step comes to. */
export function sizeFor(
  run: DealtRun,
  usual: Dealt,
  reach: keyof typeof LINES,
  computers: number,
): SizeChoice {
  const shape = shapeOf(run, usual, reach);
  const usually = estimateMany({ ...shape, stages: run.stagesOf(usual.batch) }, computers);
  return chooseForMany(roomFor(shape, usually), computers, run.stagesOf);
}

function roomFor(shape: ReturnType<typeof shapeOf>, usually: Pick<StepEstimate, "memoryBytes">) {
  const memoryBytes = Math.max(USUAL_COMPUTER.memoryBytes, usually.memoryBytes);
  return { ...shape, computer: { ...USUAL_COMPUTER, memoryBytes } };
}

/** What a step comes to with so many computers; null: on one computer, or nobody has said how many. */
export function expected(
  run: DealtRun,
  dealt: Dealt,
  reach: Reach,
  computers: number | null,
): ManyEstimate | null {
  if (reach === "computer" || computers === null) return null;
  return estimateMany({ ...shapeOf(run, dealt, reach), stages: run.stagesOf(dealt.batch) }, computers);
}

/** How a step is dealt, and how long it will take as far as that can be known. `best`: null: not known. */
export function microBatchText(
  run: DealtRun,
  dealt: Dealt,
  reach: Reach,
  { best, computers }: { readonly best: Dealt | null; readonly computers: number | null },
): string {
  const head = dealtText(dealt);
  if (reach === "computer") return `${head}.`;
  const stages = run.stagesOf(dealt.batch);
  const [alone, two] = REPLICAS.map((replicas) =>
    estimateStep({ ...shapeOf(run, dealt, reach), stages, replicas }),
  );
  const many = expected(run, dealt, reach, computers);
  if (alone === undefined || two === undefined) return `${head}.`;
  const better =
    best === null || isDealtAs(best, dealt)
      ? ""
      : ` ${number(best.microBatches)} of ${number(best.batch)} would suit them better (${dealtOptions(best)}, which begins the run anew).`;
  if (many !== null && computers !== null)
    return `${head}: over ${LINE_TEXT[reach]} a step takes about ${seconds(many)} with ${plural(computers, "computer")}, ${number(many.replicas)} for each slice: ${number(Math.round((dealt.batch * dealt.microBatches * 1000) / many.ms))} sequences a second (the busiest computes ${percent(many.busy)} of it; ${seconds({ ms: many.bubbleMs })} are to fill and to empty the slices, ${seconds({ ms: many.sumMs })} for sums, ${seconds({ ms: many.lostMs })} for what is done again for those who leave).${roomText(computers, stages.length, run.mostStages)}${better}`;
  return `${head}: over ${LINE_TEXT[reach]} a step takes about ${seconds(alone)} with one computer for each slice (the busiest computes ${percent(alone.busy)} of it), and ${seconds(two)} with two.${better}`;
}

export function dealtText({ batch, microBatches }: Dealt): string {
  return `${plural(microBatches, "micro-batch", "micro-batches")} of ${plural(batch, "sequence")}`;
}

/** By which `tah network serve` is told so. */
export function dealtOptions({ batch, microBatches }: Dealt): string {
  return `--micro-batches ${microBatches} --batch ${batch}`;
}

const LINE_TEXT = {
  home: "home lines (20 Mbit/s up, 30 ms)",
  lan: "a network within a home (0.5 ms)",
} as const satisfies Record<keyof typeof LINES, string>;

function shapeOf(run: DealtRun, dealt: Dealt, reach: keyof typeof LINES) {
  return { run: { ...run, ...dealt }, line: LINES[reach], computer: USUAL_COMPUTER };
}

/** Who comes beyond what all slices may have waits for a place. */
function roomText(computers: number, stages: number, mostStages = Infinity): string {
  const room = stages * USUAL_REPLICAS;
  if (computers <= room) return "";
  const none = ` ${number(computers - room)} of them find no place: a slice has ${number(USUAL_REPLICAS)} at most`;
  return stages < mostStages
    ? `${none}. More slices (--stages) have more.`
    : `${none}, and this model cannot be divided into more than ${plural(stages, "slice")}. A larger model (--model) can.`;
}

export function seconds({ ms }: Pick<StepEstimate, "ms">): string {
  return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
