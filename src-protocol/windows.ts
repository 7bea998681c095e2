import { DAYS, type WeeklyWindow } from "./policy.ts";
import { instantsOf, localTime } from "./zone.ts";

/**
 * Weekly windows as intervals of real time. A window belongs to the day it starts on. On a DST
 * night its boundaries stay on the wall clock: 23:00–07:00 lasts 7 hours in spring and 9 in autumn.
 * A boundary in the skipped hour moves to the first minute that exists; in the doubled hour a
 * window starts at the first occurrence and ends at the last. Also used by the dashboard.
 */

const DAY_MS = 86_400_000;
/** A window lasts at most a day and a bit, so one that covers a moment started on one of these days. */
const DAYS_BACK = 2;
export const HORIZON_DAYS = 14;

interface Interval {
  start: number;
  end: number;
}

function minutes(clockTime: string): number {
  return Number(clockTime.slice(0, 2)) * 60 + Number(clockTime.slice(3, 5));
}

function localDay(zone: string, at: number): number {
  return Math.floor(localTime(zone, at) / DAY_MS);
}

/** What the windows allow that start on one local day (days since 1970-01-01), by start. */
function onDay(windows: readonly WeeklyWindow[], zone: string, day: number): Interval[] {
  // 1970-01-01 was a Thursday.
  const name = DAYS[(((day + 3) % 7) + 7) % 7];
  const intervals: Interval[] = [];
  for (const window of windows) {
    if (name === undefined || !window.days.includes(name)) continue;
    const from = minutes(window.from);
    const to = minutes(window.to);
    const endDay = to <= from ? day + 1 : day;
    const start = instantsOf(zone, day * DAY_MS + from * 60_000).first;
    const end = instantsOf(zone, endDay * DAY_MS + to * 60_000).last;
    if (end > start) intervals.push({ start, end });
  }
  return intervals.sort((a, b) => a.start - b.start);
}

/** Is `at` (Unix ms) inside one of the windows, read in the IANA zone `zone`? */
export function inWindow(windows: readonly WeeklyWindow[], zone: string, at: number): boolean {
  const today = localDay(zone, at);
  for (let day = today - DAYS_BACK; day <= today; day += 1) {
    if (onDay(windows, zone, day).some(({ start, end }) => start <= at && at < end)) return true;
  }
  return false;
}

export interface Boundary {
  /** Unix ms. */
  at: number;
  /** True: outside until then, inside from then on. */
  opens: boolean;
}

/**
 * The first moment after `at` at which `inWindow` changes, taking windows that touch or overlap as
 * one; null when it does not change within 14 days.
 */
export function nextBoundary(windows: readonly WeeklyWindow[], zone: string, at: number): Boundary | null {
  const today = localDay(zone, at);
  let inside = false;
  /** Up to here everything is known to be as it is at `at`. */
  let reach = at;
  for (let day = today - DAYS_BACK; day <= today + HORIZON_DAYS; day += 1) {
    for (const { start, end } of onDay(windows, zone, day)) {
      if (end <= reach) continue;
      if (start > reach) return within({ at: inside ? reach : start, opens: !inside }, at);
      inside = true;
      reach = end;
    }
  }
  return inside ? within({ at: reach, opens: false }, at) : null;
}

function within(boundary: Boundary, at: number): Boundary | null {
  return boundary.at <= at + HORIZON_DAYS * DAY_MS ? boundary : null;
}
