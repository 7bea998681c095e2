import { describe, expect, it } from "vitest";
import { parseDuration } from "./duration.ts";

const evening = new Date(2026, 10, 20, 22, 30);

describe("how long", () => {
  it.each([
    ["45", 45],
    ["30m", 30],
    ["30min", 30],
    ["2h", 120],
    ["1h30m", 90],
    ["1h 30m", 90],
    ["1d", 1440],
    ["7d", 10080],
    ["until 07:00", 510],
    ["until 23:00", 30],
    ["UNTIL 7.00", 510],
    ["until 22:30", 1440],
  ])("%s is %i minutes at half past ten in the evening", (text, minutes) => {
    expect(parseDuration(text.split(" "), evening)).toBe(minutes);
  });

  it("until a time of the clock is to the second, and not some part of a minute longer", () => {
    const late = new Date(2026, 10, 20, 22, 30, 40);
    expect(parseDuration(["until", "23:00"], late)).toBeCloseTo(29 + 20 / 60, 9);
    expect(parseDuration(["until", "22:31"], late)).toBe(1);
  });

  it.each(["", "soon", "0", "-5", "8d", "1.5h", "until 25:00", "until", "until 7", "10 years", "1e3"])(
    "%j is refused with examples",
    (text) => {
      expect(() => parseDuration(text.split(" "), evening)).toThrow(/Say for example 45, 30m, 2h/);
    },
  );
});
