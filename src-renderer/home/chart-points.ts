import { decimals } from "../parts/format.ts";
import { say } from "../../src-protocol/say.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";

/** Adds a finished step. A step that is done again after a recovery replaces what was drawn from there on. */
export function withPoint(
  points: readonly HistoryPoint[],
  point: HistoryPoint,
  most: number,
): readonly HistoryPoint[] {
  const last = points.at(-1);
  const kept =
    last !== undefined && last.step >= point.step ? points.filter(({ step }) => step < point.step) : points;
  const all = [...kept, point];
  return all.length > most ? thinned(all, Math.floor(most / 2)) : all;
}

/** Those of the last `ms` before the newest one: a run that rests keeps its last line. */
export function lately(points: readonly HistoryPoint[], ms: number): readonly HistoryPoint[] {
  const newest = points.at(-1)?.at ?? 0;
  const first = points.findIndex(({ at }) => at >= newest - ms);
  return first <= 0 ? points : points.slice(first);
}

/**
 * At most `most` points that draw the same line: of each stretch the lowest and the highest loss,
 * always the first and the last point, and held-out points before others.
 */
export function thinned(points: readonly HistoryPoint[], most: number): readonly HistoryPoint[] {
  if (points.length <= most || most < 4) return points;
  const keep = new Set<number>([0, points.length - 1]);
  const buckets = Math.max(1, Math.floor((most - 2) / 3));
  const size = points.length / buckets;
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = Math.floor(bucket * size);
    const to = Math.min(points.length, Math.floor((bucket + 1) * size));
    let low = from;
    let high = from;
    let heldOut = -1;
    for (let index = from; index < to; index += 1) {
      const point = points[index];
      if (point === undefined) continue;
      if (point.loss < (points[low]?.loss ?? Infinity)) low = index;
      if (point.loss > (points[high]?.loss ?? -Infinity)) high = index;
      if (point.heldOutLoss !== null) heldOut = index;
    }
    keep.add(low).add(high);
    if (heldOut >= 0) keep.add(heldOut);
  }
  return points.filter((_, index) => keep.has(index));
}

/** Columns as uPlot takes them: steps, training loss, held-out loss. */
export function columns(points: readonly HistoryPoint[]): [number[], number[], (number | null)[]] {
  return [
    points.map(({ step }) => step),
    points.map(({ loss }) => loss),
    points.map(({ heldOutLoss }) => heldOutLoss),
  ];
}

/** At most `most` rows for the table, newest first, evenly over the run, held-out steps preferred. */
export function tableRows(points: readonly HistoryPoint[], most: number): readonly HistoryPoint[] {
  return thinned(points, most).toReversed();
}

/** The chart in a sentence, for those who cannot see it. */
export function chartSummary(points: readonly HistoryPoint[]): string {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return say("No step is finished yet.");
  const heldOut = points.findLast((point) => point.heldOutLoss !== null)?.heldOutLoss ?? null;
  return [
    say("Training loss from {from} at step {first} to {to} at step {last}.", {
      from: decimals(first.loss, 2),
      first: first.step,
      to: decimals(last.loss, 2),
      last: last.step,
    }),
    ...(heldOut === null ? [] : [say("Held-out loss is {loss}.", { loss: decimals(heldOut, 2) })]),
  ].join(" ");
}
