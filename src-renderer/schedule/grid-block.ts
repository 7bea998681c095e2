import { say } from "../../src-protocol/say.ts";
import {
  CELL_MINUTES,
  CELLS_PER_DAY,
  clockOf,
  DAY_MINUTES,
  type Interval,
  WEEK_MINUTES,
} from "./week-hours.ts";
import { dayName } from "./next-runs.ts";

/**
 * A cell of the week grid. A row is a night: `day` 0 begins on Monday at noon and ends on Tuesday at noon, and
 * `cell` counts half hours from there.
 */
export interface Place {
  readonly day: number;
  readonly cell: number;
}

const NOON_MINUTES = DAY_MINUTES / 2;

export const samePlace = (a: Place, b: Place): boolean => a.day === b.day && a.cell === b.cell;

/** Where a cell begins, as a minute of the week; Sunday's night ends in Monday's morning. */
export function startOf({ day, cell }: Place): number {
  return (day * DAY_MINUTES + NOON_MINUTES + cell * CELL_MINUTES) % WEEK_MINUTES;
}

/** The rectangle between two cells, both in it, as one interval a night; two where the week ends within one. */
export function blockOf(a: Place, b: Place): Interval[] {
  const [top, bottom] = [Math.min(a.day, b.day), Math.max(a.day, b.day)];
  const [left, right] = [Math.min(a.cell, b.cell), Math.max(a.cell, b.cell) + 1];
  return Array.from({ length: bottom - top + 1 }, (_, index) => {
    const noon = (top + index) * DAY_MINUTES + NOON_MINUTES;
    return withinWeek(noon + left * CELL_MINUTES, noon + right * CELL_MINUTES);
  }).flat();
}

function withinWeek(start: number, end: number): Interval[] {
  if (end <= WEEK_MINUTES) return [{ start, end }];
  if (start >= WEEK_MINUTES) return [{ start: start - WEEK_MINUTES, end: end - WEEK_MINUTES }];
  return [
    { start, end: WEEK_MINUTES },
    { start: 0, end: end - WEEK_MINUTES },
  ];
}

export function inBlock(place: Place, a: Place, b: Place): boolean {
  return (
    place.day >= Math.min(a.day, b.day) &&
    place.day <= Math.max(a.day, b.day) &&
    place.cell >= Math.min(a.cell, b.cell) &&
    place.cell <= Math.max(a.cell, b.cell)
  );
}

/** Where a key leads, or null when it is not a key of the grid. */
export function moved({ day, cell }: Place, key: string): Place | null {
  const last = CELLS_PER_DAY - 1;
  switch (key) {
    case "ArrowLeft":
      return { day, cell: Math.max(0, cell - 1) };
    case "ArrowRight":
      return { day, cell: Math.min(last, cell + 1) };
    case "ArrowUp":
      return { day: Math.max(0, day - 1), cell };
    case "ArrowDown":
      return { day: Math.min(6, day + 1), cell };
    case "PageUp":
      return { day, cell: Math.max(0, cell - 12) };
    case "PageDown":
      return { day, cell: Math.min(last, cell + 12) };
    case "Home":
      return { day, cell: 0 };
    case "End":
      return { day, cell: last };
    default:
      return null;
  }
}

/** The cell under a point of a box in which all cells are equally large; outside it the nearest one. */
export function placeAt(x: number, y: number, width: number, height: number): Place {
  const index = (value: number, size: number, count: number) =>
    Math.min(count - 1, Math.max(0, Math.floor((value / size) * count)));
  return { day: index(y, height, 7), cell: index(x, width, CELLS_PER_DAY) };
}

/** "Monday 23:00 to 23:30", by the day that it really is. */
export function placeName(place: Place): string {
  const start = startOf(place);
  const minutes = start % DAY_MINUTES;
  return say("{day} {from} to {to}", {
    day: dayName(Math.floor(start / DAY_MINUTES)),
    from: clockOf(minutes),
    to: clockOf(minutes + CELL_MINUTES),
  });
}
