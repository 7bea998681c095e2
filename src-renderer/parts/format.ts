import { say, spokenLocale } from "../../src-protocol/say.ts";
import type { DaemonState } from "../../src-protocol/state.ts";

import { amount, decimals, number } from "../../src-protocol/amounts.ts";

export { amount, decimals, duration } from "../../src-protocol/amounts.ts";

export type Asset = DaemonState["earnings"]["asset"];

/** `412880` → `"412,880"`. */
export function count(value: number): string {
  return number(Math.round(value));
}

/** `2621440` → `"2.6M"`. */
export function rough(value: number): string {
  const options = { notation: "compact", maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(spokenLocale(), options).format(value);
}

/** Nats per token, always three digits after the point so that the last digit means the same. */
export function lossText(value: number | null): string {
  return value === null ? "–" : decimals(value, 3);
}

/** A rate: no more digits than can be read while it changes. */
export function rate(value: number | null): string {
  return value === null ? "–" : value < 10 ? decimals(value, 1) : count(value);
}

/** `["a", "b", "c"]` → `"a, b and c"`. */
export function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? "";
  return items.length < 2
    ? last
    : say("{others} and {last}", { others: items.slice(0, -1).join(", "), last });
}

/** The sign or word of an asset. Test units never wear the sign of real money. */
export function unitOf(asset: Asset): string {
  return asset === "test" ? say("test units") : asset === "tao" ? "τ" : "α";
}

export function money(rao: string, asset: Asset): string {
  return asset === "test" ? `${amount(rao)} ${unitOf(asset)}` : `${unitOf(asset)} ${amount(rao)}`;
}

/** `"23:04"` on this computer's clock. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}

/** `"23:04:59"` today, `"19 Nov 23:04"` on other days. */
export function moment(at: number, now: number): string {
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString()
    ? `${clock(at)}:${String(date.getSeconds()).padStart(2, "0")}`
    : `${dayAndMonth(at)} ${clock(at)}`;
}

export function date(at: number, options: Intl.DateTimeFormatOptions): string {
  return new Date(at).toLocaleDateString(spokenLocale(), options);
}

/** `"19 Nov"`: the day before its month, in English too, as in every text here. */
export function dayAndMonth(at: number): string {
  return say("{day} {month}", { day: new Date(at).getDate(), month: date(at, { month: "short" }) });
}

/** `"Thursday 24 December"`, with `year` `"Thursday 24 December 2026"`. */
export function wholeDate(
  at: number,
  { year, timeZone }: Pick<Intl.DateTimeFormatOptions, "year" | "timeZone"> = {},
): string {
  const part = (options: Intl.DateTimeFormatOptions) =>
    date(at, timeZone === undefined ? options : { ...options, timeZone });
  const text = say("{weekday} {day} {month}", {
    weekday: part({ weekday: "long" }),
    day: Number.parseInt(part({ day: "numeric" }), 10),
    month: part({ month: "long" }),
  });
  return year === undefined ? text : `${text} ${part({ year })}`;
}

/** `"5F3sa2…TZqwx"`: enough of an address or id to recognise it. */
export function shortened(text: string, head = 6, tail = 6): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}
