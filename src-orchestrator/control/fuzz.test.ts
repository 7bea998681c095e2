import { expect, test } from "vitest";
import { PARSERS, dice, fuzzOnce } from "./fuzz.test-support.ts";

test("20,000 mutated frames and messages are taken or refused with a sentence, whatever they hold", () => {
  const roll = dice(20_261_128);
  const counts = new Map(Object.keys(PARSERS).map((name) => [name, { refused: 0, accepted: 0 }]));
  for (let i = 0; i < 20_000; i++) {
    const { parser, outcome } = fuzzOnce(roll);
    const count = counts.get(parser);
    if (count !== undefined) count[outcome] += 1;
  }
  // It reaches both: a fuzzer whose inputs are all nonsense tests the first line of a parser only.
  for (const [parser, { refused, accepted }] of counts) {
    expect([parser, refused > 50]).toEqual([parser, true]);
    expect([parser, accepted > 0]).toEqual([parser, true]);
  }
});
