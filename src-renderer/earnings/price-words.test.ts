import { expect, test } from "vitest";
import { electricityOf, priceOf } from "./price-words.ts";

test("a kWh's price is taken with a point or a comma, and empty watts are what is measured", () => {
  expect(electricityOf("0.30", "").value).toEqual({ pricePerKwh: 0.3, watts: null });
  expect(electricityOf(" 0,285 ", "120").value).toEqual({ pricePerKwh: 0.285, watts: 120 });
  expect(electricityOf("0", "0").value).toEqual({ pricePerKwh: 0, watts: 0 });
});

test.each(["", "cheap", "-0.3", "101", "1e3", "0.3 EUR", "1.2.3", "NaN", "Infinity"])(
  "“%s” is no price of a kWh, and the refusal says what is",
  (typed) => {
    expect(electricityOf(typed, "60").refusal).toBe(
      "That is no price of a kWh: type a number from 0 to 100, such as 0.30.",
    );
  },
);

test.each(["-5", "ten", "10001", "0x10"])("“%s” are no watts", (typed) => {
  expect(electricityOf("0.3", typed).refusal).toContain("Watts go from 0 to 10,000.");
});

test("a price has its currency and its source, and what is missing is named", () => {
  expect(priceOf("312,5", "eur", " kraken.com ").value).toEqual({
    price: "312.5",
    currency: "EUR",
    source: "kraken.com",
  });
  expect(priceOf("much", "EUR", "kraken.com").refusal).toContain("That is no price");
  expect(priceOf("0.1234567", "EUR", "kraken.com").refusal).toContain("at most six decimals");
  expect(priceOf("312.5", "€", "kraken.com").refusal).toContain("three letters");
  expect(priceOf("312.5", "EUR", "  ").refusal).toContain("where you read the price");
});
