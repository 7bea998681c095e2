/**
 * Wall-clock time in an IANA zone, from nothing but `Intl`; runs in Node and in the browser.
 * A local time is a number too: the Unix milliseconds that the same digits would have in UTC.
 */

const DAY_MS = 86_400_000;

/** The offset over one UTC day: `before` until the instant `turn`, `after` from then on. */
interface OffsetDay {
  before: number;
  after: number;
  turn: number;
}

interface Zone {
  format: Intl.DateTimeFormat;
  /** By UTC day number. `Intl` is slow and this is asked every second, so a day is asked once. */
  days: Map<number, OffsetDay>;
}

const zones = new Map<string, Zone>();
const MOST_DAYS = 512;

function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (zone === undefined) {
    const numeric = "numeric";
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    });
    zone = { format, days: new Map() };
    zones.set(name, zone);
  }
  return zone;
}

/** Asks `Intl`; `at` is a whole second. */
function askOffset(zone: Zone, at: number): number {
  const field = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of zone.format.formatToParts(at)) {
    if (type in field) field[type as keyof typeof field] = Number(value);
  }
  return Date.UTC(field.year, field.month - 1, field.day, field.hour, field.minute, field.second) - at;
}

/** No zone changes its offset twice within a day, so both ends and one search between them tell all. */
function offsetDay(zone: Zone, number: number): OffsetDay {
  const known = zone.days.get(number);
  if (known !== undefined) return known;
  let low = number * DAY_MS;
  let turn = low + DAY_MS;
  const before = askOffset(zone, low);
  const after = askOffset(zone, turn);
  if (before !== after) {
    while (turn - low > 1000) {
      const middle = low + Math.floor((turn - low) / 2000) * 1000;
      if (askOffset(zone, middle) === before) low = middle;
      else turn = middle;
    }
  }
  if (zone.days.size >= MOST_DAYS) zone.days.clear();
  const day = { before, after, turn };
  zone.days.set(number, day);
  return day;
}

/** True for a zone that this computer's `Intl` knows. */
export function isTimeZone(name: string): boolean {
  try {
    zoneOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The computer's own zone now; UTC where it has none that can be named. */
export function ownTimeZone(): string {
  const name = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return isTimeZone(name) ? name : "UTC";
}

/** What the clocks in `zone` show at the instant `at`. Throws a RangeError for an unknown zone. */
export function localTime(zone: string, at: number): number {
  const day = offsetDay(zoneOf(zone), Math.floor(at / DAY_MS));
  return at + (at < day.turn ? day.before : day.after);
}

/**
 * The first and the last instant at which the clocks in `zone` show `local`. They differ only in
 * the hour that an autumn night has twice. In the hour that a spring night skips, both are the
 * instant at which the clocks jump over it.
 */
export function instantsOf(zone: string, local: number): { first: number; last: number } {
  // Offsets lie between -12 h and +14 h, so these two instants enclose every candidate.
  const early = local - 15 * 3_600_000;
  const late = local + 13 * 3_600_000;
  const a = local - (localTime(zone, early) - early);
  const b = local - (localTime(zone, late) - late);
  if (a === b) return { first: a, last: a };
  const shown = [a, b].filter((at) => localTime(zone, at) === local);
  if (shown.length > 0) return { first: Math.min(...shown), last: Math.max(...shown) };
  const days = zoneOf(zone);
  for (let number = Math.floor(early / DAY_MS); number <= Math.floor(late / DAY_MS); number += 1) {
    const day = offsetDay(days, number);
    if (day.before !== day.after) return { first: day.turn, last: day.turn };
  }
  return { first: a, last: a };
}

/** When the month after the one of `at` begins on the clocks in `zone`. */
export function monthAfter(zone: string, at: number): number {
  const local = new Date(localTime(zone, at));
  return instantsOf(zone, Date.UTC(local.getUTCFullYear(), local.getUTCMonth() + 1, 1)).first;
}

/** When the month of `at` began on the clocks in `zone`. */
export function monthOf(zone: string, at: number): number {
  const local = new Date(localTime(zone, at));
  return instantsOf(zone, Date.UTC(local.getUTCFullYear(), local.getUTCMonth(), 1)).first;
}

/** When the day of `at` began on the clocks in `zone`. */
export function dayOf(zone: string, at: number): number {
  return instantsOf(zone, Math.floor(localTime(zone, at) / DAY_MS) * DAY_MS).first;
}
