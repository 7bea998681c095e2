import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { mostCounted, replicaBytes, sumValues, tiedValues } from "./replica-memory.ts";
import type { SharedStage } from "./replica-memory.ts";
import { stagesOf } from "./stages.ts";

const VALUES = 1_000_000;
const FAST = { arithmetic: "fast", microBatches: 8 } as const;
const EXACT = { ...FAST, arithmetic: "exact" } as const;

/** In sums of the stage's gradients. */
function sums(run: SharedStage["run"], replicas: number, more: Partial<SharedStage> = {}): number {
  return (
    replicaBytes({ run, values: VALUES, tiedValues: 0, boundaryBytes: 0, replicas, ...more }) / (4 * VALUES)
  );
}

describe("what a replica keeps besides activations", () => {
  it("is in the class exact the gradient of each micro-batch, its own and others', and their sum", () => {
    expect(sums(EXACT, 1), "alone in its stage, while other stages have replicas").toBe(8 + 1);
    for (const replicas of [2, 4]) expect(sums(EXACT, replicas), "who is left does it all").toBe(8 + 1);
    const many = { ...EXACT, microBatches: 200 };
    const others = (2 * (200 - 60)) / 20;
    expect(sums(many, 20), "six times what is usual, two shards of the others', and the sum").toBe(
      60 + others + 2,
    );
  });

  it("is in the class fast a sum of its own and of each other one that it adds up", () => {
    expect(sums(FAST, 1)).toBe(1 + 1);
    expect(sums(FAST, 4)).toBe(1 + 3 + 1);
    expect(sums(FAST, 40), "two shards of all").toBeCloseTo(1 + 2 + 2, 1);
    expect(sums({ ...FAST, microBatches: 4_096 }, 4), "however many micro-batches").toBe(sums(FAST, 4));
  });

  it("is more where sums travel in fewer bits: what rounding left out, and the sum as it was", () => {
    const codecs = { forward: "f32", backward: "f32", sums: "int8b64" } as const;
    expect(sums({ ...FAST, codecs }, 2)).toBe(sums(FAST, 2) + 4);
  });

  it("is what stages give one another of the parameters that several hold, too", () => {
    expect(sums(FAST, 2, { tiedValues: VALUES / 2 })).toBe(sums(FAST, 2) + 0.5);
  });

  it("is what it has sent of each micro-batch that it counts, until the step is over", () => {
    const kept = (run: SharedStage["run"], replicas: number) =>
      (sums(run, replicas, { boundaryBytes: VALUES }) - sums(run, replicas)) * 4;
    expect(kept(FAST, 1)).toBe(8);
    expect(kept({ ...FAST, microBatches: 4_096 }, 32), "six times what is usual").toBe(6 * 128);
  });
});

it("nobody counts more micro-batches than a step has", () => {
  expect(mostCounted(EXACT, 3)).toBe(8);
  expect(mostCounted({ microBatches: 64 }, 32)).toBe(12);
});

it("a tied matrix is given by each stage that reads it", () => {
  const file = new Uint8Array(readFileSync(join(import.meta.dirname, "fixtures", "llama-tied.onnx")));
  const model = {
    kind: "onnx",
    file: { sha256: sha256(file), bytes: file.length },
    vocabulary: 24,
    tokens: "input",
    scores: "output",
    sizes: { batch: 2, sequence: 6 },
    fixed: {},
  } as const;
  const stages = stagesOf({ model, batch: 2, sequence: 6, stages: 3, arithmetic: "exact" }, file);
  const [embedding] =
    stages[0]?.parameters.filter(({ name }) =>
      stages.at(-1)?.parameters.some((each) => each.name === name),
    ) ?? [];
  expect(embedding).toBeDefined();
  expect(tiedValues(stages)).toBe(2 * (embedding?.size ?? 0));
  const untied = stagesOf({ model: DEFAULT_MODEL, batch: 1, sequence: 8, stages: 3 }, null);
  expect(tiedValues(untied)).toBe(0);
  for (const stage of untied) expect(sumValues(stage)).toBe(stage.parameterCount);
});
