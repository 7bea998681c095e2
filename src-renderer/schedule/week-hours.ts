import { DAYS, type Day, type WeeklyWindow } from "../../src-protocol/policy.ts";

/** The week as a line of minutes, Monday 00:00 is 0. */
export const DAY_MINUTES = 1440;
export const WEEK_MINUTES = 7 * DAY_MINUTES;
/** One cell of the grid. */
export const CELL_MINUTES = 30;
export const CELLS_PER_DAY = DAY_MINUTES / CELL_MINUTES;

/** `start < end ≤ WEEK_MINUTES`; lists of them are sorted and do not touch each other. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

export type Cell = "off" | "part" | "on";

export function minutesOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));
}

/** `1380` → `"23:00"`. */
export function clockOf(minutes: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** All minutes that any of the windows allows. */
export function hoursOf(windows: readonly WeeklyWindow[]): Interval[] {
  const found: Interval[] = [];
  for (const { days, from, to } of windows) {
    const begin = minutesOf(from);
    const length = minutesOf(to) > begin ? minutesOf(to) - begin : minutesOf(to) - begin + DAY_MINUTES;
    for (const day of days) {
      const start = DAYS.indexOf(day) * DAY_MINUTES + begin;
      const end = start + length;
      if (start < WEEK_MINUTES) found.push({ start, end: Math.min(end, WEEK_MINUTES) });
      // Sunday's night goes on in Monday's morning.
      if (end > WEEK_MINUTES)
        found.push({ start: Math.max(0, start - WEEK_MINUTES), end: end - WEEK_MINUTES });
    }
  }
  return joined(found);
}

/** `hours` with `range` switched on or off. */
export function painted(hours: readonly Interval[], range: Interval, on: boolean): Interval[] {
  if (on) return joined([...hours, range]);
  return hours.flatMap(({ start, end }) => [
    ...(start < range.start ? [{ start, end: Math.min(end, range.start) }] : []),
    ...(end > range.end ? [{ start: Math.max(start, range.end), end }] : []),
  ]);
}

/** The fewest windows that allow exactly these hours; equal times of several days become one window. */
export function windowsOf(hours: readonly Interval[]): WeeklyWindow[] {
  const days = new Map<string, Set<Day>>();
  for (const { start, end } of hours.length === 1 ? hours : aroundMonday(hours)) {
    // A window is shorter than a day, or a whole one from midnight: what is longer is cut at its midnights.
    for (const piece of end - start < DAY_MINUTES ? [{ start, end }] : atMidnights(start, end)) {
      const from = piece.start % DAY_MINUTES;
      const times = `${clockOf(from)} ${clockOf(piece.end % DAY_MINUTES === 0 ? DAY_MINUTES : piece.end % DAY_MINUTES)}`;
      const day = DAYS[Math.floor(piece.start / DAY_MINUTES) % 7];
      if (day === undefined) continue;
      days.set(times, (days.get(times) ?? new Set()).add(day));
    }
  }
  return [...days].map(([times, on]) => ({
    days: DAYS.filter((day) => on.has(day)),
    from: times.slice(0, 5),
    to: times.slice(6),
  }));
}

/** Whether the half hour from this minute of the week on is allowed. */
export function cellOf(hours: readonly Interval[], start: number): Cell {
  let covered = 0;
  for (const hour of hours) {
    covered += Math.max(0, Math.min(hour.end, start + CELL_MINUTES) - Math.max(hour.start, start));
  }
  return covered === 0 ? "off" : covered === CELL_MINUTES ? "on" : "part";
}

export function minutesPerWeek(hours: readonly Interval[]): number {
  return hours.reduce((sum, { start, end }) => sum + end - start, 0);
}

function joined(hours: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  for (const { start, end } of hours.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && start <= last.end) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    } else result.push({ start, end });
  }
  return result;
}

/** The hours at both ends of the week are one night: it belongs to Sunday. */
export function aroundMonday(hours: readonly Interval[]): Interval[] {
  const first = hours[0];
  const last = hours.at(-1);
  if (first?.start !== 0 || last?.end !== WEEK_MINUTES || first === last) return [...hours];
  return [...hours.slice(1, -1), { start: last.start, end: WEEK_MINUTES + first.end }];
}

function atMidnights(start: number, end: number): Interval[] {
  const pieces: Interval[] = [];
  for (let at = start; at < end;) {
    const midnight = (Math.floor(at / DAY_MINUTES) + 1) * DAY_MINUTES;
    pieces.push({ start: at, end: Math.min(midnight, end) });
    at = midnight;
  }
  return pieces;
}
