import { z } from "zod";
import { MOST_MICRO_BATCHES } from "./model.ts";

/**
 * Some of a step's micro-batches, written in the shorter of two ways. As bits in hex: of byte `i`, bit `j` is micro-batch
 * `8i + j`; no zero byte stands at the end, and none is empty. Or, where few of many are meant, as what lies between them:
 * after a dot each, in base 36, how far the next one is from the one before, the first one from -1. So what dozens of replicas
 * have done of a step of thousands fits into a message. Bits may also be where the other way is shorter: earlier
 * versions know only them.
 */
export const microBatchSet = z
  .string()
  // SECURITY: one that is too long is not looked at any further.
  .max(MOST_MICRO_BATCHES / 4, { abort: true })
  .regex(/^(?:(?:[0-9a-f]{2})*(?:[0-9a-f][1-9a-f]|[1-9a-f]0)|(?:\.[1-9a-z][0-9a-z]{0,2})+)$/)
  .refine((set) => {
    if (!set.startsWith(GAP)) return true;
    const last = gapsOf(set).reduce((total, gap) => total + gap, -1);
    return last < MOST_MICRO_BATCHES && set.length < 2 * bytesUpTo(last);
  });
export type MicroBatchSet = z.infer<typeof microBatchSet>;

const GAP = ".";

function gapsOf(set: string): number[] {
  return set
    .slice(GAP.length)
    .split(GAP)
    .map((gap) => Number.parseInt(gap, 36));
}

function bytesUpTo(last: number): number {
  return (last >> 3) + 1;
}

/** `""` when there are none: that is no `MicroBatchSet`. */
export function setOfMicroBatches(numbers: Iterable<number>): MicroBatchSet {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const last = sorted.at(-1);
  if (last === undefined) return "";
  const gaps = sorted.map((number, at) => GAP + (number - (sorted[at - 1] ?? -1)).toString(36)).join("");
  if (gaps.length < 2 * bytesUpTo(last)) return gaps;
  const bytes = new Uint8Array(bytesUpTo(last));
  for (const number of sorted) bytes[number >> 3] = (bytes[number >> 3] ?? 0) | (1 << (number & 7));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** In ascending order. */
export function microBatchesOf(set: MicroBatchSet): number[] {
  const numbers: number[] = [];
  if (set.startsWith(GAP)) {
    let number = -1;
    for (const gap of gapsOf(set)) numbers.push((number += gap));
    return numbers;
  }
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
  return overlapsAny(one, [other]);
}

/** With any of the others. One walk over each: there may be dozens, of thousands. */
export function overlapsAny(one: MicroBatchSet, others: Iterable<MicroBatchSet>): boolean {
  const known = marked(microBatchesOf(one));
  for (const other of others) if (microBatchesOf(other).some((number) => known[number] === 1)) return true;
  return false;
}

/** All of each part are of the whole, and none is of two parts. One walk over each, too. */
export function areApartWithin(parts: Iterable<MicroBatchSet>, whole: readonly number[]): boolean {
  const left = marked(whole);
  for (const part of parts)
    for (const number of microBatchesOf(part)) {
      if (left[number] !== 1) return false;
      left[number] = 0;
    }
  return true;
}

function marked(numbers: readonly number[]): Uint8Array {
  const marks = new Uint8Array(MOST_MICRO_BATCHES);
  for (const number of numbers) marks[number] = 1;
  return marks;
}
