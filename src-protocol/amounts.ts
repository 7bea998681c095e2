import { say, spokenLocale } from "./say.ts";
import { formatTao, RAO_PER_TAO } from "./units.ts";

/** Figures as a person reads them, in the language that is spoken. */

export function number(value: number): string {
  return value.toLocaleString(spokenLocale());
}

/** Always so many digits after the point. */
export function decimals(value: number, digits: number): string {
  return value.toLocaleString(spokenLocale(), {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    useGrouping: false,
  });
}

/** Digits with a point, with the point that the reader's language has. */
export function withPoint(digits: string): string {
  const point = new Intl.NumberFormat(spokenLocale())
    .formatToParts(1.5)
    .find(({ type }) => type === "decimal")?.value;
  return digits.replace(".", point ?? ".");
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
  return withPoint(formatTao((value / step) * step));
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function size(bytes: number): string {
  return scaled(bytes, "B");
}

export function scaled(value: number, unit: string): string {
  const [prefix, per] = (
    [
      ["T", 1e12],
      ["G", 1e9],
      ["M", 1e6],
      ["k", 1e3],
    ] as const
  ).find(([, per]) => value >= per) ?? ["", 1];
  return `${per === 1 ? Math.round(value) : decimals(value / per, 1)} ${prefix}${unit}`;
}

/** `8_040_000` → `"2 h 14 min"`. */
export function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return say("{seconds} s", { seconds: Math.max(0, Math.floor(ms / 1000)) });
  if (minutes < 60) return say("{minutes} min", { minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 48)
    return minutes % 60 === 0
      ? say("{hours} h", { hours })
      : say("{hours} h {minutes} min", { hours, minutes: minutes % 60 });
  return say("{days} days {hours} h", { days: Math.floor(hours / 24), hours: hours % 24 });
}
