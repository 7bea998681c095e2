import { expect, it } from "vitest";
import { readCodecs } from "../src-protocol/link-codecs.ts";
import { dealtInto, MODEL_SIZES } from "../src-protocol/run-size.ts";
import { microBatchText, microBatchesFor, reachOf } from "./micro-batches.ts";
import type { SizedRun } from "./micro-batches.ts";

const at = (...hosts: readonly string[]) => reachOf(hosts.map((host) => ({ host })));
const run: SizedRun = { size: "default", stages: 3, arithmetic: "fast", codecs: readCodecs("auto") };

it("what lies between a network's computers is read from where they reach it", () => {
  expect(at("127.0.0.1")).toBe("computer");
  expect(at("localhost", "::1")).toBe("computer");
  expect(at("192.168.1.5", "10.0.0.2", "fd00::1")).toBe("lan");
  expect(at("192.168.1.5", "127.0.0.1")).toBe("home");
  expect(at("172.32.0.1")).toBe("home");
  expect(at("kitchen.example.org")).toBe("home");
});

it("steps are dealt for the lines, and as usual where there are none", () => {
  expect(microBatchesFor(run, "home")).toBe(8);
  expect(microBatchesFor({ ...run, codecs: readCodecs("f32") }, "home")).toBe(16);
  expect(microBatchesFor({ ...run, arithmetic: "exact" }, "home")).toBe(4);
  expect(microBatchesFor(run, "computer")).toBeNull();
  expect(microBatchesFor({ ...run, size: "tiny" }, "lan"), "every size can be dealt").toBeGreaterThan(0);
});

it("an operator reads how a step is dealt, how long it will take, and what would be better", () => {
  const best = dealtInto(8, MODEL_SIZES.default);
  expect(microBatchText(run, best, "home")).toBe(
    "8 micro-batches of 4 sequences: over home lines (20 Mbit/s up, 30 ms) a step takes about 1.2 s with one computer for each slice (the busiest computes 21 % of it), and 1.2 s with two.",
  );
  expect(microBatchText(run, dealtInto(16, MODEL_SIZES.default), "home")).toMatch(
    /^16 micro-batches of 2 sequences: .* 8 would suit them better \(--micro-batches 8, which begins the run anew\)\.$/,
  );
  expect(microBatchText(run, MODEL_SIZES.default, "computer")).toBe(
    "8 micro-batches of 4 sequences: as usual on one computer.",
  );
});

it("a step's sequences come out even, or it is said which numbers do", () => {
  expect(dealtInto(16, MODEL_SIZES.default)).toEqual({ batch: 2, microBatches: 16 });
  expect(() => dealtInto(5, MODEL_SIZES.default)).toThrow(
    "A step has 32 sequences, which do not come out even in 5 micro-batches: --micro-batches is 1, 2, 4, 8, 16, 32.",
  );
});
