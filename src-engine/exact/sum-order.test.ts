import { expect, it } from "vitest";
import { sumBlock } from "./sum-order.ts";

const product = (m: number, n: number, k: number, batch = 1) => ({ batch, m, n, k, isLeftTransposed: false });

// What was seen to differ, and not to, on 1 to 16 threads, and with the threads of a processor of
// two kinds of cores.
it.each([
  ["as many columns as rows", product(512, 512, 512), 128],
  ["a short sum", product(64, 1024, 128), 128],
  ["few columns on every computer", product(1024, 48, 512), 256],
  ["very few", product(1024, 2, 4096), 1024],
  ["a stack that keeps all threads busy", product(16, 512, 512, 64), 128],
])("%s: sums are taken in one order", (_, shape, block) => expect(sumBlock(shape)).toBe(block));

it.each([
  ["more columns than rows, from 4 threads", product(128, 256, 704)],
  ["from 12 threads", product(128, 704, 256)],
  ["from 16 threads", product(64, 1024, 1024)],
  ["from 2 threads", product(64, 96, 256)],
  ["one row", product(1, 96, 64)],
  ["one column", product(96, 1, 64)],
  ["so few rows that a thread gets one", product(16, 16, 8192)],
])("%s: the order depends on the computer", (_, shape) => expect(sumBlock(shape)).toBeNull());
