import {
  DAYS,
  type DateException,
  type Limits,
  type Rules,
  type WeeklyWindow,
  type WindowLimits,
} from "./rules.ts";
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

export interface Interval {
  /** Unix ms; `end` is not in it. */
  readonly start: number;
  readonly end: number;
}

interface Opening extends Interval {
  readonly limits: WindowLimits | undefined;
}

/** The hours of a week and the dates on which they are others. */
export interface Hours {
  readonly windows: readonly WeeklyWindow[];
  readonly exceptions: readonly DateException[];
}

/** What the rules say of hours; "always" is every day, and its exceptions hold too. */
export function hoursOfRules({ schedule, windows, exceptions }: Rules): Hours {
  return schedule === "windows" ? { windows, exceptions } : { windows: EVERY_DAY, exceptions };
}

const EVERY_DAY: readonly WeeklyWindow[] = [{ days: [...DAYS], from: "00:00", to: "24:00" }];

function minutes(clockTime: string): number {
  return Number(clockTime.slice(0, 2)) * 60 + Number(clockTime.slice(3, 5));
}

function localDay(zone: string, at: number): number {
  return Math.floor(localTime(zone, at) / DAY_MS);
}

/** What starts on one local day (days since 1970-01-01), by start. */
function onDay({ windows, exceptions }: Hours, zone: string, day: number): Opening[] {
  // 1970-01-01 was a Thursday.
  const name = DAYS[(((day + 3) % 7) + 7) % 7];
  const date = exceptions.length === 0 ? "" : new Date(day * DAY_MS).toISOString().slice(0, 10);
  const exception = exceptions.find((one) => one.date === date);
  const today = exception?.windows ?? windows.filter(({ days }) => name !== undefined && days.includes(name));
  const openings: Opening[] = [];
  for (const { from: starts, to: ends, limits } of today) {
    const from = minutes(starts);
    const to = minutes(ends);
    const endDay = to <= from ? day + 1 : day;
    const start = instantsOf(zone, day * DAY_MS + from * 60_000).first;
    const end = instantsOf(zone, endDay * DAY_MS + to * 60_000).last;
    if (end > start) openings.push({ start, end, limits });
  }
  return openings.sort((a, b) => a.start - b.start);
}

/** The windows that are open at `at`. */
function openAt(hours: Hours, zone: string, at: number): Opening[] {
  const today = localDay(zone, at);
  const open: Opening[] = [];
  for (let day = today - DAYS_BACK; day <= today; day += 1)
    open.push(...onDay(hours, zone, day).filter(({ start, end }) => start <= at && at < end));
  return open;
}

/** Is `at` (Unix ms) inside one of the windows, read in the IANA zone `zone`? */
export function inWindow(hours: Hours, zone: string, at: number): boolean {
  return openAt(hours, zone, at).length > 0;
}

/** What is asked at `at`: of the rules and of every window that is open, the strictest. */
export function limitsAt(rules: Rules, zone: string, at: number): Limits {
  const always: Limits = { ...rules.work, ...rules.limits };
  return openAt(hoursOfRules(rules), zone, at).reduce((all, { limits }) => strictest(all, limits), always);
}

function strictest(a: Limits, b: WindowLimits | undefined): Limits {
  if (b === undefined) return a;
  const least = (x: number | null, y: number | null | undefined): number | null =>
    y === null || y === undefined ? x : x === null ? y : Math.min(x, y);
  return {
    cores: least(a.cores, b.cores),
    gpu: a.gpu && b.gpu !== false,
    quiet: a.quiet || b.quiet === true,
    memoryMegabytes: least(a.memoryMegabytes, b.memoryMegabytes),
    uploadMbit: least(a.uploadMbit, b.uploadMbit),
    downloadMbit: least(a.downloadMbit, b.downloadMbit),
  };
}

/** The first moment after `at` at which some window opens or closes; null: none within 14 days. */
export function nextEdge(hours: Hours, zone: string, at: number): number | null {
  const today = localDay(zone, at);
  let next: number | null = null;
  for (let day = today - DAYS_BACK; day <= today + HORIZON_DAYS; day += 1) {
    for (const { start, end } of onDay(hours, zone, day))
      for (const edge of [start, end]) if (edge > at && (next === null || edge < next)) next = edge;
    // What starts on later days starts later than this.
    if (next !== null && day > today) break;
  }
  return next;
}

/** All that the windows allow between two moments, windows that touch or overlap as one. */
export function allowedBetween(hours: Hours, zone: string, from: number, to: number): Interval[] {
  const found: Interval[] = [];
  for (let day = localDay(zone, from) - DAYS_BACK; day <= localDay(zone, to); day += 1) {
    for (const opening of onDay(hours, zone, day)) {
      const start = Math.max(opening.start, from);
      const end = Math.min(opening.end, to);
      const last = found.at(-1);
      if (end <= start) continue;
      if (last !== undefined && start <= last.end)
        found[found.length - 1] = { start: last.start, end: Math.max(last.end, end) };
      else found.push({ start, end });
    }
  }
  return found;
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
export function nextBoundary(hours: Hours, zone: string, at: number): Boundary | null {
  const today = localDay(zone, at);
  let inside = false;
  /** Up to here everything is known to be as it is at `at`. */
  let reach = at;
  for (let day = today - DAYS_BACK; day <= today + HORIZON_DAYS; day += 1) {
    for (const { start, end } of onDay(hours, zone, day)) {
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
