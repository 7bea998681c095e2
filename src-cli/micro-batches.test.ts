import { expect, it } from "vitest";
import { readCodecs } from "../src-protocol/link-codecs.ts";
import { dealtInto, MODEL_SIZES } from "../src-protocol/run-size.ts";
import { builtIn, microBatchText, microBatchesFor } from "./micro-batches.ts";
import type { SizedRun } from "./micro-batches.ts";
import type { Reach } from "./network-reach.ts";

const run: SizedRun = { size: "default", stages: 3, arithmetic: "fast", codecs: readCodecs("auto") };

it("steps are dealt for the lines, and as usual where there are none", () => {
  const best = (change: Partial<SizedRun>, reach: Reach) =>
    microBatchesFor(builtIn({ ...run, ...change }), MODEL_SIZES[change.size ?? run.size], reach);
  expect(best({}, "home")).toBe(8);
  expect(best({ codecs: readCodecs("f32") }, "home")).toBe(16);
  expect(best({ arithmetic: "exact" }, "home")).toBe(4);
  expect(best({}, "computer")).toBeNull();
  expect(best({ size: "tiny" }, "lan"), "every size can be dealt").toBeGreaterThan(0);
});

it("an operator reads how a step is dealt, how long it will take, and what would be better", () => {
  const best = dealtInto(8, MODEL_SIZES.default);
  expect(microBatchText(builtIn(run), best, "home", 8)).toBe(
    "8 micro-batches of 4 sequences: over home lines (20 Mbit/s up, 30 ms) a step takes about 1.2 s with one computer for each slice (the busiest computes 21 % of it), and 1.2 s with two.",
  );
  expect(microBatchText(builtIn(run), dealtInto(16, MODEL_SIZES.default), "home", 8)).toMatch(
    /^16 micro-batches of 2 sequences: .* 8 would suit them better \(--micro-batches 8, which begins the run anew\)\.$/,
  );
  expect(microBatchText(builtIn(run), MODEL_SIZES.default, "computer", null)).toBe(
    "8 micro-batches of 4 sequences.",
  );
});

it("a step's sequences come out even, or it is said which numbers do", () => {
  expect(dealtInto(16, MODEL_SIZES.default)).toEqual({ batch: 2, microBatches: 16 });
  expect(() => dealtInto(5, MODEL_SIZES.default)).toThrow(
    "A step has 32 sequences, which do not come out even in 5 micro-batches: --micro-batches is 1, 2, 4, 8, 16, 32.",
  );
});
