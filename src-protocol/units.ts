import { z } from "zod";

/** 1 TAO (or 1 alpha) is 1e9 RAO. Amounts are `bigint` in code and decimal strings on every wire. */
export const RAO_PER_TAO = 1_000_000_000n;

/** How an asset is called in a sentence. Test units never bear the name of money. */
export function assetWord(asset: "test" | "alpha" | "tao"): string {
  return asset === "test" ? "test units" : asset === "tao" ? "TAO" : "alpha";
}

/** A RAO amount on a wire: a non-negative decimal integer, at most 20 digits (fits u64). */
export const raoText = z.string().regex(/^(0|[1-9]\d{0,19})$/, "a whole number of rao");

/** `1234567890n` → `"1.23456789"`; trailing zeros are cut, at least `digits` decimals stay. */
export function formatTao(rao: bigint, digits = 0): string {
  const sign = rao < 0n ? "-" : "";
  const positive = rao < 0n ? -rao : rao;
  const whole = positive / RAO_PER_TAO;
  const fraction = (positive % RAO_PER_TAO).toString().padStart(9, "0").replace(/0+$/, "");
  const padded = fraction.padEnd(digits, "0");
  return padded === "" ? `${sign}${whole}` : `${sign}${whole}.${padded}`;
}
