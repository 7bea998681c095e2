import { z } from "zod";
import { plural } from "./amounts.ts";
import type { Forecast } from "./forecast.ts";
import type { DaemonState } from "./state.ts";
import { RAO_PER_TAO, assetWord } from "./units.ts";

const DAY_MS = 86_400_000;
const DECIMALS = 6;

/** What its owner has entered that 1 TAO (or 1 alpha) is worth. No price is ever asked for over the network. */
export const enteredPrice = z.strictObject({
  /** Of one, as a decimal with at most six places. */
  price: z.string().regex(/^\d{1,9}(\.\d{1,6})?$/, "a number with at most six decimals"),
  currency: z.string().regex(/^[A-Z]{3}$/, "three capital letters, such as EUR"),
  source: z.string().trim().min(1).max(100),
  at: z.int().nonnegative(),
});
export type EnteredPrice = z.infer<typeof enteredPrice>;

export const pricedAsset = z.enum(["tao", "alpha"]);
export type PricedAsset = z.infer<typeof pricedAsset>;
export const prices = z.strictObject({ tao: enteredPrice.optional(), alpha: enteredPrice.optional() });
export type Prices = z.infer<typeof prices>;

/** What an amount is worth, rounded down to hundredths; `"1234.50"`. */
export function worthOf(rao: bigint, { price }: Pick<EnteredPrice, "price">): string {
  const [whole = "0", fraction = ""] = price.split(".");
  const micros = BigInt(whole + fraction.padEnd(DECIMALS, "0"));
  const cents = (rao * micros) / RAO_PER_TAO / 10_000n;
  return `${cents / 100n}.${String(cents % 100n).padStart(2, "0")}`;
}

/** "312.5 EUR for 1 TAO, as entered 3 days ago (2026-11-25) from kraken.com". */
export function priceText(
  asset: PricedAsset,
  { price, currency, source, at }: EnteredPrice,
  now: number,
): string {
  const days = Math.floor(Math.max(0, now - at) / DAY_MS);
  const age = days === 0 ? "today" : `${plural(days, "day")} ago`;
  const date = new Date(at).toISOString().slice(0, 10);
  return `${price} ${currency} for 1 ${assetWord(asset)}, as entered ${age} (${date}) from ${source}`;
}

/** What was paid is worth so much, with source and age of the price; null: no price, nothing known, or test units. */
export function paidWorth(
  { earnings }: Pick<DaemonState, "earnings">,
  entered: Prices,
  now: number,
): { readonly text: string; readonly worth: string; readonly price: EnteredPrice } | null {
  const { asset, asOf, paidRao } = earnings;
  // SECURITY: test units are never shown as money.
  if (asset === "test" || asOf === null) return null;
  const price = entered[asset];
  if (price === undefined) return null;
  const worth = worthOf(BigInt(paidRao), price);
  const text = `Worth:     what was paid, about ${worth} ${price.currency} (${priceText(asset, price, now)})`;
  return { text, worth, price };
}

/**
 * What is expected less the electricity for it, lowest to highest; null: no price, nothing paid yet, nothing known of
 * electricity, or test units. The price of a kWh was entered in the same currency.
 */
export function netOf(
  { pay, electricity }: Pick<Forecast, "pay" | "electricity">,
  entered: Prices,
  now: number,
): { readonly text: string; readonly low: string; readonly high: string; readonly currency: string } | null {
  // SECURITY: test units are never shown as money.
  if (pay === null || pay.asset === "test" || electricity === null) return null;
  const price = entered[pay.asset];
  if (price === undefined) return null;
  const gross = [pay.lowRao, pay.highRao].map((rao) => worthOf(BigInt(rao), price));
  const [low = "", high = ""] = gross.map((worth) => (Number(worth) - electricity.cost).toFixed(2));
  const { currency } = price;
  const cost = electricity.cost.toFixed(2);
  return {
    text: `Net: ${gross.join(" to ")} ${currency} less ${cost} for electricity is ${low} to ${high} ${currency} (${priceText(pay.asset, price, now)}).`,
    low,
    high,
    currency,
  };
}
