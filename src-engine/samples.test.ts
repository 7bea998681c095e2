import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { heldOutOffsets, tokensAt, trainingOffsets } from "./samples.ts";

const base = { seed: 3, batch: 4, sequence: 16, corpusTokens: 10_000 };

describe("samples", () => {
  it("train on the first 95 % only, and evaluate on the last 5 % only", () => {
    const request = fc.record({
      seed: fc.nat(),
      batch: fc.integer({ min: 1, max: 8 }),
      sequence: fc.integer({ min: 2, max: 64 }),
      corpusTokens: fc.integer({ min: 1320, max: 100_000 }),
      step: fc.nat(),
      microBatch: fc.nat(100),
      index: fc.nat(),
    });
    fc.assert(
      fc.property(request, (drawn) => {
        const border = Math.floor(drawn.corpusTokens * 0.95);
        const last = drawn.sequence + 1;
        const training = trainingOffsets(drawn);
        const heldOut = heldOutOffsets(drawn);
        expect([training.length, heldOut.length]).toEqual([drawn.batch, drawn.batch]);
        expect(training.every((offset) => offset >= 0 && offset + last <= border)).toBe(true);
        expect(heldOut.every((offset) => offset >= border && offset + last <= drawn.corpusTokens)).toBe(true);
      }),
      { seed: 2 },
    );
  });

  it("are the same for everybody, and other ones for every micro-batch", () => {
    const first = trainingOffsets({ ...base, step: 0, microBatch: 0 });
    expect(first).toEqual(trainingOffsets({ ...base, step: 0, microBatch: 0 }));
    expect(first).toMatchInlineSnapshot(`
      [
        2175,
        5873,
        3475,
        3403,
      ]
    `);
    expect(trainingOffsets({ ...base, step: 0, microBatch: 1 })).not.toEqual(first);
    expect(trainingOffsets({ ...base, step: 1, microBatch: 0 })).not.toEqual(first);
    expect(trainingOffsets({ ...base, seed: 4, step: 0, microBatch: 0 })).not.toEqual(first);
  });

  it("reach every part of the text evenly", () => {
    const offsets = Array.from({ length: 2000 }, (_, step) =>
      trainingOffsets({ ...base, step, microBatch: 0 }),
    ).flat();
    const tenths = Array.from(
      { length: 10 },
      (_, i) => offsets.filter((o) => Math.floor(o / 948.4) === i).length,
    );
    for (const count of tenths) expect(count / 800).toBeCloseTo(1, 0);
  });

  it("have as targets the tokens one byte later", () => {
    const corpus = Uint8Array.from({ length: 100 }, (_, i) => i);
    const { tokens, targets } = tokensAt(corpus, [0, 96], 3);
    expect(Array.from(tokens)).toEqual([0, 1, 2, 96, 97, 98]);
    expect(Array.from(targets)).toEqual([1, 2, 3, 97, 98, 99]);
  });

  it("refuse a text that is too short, and an offset outside it", () => {
    const short = { ...base, corpusTokens: 300, step: 0, microBatch: 0, index: 0 };
    expect(() => heldOutOffsets(short)).toThrow(expect.objectContaining({ code: "corpus-too-small" }));
    expect(() => trainingOffsets({ ...short, corpusTokens: 10 })).toThrow(
      expect.objectContaining({ code: "corpus-too-small" }),
    );
    expect(() => tokensAt(new Uint8Array(10), [7], 3)).toThrow(
      expect.objectContaining({ code: "bad-offset" }),
    );
  });
});

describe("a corpus with a validation set", () => {
  it("trains on what is before it, and evaluates on it alone", () => {
    const shape = { ...base, corpusTokens: 1000, trainingTokens: 900 };
    for (let index = 0; index < 50; index++) {
      const training = trainingOffsets({ ...shape, step: index, microBatch: 0 });
      expect(Math.max(...training) + 17).toBeLessThanOrEqual(900);
      const heldOut = heldOutOffsets({ ...shape, index });
      expect(Math.min(...heldOut)).toBeGreaterThanOrEqual(900);
      expect(Math.max(...heldOut) + 17).toBeLessThanOrEqual(1000);
    }
    expect(() => heldOutOffsets({ ...shape, trainingTokens: 990, index: 0 })).toThrow(
      /The held-out text has 10 tokens, too few for sequences of 16/,
    );
  });
});
