import { expect, it } from "vitest";
import { Failure } from "../src-protocol/failure.ts";
import { readCodecs } from "../src-protocol/link-codecs.ts";
import { dealtInto, MODEL_SIZES } from "../src-protocol/run-size.ts";
import { builtIn, dealtFor, expected, microBatchText } from "./micro-batches.ts";
import type { SizedRun } from "./micro-batches.ts";
import type { Reach } from "./network-reach.ts";

const run: SizedRun = { size: "default", stages: 3, arithmetic: "fast", codecs: readCodecs("auto") };

it("steps are dealt for the lines, and as usual where there are none", () => {
  const best = (change: Partial<SizedRun>, reach: Reach) =>
    dealtFor(builtIn({ ...run, ...change }), MODEL_SIZES[change.size ?? run.size], reach, null);
  expect(best({}, "home")).toEqual({ batch: 4, microBatches: 8 });
  expect(best({ codecs: readCodecs("f32") }, "home")).toEqual({ batch: 2, microBatches: 16 });
  expect(best({ arithmetic: "exact" }, "home")).toEqual({ batch: 8, microBatches: 4 });
  expect(best({}, "computer")).toBeNull();
  expect(best({ size: "tiny" }, "lan"), "every size can be dealt").not.toBeNull();
});

it("an operator reads how a step is dealt, how long it will take, and what would be better", () => {
  const best = dealtInto(8, MODEL_SIZES.default);
  expect(microBatchText(builtIn(run), best, "home", { best, computers: null })).toBe(
    "8 micro-batches of 4 sequences: over home lines (20 Mbit/s up, 30 ms) a step takes about 1.2 s with one computer for each slice (the busiest computes 21 % of it), and 1.2 s with two.",
  );
  expect(
    microBatchText(builtIn(run), dealtInto(16, MODEL_SIZES.default), "home", { best, computers: null }),
  ).toMatch(
    /^16 micro-batches of 2 sequences: .* 8 of 4 would suit them better \(--micro-batches 8 --batch 4, which begins the run anew\)\.$/,
  );
  expect(microBatchText(builtIn(run), MODEL_SIZES.default, "computer", { best: null, computers: null })).toBe(
    "8 micro-batches of 4 sequences.",
  );
});

it("a step's sequences come out even, or it is said which numbers do", () => {
  expect(dealtInto(16, MODEL_SIZES.default)).toEqual({ batch: 2, microBatches: 16 });
  expect(() => dealtInto(5, MODEL_SIZES.default)).toThrow(
    "A step has 32 sequences, which do not come out even in 5 micro-batches: --micro-batches is 1, 2, 4, 8, 16, 32, or more than 32 of 4 for a larger step.",
  );
  expect(dealtInto(4096, MODEL_SIZES.default), "more are a larger step").toEqual({
    batch: 4,
    microBatches: 4096,
  });
});

it("an operator who expects many computers gets larger steps, and reads what they will be spent on", () => {
  const best = dealtFor(builtIn(run), MODEL_SIZES.default, "home", 60) ?? MODEL_SIZES.default;
  expect(best.microBatches).toBeGreaterThan(1_000);
  const text = microBatchText(builtIn(run), best, "home", { best, computers: 60 });
  expect(text).toMatch(
    /^\d,\d{3} micro-batches of 4 sequences: over home lines \(20 Mbit\/s up, 30 ms\) a step takes about \d+ s with 60 computers, 20 for each slice: \d{3} sequences a second \(the busiest computes \d+ % of it; [\d.]+ s are to fill and to empty the slices, [\d.]+ s for sums, [\d.]+ s for what is done again for those who leave\)\.$/,
  );
  const without = (stages: number) =>
    microBatchText(builtIn({ ...run, stages }), best, "home", { best, computers: 200 });
  expect(without(2)).toMatch(
    / 104 of them find no place: a slice has 48 at most\. More slices \(--stages\) have more\.$/,
  );
  expect(without(3), "its three blocks").toMatch(
    / 56 of them .* and this model cannot be divided into more than 3 slices\. A larger model \(--model\) can\.$/,
  );
  expect(expected(builtIn(run), MODEL_SIZES.default, "home", 60)).toMatchObject({ replicas: 20 });
  expect(expected(builtIn(run), MODEL_SIZES.default, "home", null)).toBeNull();
});

it("a model that takes so many sequences at a time and no others gets more micro-batches of them", () => {
  const usual = MODEL_SIZES.default;
  const open = builtIn(run);
  const fixed = {
    ...open,
    stagesOf: (batch: number) => {
      if (batch !== usual.batch)
        throw new Failure("bad-option", "Its slices take micro-batches of 4 and no others.");
      return open.stagesOf(batch);
    },
  };
  const { batch, microBatches } = usual;
  expect(dealtFor(fixed, usual, "home", null), "for few").toEqual({ batch, microBatches });
  expect(dealtFor(fixed, usual, "home", 60)).toMatchObject({ batch });
  expect(dealtFor(fixed, usual, "home", 60)?.microBatches).toBeGreaterThan(1_000);
  const exact = { ...fixed, arithmetic: "exact" as const };
  expect(dealtFor(exact, usual, "home", 60), "in exact, too, where they would be larger").toMatchObject({
    batch,
  });
});
