import type { PresenceHour } from "../../src-protocol/forecast.ts";
import { localTime } from "../../src-protocol/zone.ts";

const HOUR_MS = 3_600_000;
/** So much of an hour has to be known for it to count. */
const LEAST_SEEN_MS = HOUR_MS / 4;

/** 0 is Monday 00:00 on the clocks in `zone`. */
export function hourOfWeek(zone: string, at: number): number {
  const hours = Math.floor(localTime(zone, at) / HOUR_MS);
  // Day 0 of Unix time was a Thursday.
  return (((hours + 72) % 168) + 168) % 168;
}

/** For each hour of the week the share in which nobody was here, by what was seen; null: never seen. */
export function awayShare(presence: readonly PresenceHour[], zone: string): (at: number) => number | null {
  const table = awayTable(presence, zone);
  return (at) => table[hourOfWeek(zone, at)]?.share ?? null;
}

export interface HourOfWeek {
  readonly share: number;
  /** In how many weeks this hour was seen. */
  readonly weeks: number;
}

export function awayTable(presence: readonly PresenceHour[], zone: string): (HourOfWeek | null)[] {
  const sums = Array.from({ length: 168 }, () => ({ away: 0, seen: 0, weeks: 0 }));
  for (const { at, awayMs, seenMs } of presence) {
    const sum = sums[hourOfWeek(zone, at)];
    if (sum === undefined || seenMs < LEAST_SEEN_MS) continue;
    sum.away += awayMs;
    sum.seen += seenMs;
    sum.weeks += 1;
  }
  return sums.map(({ away, seen, weeks }) => (seen === 0 ? null : { share: away / seen, weeks }));
}
