import { number } from "../src-protocol/amounts.ts";
import { AUTO, codecsPart, readCodecs, sumCodecOf } from "../src-protocol/link-codecs.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { Dealt } from "../src-protocol/run-size.ts";
import { dealtOptions, dealtText, expected, percent, seconds, sizeFor } from "./micro-batches.ts";
import type { DealtRun } from "./micro-batches.ts";
import type { Reach } from "./network-reach.ts";

/** Of a step: an operator is told what would be better from there on. */
const MUCH = 1 / 3;
/** What is little better is no advice, and no gain. */
const WORTH_IT = 1.1;

/** What the same computers would do with other options: a step is made for them as for the run. */
interface Better extends Dealt {
  readonly options: string;
  readonly ms: number;
  /** As many times the sequences in the same time. */
  readonly times: number;
}

export interface SumsShare {
  /** Of a step's time. */
  readonly share: number;
  /** Null: nothing that can be said for this run. */
  readonly better: Better | null;
  /** Whether the first computer of each slice alone would train about as much, without any sums. */
  readonly isNoGain: boolean;
  readonly text: string;
}

/**
 * What the sums of replicas cost where that is much of a step, and what helps. Null: they are little of it, or nobody
 * has said how many computers are expected. `usual`: as the run is dealt for few; `codec`: as `--codec` has it.
 */
export function sumsShare(
  run: DealtRun,
  dealt: Dealt,
  reach: Reach,
  {
    usual,
    codec,
    computers,
  }: { readonly usual: Dealt; readonly codec: string; readonly computers: number | null },
): SumsShare | null {
  const now = expected(run, dealt, reach, computers);
  if (now === null || computers === null || reach === "computer") return null;
  const share = now.sumMs / now.ms;
  if (share < MUCH) return null;
  const rateNow = rate(dealt, now);
  const stages = run.stagesOf(dealt.batch).length;
  const few = sizeFor(run, usual, reach, stages);
  const isNoGain = rateNow < WORTH_IT * rate(few, few.estimate);
  const others = othersOf(run, codec).map(({ options, ...its }): Better => {
    const { batch, microBatches, estimate } = sizeFor({ ...run, ...its }, usual, reach, computers);
    const times = rate({ batch, microBatches }, estimate) / rateNow;
    return {
      options: options ?? dealtOptions({ batch, microBatches }),
      batch,
      microBatches,
      ms: estimate.ms,
      times,
    };
  });
  const better = others
    .filter(({ times }) => times >= WORTH_IT)
    .reduce<Better | null>((best, each) => (best === null || each.times > best.times ? each : best), null);
  const text = shareText(run, share, better, { few: isNoGain ? stages : null, computers });
  return { share, better, isNoGain, text };
}

/** `options`: null: those that say how its steps are dealt. */
interface Other extends Pick<RunSpec, "arithmetic" | "codecs"> {
  readonly options: string | null;
}

function othersOf(run: DealtRun, codec: string): readonly Other[] {
  const { arithmetic, codecs } = run;
  const fast = (its: string) => ({ arithmetic: "fast" as const, ...codecsPart("fast", readCodecs(its)) });
  const dealtOtherwise = { options: null, arithmetic, ...(codecs && { codecs }) };
  if (arithmetic === "exact") return [dealtOtherwise, { options: "--fast", ...fast(codec) }];
  if (sumCodecOf(run) !== "f32") return [dealtOtherwise];
  return [dealtOtherwise, { options: `--codec ${AUTO}`, ...fast(AUTO) }];
}

function shareText(
  { arithmetic }: DealtRun,
  share: number,
  better: Better | null,
  { few, computers }: { readonly few: number | null; readonly computers: number },
): string {
  const why =
    arithmetic === "exact"
      ? "the gradient of every micro-batch is sent, for a result that is the same to the bit"
      : "they are as large as the model";
  const gain =
    few === null ? "" : `, so ${number(computers)} computers train hardly faster than ${number(few)} would`;
  const helps =
    better === null
      ? "computers whose lines are faster would help"
      : `with ${better.options}, which begins the run anew, they would train ${better.times.toFixed(1)} times as much in the same time (${dealtText(better)}, about ${seconds(better)} a step)`;
  return `${percent(share)} of a step is for sums (${why})${gain}; ${helps}.`;
}

/** Sequences in a millisecond. */
function rate({ batch, microBatches }: Dealt, { ms }: { readonly ms: number }): number {
  return (batch * microBatches) / ms;
}
