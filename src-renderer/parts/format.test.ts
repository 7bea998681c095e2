import fc from "fast-check";
import { expect, test } from "vitest";
import { RAO_PER_TAO } from "../../src-protocol/units.ts";
import { amount, count, duration, listed, lossText, money, rate, rough, shortened } from "./format.ts";

test("amounts show four digits that count", () => {
  expect(amount("0")).toBe("0");
  expect(amount("1")).toBe("0.000000001");
  expect(amount("2134567")).toBe("0.002134");
  expect(amount("1234567890")).toBe("1.234");
  expect(amount("12345678901")).toBe("12.34");
});

test("an amount is never rounded up to more than there is", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 19n }), (rao) => {
      const [whole = "0", fraction = ""] = amount(rao.toString()).split(".");
      const shown = BigInt(whole) * RAO_PER_TAO + BigInt(fraction.padEnd(9, "0"));
      expect(shown <= rao).toBe(true);
      expect(shown * 100n >= rao * 99n).toBe(true);
    }),
    { seed: 3, numRuns: 500 },
  );
});

test("units of a test network never wear the sign of real money", () => {
  expect(money("2134567", "test")).toBe("0.002134 test units");
  expect(money("2134567", "tao")).toBe("τ 0.002134");
});

test("times are told in the largest units that matter", () => {
  expect(duration(12_000)).toBe("12 s");
  expect(duration(14 * 60_000)).toBe("14 min");
  expect(duration(134 * 60_000)).toBe("2 h 14 min");
  expect(duration(50 * 3_600_000)).toBe("2 days 2 h");
});

test("numbers and words", () => {
  expect(count(412_880)).toBe("412,880");
  expect(rough(2_541_312)).toBe("2.5M");
  expect(lossText(null)).toBe("–");
  expect(lossText(3.12)).toBe("3.120");
  expect(rate(4.25)).toBe("4.3");
  expect(rate(2381.6)).toBe("2,382");
  expect(listed(["a", "b", "c"])).toBe("a, b and c");
  expect(shortened("5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX")).toBe("5F3sa2…5EYjQX");
});
