import type { DateException } from "../../src-protocol/policy.ts";

/** `2026-12-24` → `"Thursday 24 December 2026"`. */
export function dateText(date: string): string {
  const at = new Date(`${date}T00:00Z`);
  const part = (name: Intl.DateTimeFormatOptions) => at.toLocaleString("en-US", { ...name, timeZone: "UTC" });
  return `${part({ weekday: "long" })} ${at.getUTCDate()} ${part({ month: "long" })} ${at.getUTCFullYear()}`;
}

/** What holds on that day in place of the week. */
export function exceptionText({ date, windows }: DateException): string {
  if (windows.length === 0) return dateText(date);
  return `${dateText(date)}: only ${windows.map(({ from, to }) => `${from}–${to}`).join(", ")}`;
}

/** Sorted, and each date once: a day off takes the place of what stood there. */
export function withDayOff(exceptions: readonly DateException[], date: string): DateException[] {
  return [...exceptions.filter((each) => each.date !== date), { date, windows: [] }].toSorted((a, b) =>
    a.date.localeCompare(b.date),
  );
}
