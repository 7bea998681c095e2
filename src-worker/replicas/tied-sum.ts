import type { Activations, StageInfo } from "../compute/compute-call.ts";
import { sumsOf, summedOf, tiedCount } from "../compute/parameter-home.ts";

/**
 * Gradients of parameters that several stages hold, in the sums of one of them. Everybody adds the places where
 * such a parameter is read from the last stage to the first, as a pipeline of single holders does on their way.
 */
export type TiedStage = Pick<StageInfo, "index" | "parameters" | "uses" | "ties" | "tiedSums">;

/** That, of the stage's whole gradient sum; null: it holds no tied parameter. */
export function tiedPart(stage: TiedStage, total: Activations): Activations | null {
  const part = new Float32Array(tiedCount(stage, stage.index));
  if (part.length === 0) return null;
  let at = 0;
  for (const { from, size } of placesOf(stage)) {
    part.set(total.subarray(from, from + size), at);
    at += size;
  }
  return part;
}

/** Puts the sums over all stages into the stage's whole gradient sum. `parts`: by stage, of those that hold any. */
export function setTied(stage: TiedStage, total: Activations, parts: ReadonlyMap<number, Activations>): void {
  const order = [...parts].toSorted(([a], [b]) => b - a);
  const read = new Map<number, number>();
  for (const [tie, { name, size }] of stage.ties.entries()) {
    const sum = new Float32Array(size);
    for (const [index, part] of order)
      for (let each = 0; each < (stage.tiedSums[index]?.[tie] ?? 0); each++) {
        const from = read.get(index) ?? 0;
        read.set(index, from + size);
        for (let i = 0; i < size; i++) sum[i] = (sum[i] as number) + (part[from + i] as number);
      }
    // The first of its places gets all of it; the others are added to that before the step.
    for (const [i, place] of placesOf({ ...stage, ties: [{ name, size }] }).entries())
      if (i === 0) total.set(sum, place.from);
      else total.fill(0, place.from, place.from + size);
  }
}

/** Where the tied parameters' sums are in all of the stage's. */
function placesOf(
  stage: Pick<StageInfo, "parameters" | "uses"> & {
    readonly ties: readonly { readonly name: string; readonly size: number }[];
  },
): { readonly from: number; readonly size: number }[] {
  const starts: number[] = [];
  let at = 0;
  for (const { size } of summedOf(stage)) {
    starts.push(at);
    at += size;
  }
  return stage.ties.flatMap(({ name, size }) =>
    sumsOf(stage, name).map((index) => ({ from: starts[index] ?? 0, size })),
  );
}
