import { describe, expect, it } from "vitest";
import { draw, writeTexts } from "./write-text.ts";

/** Of 10 tokens; the likeliest next one is the last plus what is said. Notes what it was fed. */
function counting({ batch, sequence, step = 1 }: { batch: number; sequence: number; step?: number }) {
  const fed: number[][] = [];
  return {
    fed,
    batch,
    sequence,
    vocabulary: 10,
    scores: async (tokens: Int32Array): Promise<Float32Array> => {
      fed.push([...tokens]);
      const scores = new Float32Array(tokens.length * 10);
      for (const [at, token] of tokens.entries()) scores[at * 10 + ((token + step) % 10)] = 5;
      return scores;
    },
  };
}

const GREEDY = { tokens: 4, temperature: 0, seed: 1, largestToken: 9, end: null, mostMs: null };

describe("writing", () => {
  it("goes on from each prompt, reading the scores at its last place", async () => {
    const scorer = counting({ batch: 2, sequence: 5 });
    expect(await writeTexts(scorer, { ...GREEDY, prompts: [[1], [3, 4, 5]] })).toEqual([
      [2, 3, 4, 5],
      [6, 7, 8, 9],
    ]);
    expect(scorer.fed[0]).toEqual([1, 0, 0, 0, 0, 3, 4, 5, 0, 0]);
  });

  it("goes on from the last tokens where a text is longer than the model's window", async () => {
    const scorer = counting({ batch: 1, sequence: 3 });
    expect(await writeTexts(scorer, { ...GREEDY, prompts: [[5, 6, 7, 8]] })).toEqual([[9, 0, 1, 2]]);
    expect(scorer.fed.at(-1)).toEqual([9, 0, 1]);
  });

  it("takes as many rows at a time as the model has, and leaves out what has ended", async () => {
    const scorer = counting({ batch: 1, sequence: 4 });
    const written = await writeTexts(scorer, { ...GREEDY, prompts: [[1], [7]], end: 9 });
    expect(written).toEqual([[2, 3, 4, 5], [8]]);
    expect(scorer.fed).toHaveLength(6);
  });

  it("never writes a token that no text has", async () => {
    const scorer = counting({ batch: 1, sequence: 4 });
    const [text = []] = await writeTexts(scorer, { ...GREEDY, prompts: [[5]], largestToken: 6, tokens: 20 });
    expect(Math.max(...text)).toBeLessThanOrEqual(6);
  });

  it("is the same for the same seed, and another text for another one", async () => {
    const written = (seed: number) =>
      writeTexts(counting({ batch: 1, sequence: 4 }), {
        ...GREEDY,
        prompts: [[5]],
        tokens: 30,
        temperature: 3,
        seed,
      });
    expect(await written(1)).toEqual(await written(1));
    expect(await written(1)).not.toEqual(await written(2));
  });

  it("ends when its time is over", async () => {
    const scorer = counting({ batch: 1, sequence: 4 });
    let at = 0;
    const clock = (): number => (at += 10);
    const [text = []] = await writeTexts(
      scorer,
      { ...GREEDY, prompts: [[5]], tokens: 1000, mostMs: 45 },
      () => undefined,
      clock,
    );
    expect(text).toHaveLength(4);
  });

  it("draws tokens as often as their scores say", () => {
    const scores = Float32Array.of(Math.log(1), Math.log(3), -Infinity);
    let turn = 0;
    const random = (): number => (turn = (turn + 0.618_034) % 1);
    const drawn = Array.from({ length: 1000 }, () => draw(scores, 1, random));
    const share = (token: number): number => drawn.filter((each) => each === token).length / 1000;
    expect(share(0)).toBeCloseTo(0.25, 1);
    expect(share(2)).toBe(0);
  });
});
