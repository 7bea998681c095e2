import { clockOf, DAY_MINUTES } from "./week-hours.ts";

/**
 * A time as people type it: `7`, `700`, `7:00`, `07.00`, `24:00` → `"07:00"`; null when it is none.
 * As a start, midnight is 00:00 only.
 */
export function clockFrom(text: string, as: "from" | "to"): string | null {
  const match = /^\s*(\d{1,2})(?:\s*[:.h]?\s*(\d{2}))?\s*$/.exec(text);
  if (match === null) return null;
  const hours = Number(match[1]);
  const minutes = Number(match[2] ?? "0");
  const total = hours * 60 + minutes;
  if (minutes > 59 || total > DAY_MINUTES || (total === DAY_MINUTES && as === "from")) return null;
  return clockOf(total);
}
