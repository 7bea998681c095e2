import { wholeDate } from "../parts/format.ts";
import { say } from "../../src-protocol/say.ts";
import type { DateException } from "../../src-protocol/policy.ts";

/** `2026-12-24` → `"Thursday 24 December 2026"`. */
export function dateText(date: string): string {
  return wholeDate(Date.parse(`${date}T00:00Z`), { timeZone: "UTC", year: "numeric" });
}

/** What holds on that day in place of the week. */
export function exceptionText({ date, windows }: DateException): string {
  if (windows.length === 0) return dateText(date);
  return say("{date}: only {hours}", {
    date: dateText(date),
    hours: windows.map(({ from, to }) => `${from}–${to}`).join(", "),
  });
}

/** Sorted, and each date once: a day off takes the place of what stood there. */
export function withDayOff(exceptions: readonly DateException[], date: string): DateException[] {
  return [...exceptions.filter((each) => each.date !== date), { date, windows: [] }].toSorted((a, b) =>
    a.date.localeCompare(b.date),
  );
}
