import { expect, test } from "vitest";
import { netOf, paidWorth, worthOf } from "./price.ts";
import { workingState } from "./working-state.test-support.ts";

const DAY_MS = 86_400_000;
const AT = Date.parse("2026-11-25T12:00:00Z");
const PRICE = { price: "312.5", currency: "EUR", source: "kraken.com", at: AT };

const paid = (asset: "test" | "alpha" | "tao", paidRao: string) => {
  const state = workingState();
  return { earnings: { ...state.earnings, asset, paidRao } };
};

test("what was paid is shown with the price's source and age", () => {
  expect(paidWorth(paid("tao", "2000000000"), { tao: PRICE }, AT + 3 * DAY_MS)?.text).toBe(
    "Worth:     what was paid, about 625.00 EUR (312.5 EUR for 1 TAO, as entered 3 days ago (2026-11-25) from kraken.com)",
  );
  expect(paidWorth(paid("alpha", "2000000000"), { tao: PRICE }, AT), "another asset").toBeNull();
});

test("what was earned in test units is never shown as money", () => {
  const prices = { tao: PRICE, alpha: PRICE };
  expect(paidWorth(paid("test", "2000000000"), prices, AT)).toBeNull();
});

test("earnings that are not known have no worth", () => {
  const { earnings } = paid("tao", "2000000000");
  expect(paidWorth({ earnings: { ...earnings, asOf: null } }, { tao: PRICE }, AT)).toBeNull();
});

test("worth is computed in whole numbers and rounded down", () => {
  expect(worthOf(1n, { price: "312.5" })).toBe("0.00");
  expect(worthOf(999_999_999n, { price: "1" })).toBe("0.99");
  expect(worthOf(9_007_199_254_740_993_000_000_000n, { price: "0.000001" })).toBe("9007199254.74");
});

test("what is expected is shown net of electricity, as a range, and never of test units", () => {
  const pay = {
    asset: "tao",
    lowRao: "1000000000",
    highRao: "2000000000",
    claims: 2,
    workedHours: 9,
  } as const;
  const electricity = { kWh: 1000, cost: 400, watts: 100, measured: null };
  const net = netOf({ pay, electricity }, { tao: PRICE }, AT);
  expect(net).toMatchObject({ low: "-87.50", high: "225.00", currency: "EUR" });
  expect(net?.text).toBe(
    "Net: 312.50 to 625.00 EUR less 400.00 for electricity is -87.50 to 225.00 EUR (312.5 EUR for 1 TAO, as entered today (2026-11-25) from kraken.com).",
  );
  expect(netOf({ pay: { ...pay, asset: "test" }, electricity }, { tao: PRICE }, AT)).toBeNull();
  expect(netOf({ pay, electricity: null }, { tao: PRICE }, AT)).toBeNull();
  expect(netOf({ pay: null, electricity }, { tao: PRICE }, AT)).toBeNull();
});
