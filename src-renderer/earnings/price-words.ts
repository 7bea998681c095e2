import { number } from "../../src-protocol/amounts.ts";
import { say } from "../../src-protocol/say.ts";
import { enteredPrice, type EnteredPrice } from "../../src-protocol/price.ts";
import type { Rules } from "../../src-protocol/policy.ts";

type Electricity = NonNullable<Rules["electricity"]>;

/** What was typed became a value, or is refused in a sentence. */
export type Typed<Value> =
  | { readonly value: Value; readonly refusal?: never }
  | { readonly value?: never; readonly refusal: string };

const MOST_PER_KWH = 100;
const MOST_WATTS = 10_000;
const MOST_PRICE = 999_999_999;

/** "0,30" as well as "0.30", and nothing that is no plain decimal; null: neither. */
function decimalOf(text: string): string | null {
  const plain = text.trim().replace(",", ".");
  return /^\d{1,9}(\.\d{1,6})?$/.test(plain) ? plain : null;
}

/** The price of a kWh, and the watts: an empty field is what is measured. */
export function electricityOf(price: string, watts: string): Typed<Electricity> {
  const pricePerKwh = Number(decimalOf(price) ?? Number.NaN);
  if (!(pricePerKwh <= MOST_PER_KWH))
    return {
      refusal: say("That is no price of a kWh: type a number from 0 to {most}, such as 0.30.", {
        most: number(MOST_PER_KWH),
      }),
    };
  if (watts.trim() === "") return { value: { pricePerKwh, watts: null } };
  const drawn = Number(decimalOf(watts) ?? Number.NaN);
  if (!(drawn <= MOST_WATTS))
    return {
      refusal: say("Watts go from 0 to {most}. Leave the field empty for what is measured.", {
        most: number(MOST_WATTS),
      }),
    };
  return { value: { pricePerKwh, watts: drawn } };
}

/** What one is worth, in which currency, and where that was read. */
export function priceOf(price: string, currency: string, source: string): Typed<Omit<EnteredPrice, "at">> {
  const decimal = decimalOf(price);
  if (decimal === null)
    return {
      refusal: say(
        "That is no price: type a number of up to {most} with at most six decimals, such as 312.50.",
        { most: number(MOST_PRICE) },
      ),
    };
  const letters = currency.trim().toUpperCase();
  if (!/^[A-Z]{3}$/.test(letters))
    return { refusal: say("A currency is three letters, such as EUR or USD.") };
  if (source.trim() === "")
    return { refusal: say("Say where you read the price: it stands beside each amount that it makes.") };
  return { value: enteredPrice.omit({ at: true }).parse({ price: decimal, currency: letters, source }) };
}
