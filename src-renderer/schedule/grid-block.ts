import { CELL_MINUTES, CELLS_PER_DAY, clockOf, DAY_MINUTES, type Interval } from "./week-hours.ts";
import { dayName } from "./next-runs.ts";

/** A cell of the week grid: `day` 0 is Monday, `cell` counts half hours from midnight. */
export interface Place {
  readonly day: number;
  readonly cell: number;
}

export const samePlace = (a: Place, b: Place): boolean => a.day === b.day && a.cell === b.cell;

/** The rectangle between two cells, both in it, as one interval a day. */
export function blockOf(a: Place, b: Place): Interval[] {
  const [top, bottom] = [Math.min(a.day, b.day), Math.max(a.day, b.day)];
  const [left, right] = [Math.min(a.cell, b.cell), Math.max(a.cell, b.cell) + 1];
  return Array.from({ length: bottom - top + 1 }, (_, index) => ({
    start: (top + index) * DAY_MINUTES + left * CELL_MINUTES,
    end: (top + index) * DAY_MINUTES + right * CELL_MINUTES,
  }));
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

/** "Monday 23:00 to 23:30". */
export function placeName({ day, cell }: Place): string {
  return `${dayName(day)} ${clockOf(cell * CELL_MINUTES)} to ${clockOf((cell + 1) * CELL_MINUTES)}`;
}
