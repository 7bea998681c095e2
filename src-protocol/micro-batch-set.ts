import { z } from "zod";
import { MOST_MICRO_BATCHES } from "./model.ts";

/**
 * Some of a step's micro-batches, as bits in hex: of byte `i`, bit `j` is micro-batch `8i + j`. There is one
 * way to write each set: no zero byte stands at the end, and none is empty.
 */
export const microBatchSet = z
  .string()
  .max(MOST_MICRO_BATCHES / 4)
  .regex(/^(?:[0-9a-f]{2})*(?:[0-9a-f][1-9a-f]|[1-9a-f]0)$/);
export type MicroBatchSet = z.infer<typeof microBatchSet>;

/** `""` when there are none: that is no `MicroBatchSet`. */
export function setOfMicroBatches(numbers: Iterable<number>): MicroBatchSet {
  const bytes: number[] = [];
  for (const number of numbers) {
    const at = number >> 3;
    while (bytes.length <= at) bytes.push(0);
    bytes[at] = (bytes[at] ?? 0) | (1 << (number & 7));
  }
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** In ascending order. */
export function microBatchesOf(set: MicroBatchSet): number[] {
  const numbers: number[] = [];
  for (let at = 0; at * 2 < set.length; at++) {
    const byte = Number.parseInt(set.slice(at * 2, at * 2 + 2), 16);
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) numbers.push(at * 8 + bit);
  }
  return numbers;
}

export function isWithin(some: MicroBatchSet, all: MicroBatchSet): boolean {
  const whole = new Set(microBatchesOf(all));
  return microBatchesOf(some).every((number) => whole.has(number));
}

export function overlaps(one: MicroBatchSet, other: MicroBatchSet): boolean {
  const known = new Set(microBatchesOf(one));
  return microBatchesOf(other).some((number) => known.has(number));
}
