import { expect, test } from "vitest";
import type { MethodName } from "../src-protocol/methods.ts";
import { askedPrice, pricesText } from "./price-command.ts";

/** Notes what is asked for, and answers that nothing is known. */
function listening() {
  const asked: { method: MethodName; params: unknown }[] = [];
  const call = (method: MethodName, params: unknown) => {
    asked.push({ method, params });
    return Promise.resolve({ prices: {} });
  };
  return { asked, client: { call } as unknown as Parameters<typeof askedPrice>[0] };
}

test("a price is said with its currency and where it was read, and is asked for without words", async () => {
  const { asked, client } = listening();
  await askedPrice(client, ["312.5", "eur"], { source: "kraken.com" });
  await askedPrice(client, [], {});
  await askedPrice(client, [], { alpha: true, forget: true });
  expect(asked).toEqual([
    {
      method: "price.set",
      params: { asset: "tao", entered: { price: "312.5", currency: "EUR", source: "kraken.com" } },
    },
    { method: "price.get", params: {} },
    { method: "price.set", params: { asset: "alpha", entered: null } },
  ]);
});

test.each([
  [["312.5"], { source: "kraken.com" }, "needs its currency"],
  [["312.5", "EUR"], {}, "needs its currency and its source"],
  [["-1", "EUR"], { source: "kraken.com" }, "no price"],
  [["1", "EURO"], { source: "kraken.com" }, "no price"],
])("%j is no price, and nothing is changed", async (words, options, text) => {
  const { asked, client } = listening();
  await expect(askedPrice(client, words, options)).rejects.toThrow(text);
  expect(asked).toEqual([]);
});

test("each price is told with its source and age", () => {
  const price = { price: "312.5", currency: "EUR", source: "kraken.com", at: 0 };
  expect(pricesText({ alpha: price }, 86_400_000)).toBe(
    "312.5 EUR for 1 alpha, as entered 1 day ago (1970-01-01) from kraken.com.",
  );
  expect(pricesText({}, 0)).toContain("No price was entered");
});
