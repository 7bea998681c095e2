import { Failure } from "../src-protocol/failure.ts";
import { enteredPrice, priceText } from "../src-protocol/price.ts";
import type { PricedAsset, Prices } from "../src-protocol/price.ts";
import type { ApiClient } from "./api-client.ts";

export interface PriceWords {
  readonly alpha?: true;
  readonly source?: string;
  readonly forget?: true;
}

/** `tah price`: what 1 TAO is worth, by its owner's word: nothing asks for prices over the network. */
export async function askedPrice(
  client: Pick<ApiClient, "call">,
  [price, currency]: readonly (string | undefined)[],
  { alpha, source, forget }: PriceWords,
): Promise<Prices> {
  const asset = alpha === true ? "alpha" : "tao";
  if (forget === true) return (await client.call("price.set", { asset, entered: null })).prices;
  if (price === undefined) return (await client.call("price.get", {})).prices;
  if (currency === undefined || source === undefined)
    throw new Failure(
      "bad-option",
      "A price needs its currency and its source: say for example `tah price 312.5 EUR --source kraken.com`.",
    );
  const entered = enteredPrice
    .omit({ at: true })
    .safeParse({ price, currency: currency.toUpperCase(), source });
  if (!entered.success)
    throw new Failure(
      "bad-option",
      `That is no price: ${entered.error.issues[0]?.message ?? "unknown form"}.`,
    );
  return (await client.call("price.set", { asset, entered: entered.data })).prices;
}

export function pricesText(known: Prices, now: number): string {
  const rows = (["tao", "alpha"] as const satisfies PricedAsset[]).flatMap((asset) => {
    const entered = known[asset];
    return entered === undefined ? [] : `${priceText(asset, entered, now)}.`;
  });
  return rows.length === 0 ? "No price was entered: earnings are shown in their own units." : rows.join("\n");
}
