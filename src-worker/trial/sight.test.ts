import { describe, expect, it } from "vitest";
import type { Sight } from "../../src-protocol/model-trial.ts";
import { sightOf } from "./sight.ts";

const SEQUENCE = 6;

/** Scores at a place depend on the tokens at the places that `sees` lists. */
function model(sees: (place: number) => readonly number[], vocabulary = 8, transposed = false) {
  return {
    batch: 2,
    sequence: SEQUENCE,
    vocabulary,
    scores: async (tokens: Int32Array): Promise<Float32Array> => {
      const scores = new Float32Array(tokens.length * vocabulary);
      for (let row = 0; row < 2; row++)
        for (let place = 0; place < SEQUENCE; place++)
          for (let v = 0; v < vocabulary; v++) {
            const sum = sees(place).reduce((all, at) => all + (tokens[row * SEQUENCE + at] ?? 0), 0);
            const at = transposed ? v * SEQUENCE + place : place * vocabulary + v;
            scores[row * SEQUENCE * vocabulary + at] = Math.sin(sum * (v + 1));
          }
      return scores;
    },
  };
}

const upTo = (last: number): number[] => Array.from({ length: last + 1 }, (_, i) => i);

describe("how a model looks at its text", () => {
  it.each<[string, Sight, ReturnType<typeof model>]>([
    ["only back", "causal", model(upTo)],
    ["one place ahead", "ahead", model((place) => upTo(Math.min(SEQUENCE - 1, place + 1)))],
    ["at all of it", "ahead", model(() => upTo(SEQUENCE - 1))],
    ["ahead within a part of it", "ahead", model((place) => (place < 4 ? [0, 1, 2, 3] : upTo(place)))],
    ["not at all", "blind", model(() => [])],
    ["with places last", "transposed", model(upTo, SEQUENCE, true)],
    ["back, with as many tokens as places", "causal", model(upTo, SEQUENCE)],
    ["ahead, with as many tokens as places", "ahead", model(() => upTo(SEQUENCE - 1), SEQUENCE)],
  ])("%s: %s", async (_, sight, scorer) => {
    expect(await sightOf(scorer)).toBe(sight);
  });
});
