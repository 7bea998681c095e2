import { phrase, say } from "../../src-protocol/say.ts";
import { type KeyboardEvent, type PointerEvent, useRef, useState } from "react";
import { blockOf, inBlock, moved, type Place, placeAt, placeName, samePlace, startOf } from "./grid-block.ts";
import { shortDayName } from "./next-runs.ts";
import styles from "./week-grid.module.css";
import { cellOf, CELLS_PER_DAY, type Interval } from "./week-hours.ts";

export interface WeekGridProps {
  hours: readonly Interval[];
  onPaint: (range: readonly Interval[], on: boolean) => void;
  describedBy: string;
}

/** A rectangle being dragged or extended; every cell in it becomes what its first cell became. */
interface Brush {
  from: Place;
  to: Place;
  on: boolean;
}

const ROWS = [0, 1, 2, 3, 4, 5, 6];
const CELLS = Array.from({ length: CELLS_PER_DAY }, (_, cell) => cell);
/** Monday 23:00: what most people begin with. */
const FIRST_CELL = 22;
const HOURS = [12, 15, 18, 21, 0, 3, 6, 9];
const WORDS = {
  on: phrase("runs"),
  part: phrase("runs for a part of it"),
  off: phrase("does not run"),
} as const;

/** Seven nights of half hours, each from noon to noon so that it is one block, painted with mouse, finger or keyboard. */
export function WeekGrid({ hours, onPaint, describedBy }: WeekGridProps) {
  const [cursor, setCursor] = useState<Place>({ day: 0, cell: FIRST_CELL });
  const [brush, setBrush] = useState<Brush | null>(null);
  const body = useRef<HTMLDivElement>(null);
  /** The corner that Shift with arrows extends from. */
  const anchor = useRef<{ place: Place; on: boolean } | null>(null);

  const turned = (place: Place) => cellOf(hours, startOf(place)) !== "on";

  const placeOf = (event: PointerEvent): Place => {
    const box = event.currentTarget.getBoundingClientRect();
    return placeAt(event.clientX - box.left, event.clientY - box.top, box.width, box.height);
  };
  const begin = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const place = placeOf(event);
    setCursor(place);
    setBrush({ from: place, to: place, on: turned(place) });
  };
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    if (brush === null) return;
    const to = placeOf(event);
    if (!samePlace(to, brush.to)) setBrush({ ...brush, to });
  };
  const finish = () => {
    if (brush === null) return;
    onPaint(blockOf(brush.from, brush.to), brush.on);
    anchor.current = { place: brush.from, on: brush.on };
    setCursor(brush.to);
    setBrush(null);
  };

  const press = (event: KeyboardEvent) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const on = turned(cursor);
      anchor.current = { place: cursor, on };
      onPaint(blockOf(cursor, cursor), on);
      return;
    }
    const next = moved(cursor, event.key);
    if (next === null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.shiftKey) {
      anchor.current ??= { place: cursor, on: turned(cursor) };
      onPaint(blockOf(anchor.current.place, next), anchor.current.on);
    } else anchor.current = null;
    setCursor(next);
    const cell = body.current?.children[next.day]?.children[next.cell];
    if (cell instanceof HTMLElement) cell.focus();
  };

  const look = (place: Place) =>
    brush !== null && inBlock(place, brush.from, brush.to)
      ? brush.on
        ? "on"
        : "off"
      : cellOf(hours, startOf(place));

  return (
    <div className={styles["grid"]} data-painting={brush !== null || undefined}>
      <div className={styles["hours"]} aria-hidden="true">
        {HOURS.map((hour) => (
          <span key={hour}>{String(hour).padStart(2, "0")}</span>
        ))}
      </div>
      <div className={styles["days"]} aria-hidden="true">
        {ROWS.map((day) => (
          <span key={day}>{shortDayName(day)}</span>
        ))}
      </div>
      {/* oxlint-disable-next-line jsx-a11y/interactive-supports-focus -- one cell of it has the focus */}
      <div
        ref={body}
        className={styles["body"]}
        role="grid"
        aria-label={say("Hours of the week")}
        aria-describedby={describedBy}
        aria-multiselectable="true"
        onKeyDown={press}
        onPointerDown={begin}
        onPointerMove={drag}
        onPointerUp={finish}
        onPointerCancel={() => setBrush(null)}
      >
        {ROWS.map((day) => (
          // A table that scrolls, wraps and is laid out as a table is not what a painted grid needs.
          // oxlint-disable-next-line jsx-a11y/prefer-tag-over-role
          <div key={day} role="row" className={styles["row"]}>
            {CELLS.map((cell) => {
              const state = look({ day, cell });
              const here = samePlace(cursor, { day, cell });
              return (
                <div
                  key={cell}
                  // oxlint-disable-next-line jsx-a11y/prefer-tag-over-role -- as its row
                  role="gridcell"
                  className={styles["cell"]}
                  aria-label={`${placeName({ day, cell })}, ${say(WORDS[state])}`}
                  aria-selected={state === "on"}
                  data-state={state}
                  tabIndex={here ? 0 : -1}
                />
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}
