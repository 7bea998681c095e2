import { expect, it } from "vitest";
import { randomStream } from "../src-engine/random.ts";
import { DataFuzz, FUZZED } from "./fuzz.test-support.ts";

/** Of each kind; `npm run bench -- fuzz-data` tries 10,000. */
const TRIES = 40;

it.each(FUZZED)(
  "a damaged file gives a clear error or the right tokens: %s",
  async (name) => {
    const fuzz = new DataFuzz(name, randomStream("fuzz", name));
    const ends = { read: 0, refused: 0 };
    try {
      for (let i = 0; i < TRIES; i++) ends[await fuzz.once()] += 1;
    } finally {
      fuzz.close();
    }
    expect(ends.read + ends.refused).toBe(TRIES);
  },
  60_000,
);
