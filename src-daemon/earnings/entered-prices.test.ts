import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { enterPrice, readPrices } from "./entered-prices.ts";

/** Windows knows no such bits. */
const OTHERS = process.platform === "win32" ? 0 : 0o077;
const PRICE = { price: "312.5", currency: "EUR", source: "kraken.com", at: 7 };

test("a price is kept for its owner alone and can be forgotten; a damaged file has none", () => {
  const home = temporaryFolder();
  expect(enterPrice(home, "tao", PRICE)).toEqual({ tao: PRICE });
  expect(statSync(join(home, "prices.json")).mode & OTHERS).toBe(0);
  expect(enterPrice(home, "alpha", PRICE)).toEqual({ tao: PRICE, alpha: PRICE });
  expect(readPrices(home)).toEqual({ tao: PRICE, alpha: PRICE });
  enterPrice(home, "alpha", null);
  expect(enterPrice(home, "tao", null)).toEqual({});
  writeFileSync(join(home, "prices.json"), "{");
  expect(readPrices(home)).toEqual({});
});
