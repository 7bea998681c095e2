import { formatTao, RAO_PER_TAO } from "../../src-protocol/units.ts";
import type { DaemonState } from "../../src-protocol/state.ts";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export { duration } from "../../src-protocol/amounts.ts";

export type Asset = DaemonState["earnings"]["asset"];

/** `412880` → `"412,880"`. */
export function count(value: number): string {
  return whole.format(value);
}

/** `2621440` → `"2.6M"`. */
export function rough(value: number): string {
  return compact.format(value);
}

/** Nats per token, always three digits after the point so that the last digit means the same. */
export function lossText(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

/** A rate: no more digits than can be read while it changes. */
export function rate(value: number | null): string {
  return value === null ? "–" : value < 10 ? value.toFixed(1) : whole.format(value);
}

/** `1, "hour"` → `"1 hour"`; `2` → `"2 hours"`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** `["a", "b", "c"]` → `"a, b and c"`. */
export function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? "";
  return items.length < 2 ? last : `${items.slice(0, -1).join(", ")} and ${last}`;
}

/**
 * An amount to be glanced at: four digits that count, rounded down, never more than there is.
 * `2134567n` → `"0.002134"`. The exact amount is `formatTao`'s.
 */
export function amount(rao: string): string {
  const value = BigInt(rao);
  if (value === 0n) return "0";
  const integerDigits = (value / RAO_PER_TAO).toString();
  const step =
    value >= RAO_PER_TAO
      ? 10n ** BigInt(Math.max(5, 5 + integerDigits.length))
      : 10n ** BigInt(Math.max(0, value.toString().length - 4));
  return formatTao((value / step) * step);
}

/** The sign or word of an asset. Test units never wear the sign of real money. */
export function unitOf(asset: Asset): string {
  return asset === "test" ? "test units" : asset === "tao" ? "τ" : "α";
}

export function money(rao: string, asset: Asset): string {
  return asset === "test" ? `${amount(rao)} test units` : `${unitOf(asset)} ${amount(rao)}`;
}

/** `"23:04"` on this computer's clock. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}

/** `"23:04:59"` today, `"19 Nov 23:04"` on other days. */
export function moment(at: number, now: number): string {
  const date = new Date(at);
  if (date.toDateString() === new Date(now).toDateString()) {
    return `${clock(at)}:${String(date.getSeconds()).padStart(2, "0")}`;
  }
  const month = date.toLocaleString("en-US", { month: "short" });
  return `${date.getDate()} ${month} ${clock(at)}`;
}

/** `"5F3sa2…TZqwx"`: enough of an address or id to recognise it. */
export function shortened(text: string, head = 6, tail = 6): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}
