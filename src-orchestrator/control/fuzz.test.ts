import { expect, test } from "vitest";
import { dice, fuzzOnce } from "./fuzz.test-support.ts";

test("20,000 mutated frames and messages are taken or refused with a sentence, whatever they hold", () => {
  const roll = dice(20_261_128);
  const count = { refused: 0, accepted: 0 };
  for (let i = 0; i < 20_000; i++) count[fuzzOnce(roll)] += 1;
  expect(count.refused + count.accepted).toBe(20_000);
  // It reaches both: a fuzzer whose inputs are all nonsense tests the first line of a parser only.
  expect(count.refused).toBeGreaterThan(5_000);
  expect(count.accepted).toBeGreaterThan(500);
});
