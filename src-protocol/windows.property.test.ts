import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DAYS, type WeeklyWindow } from "./policy.ts";
import { inWindow, nextBoundary } from "./windows.ts";

const MINUTE = 60_000;
const DAY_MINUTES = 1440;
/** A change of the clocks lies in the middle of each span, so most moments are near one. */
const SPANS = [
  ["Europe/Berlin", "2026-03-19"],
  ["Europe/Berlin", "2026-10-15"],
  ["America/New_York", "2027-03-04"],
  ["America/New_York", "2027-10-28"],
  ["Australia/Lord_Howe", "2026-03-26"],
  ["Australia/Lord_Howe", "2026-09-24"],
  ["Asia/Kathmandu", "2026-12-20"],
] as const;
const SPAN_DAYS = 24;

/**
 * Knows nothing of offsets: it asks what the clock shows at every minute of the span, marks each
 * window between the minutes that show its boundaries, and then looks at the marks.
 */
class Oracle {
  readonly zone: string;
  readonly start: number;
  readonly labels: string[] = [];
  readonly first = new Map<string, number>();
  readonly last = new Map<string, number>();

  constructor(zone: string, from: string) {
    this.zone = zone;
    this.start = Date.parse(`${from}T00:00Z`);
    const two = "2-digit";
    const clock = new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone,
      year: "numeric",
      month: two,
      day: two,
      hour: two,
      minute: two,
    });
    for (let index = 0; index < SPAN_DAYS * DAY_MINUTES; index += 1) {
      const label = clock.format(this.start + index * MINUTE);
      this.labels.push(label);
      if (!this.first.has(label)) this.first.set(label, index);
      this.last.set(label, index);
    }
  }

  /** The minute that shows `label`, or the first after the jump over it. */
  #find(label: string, which: ReadonlyMap<string, number>): number {
    const shown = which.get(label);
    if (shown !== undefined) return shown;
    const later = this.labels.findIndex((other) => other > label);
    return later === -1 ? this.labels.length : later;
  }

  /** Inside or not, for every minute. The first and last days of the span are not to be relied on. */
  marks(windows: readonly WeeklyWindow[]): Uint8Array {
    const marks = new Uint8Array(this.labels.length);
    for (const date of new Set(this.labels.map((label) => label.slice(0, 10)))) {
      const weekday = DAYS[(new Date(`${date}T12:00Z`).getUTCDay() + 6) % 7];
      const nextDate = new Date(Date.parse(`${date}T12:00Z`) + DAY_MINUTES * MINUTE)
        .toISOString()
        .slice(0, 10);
      for (const { days, from, to } of windows) {
        if (weekday === undefined || !days.includes(weekday)) continue;
        const end = to === "24:00" ? `${nextDate} 00:00` : `${to > from ? date : nextDate} ${to}`;
        marks.fill(1, this.#find(`${date} ${from}`, this.first), this.#find(end, this.last));
      }
    }
    return marks;
  }
}

const oracles = SPANS.map(([zone, from]) => new Oracle(zone, from));

/** Half of the times lie in the hours in which clocks change. */
const clock = fc
  .oneof(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 60, max: 240 }))
  .map(
    (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`,
  );
const window: fc.Arbitrary<WeeklyWindow> = fc
  .record({
    days: fc.subarray([...DAYS], { minLength: 1 }),
    from: clock,
    to: fc.oneof({ weight: 9, arbitrary: clock }, { weight: 1, arbitrary: fc.constant("24:00") }),
  })
  .filter(({ from, to }) => from !== to);
const situation = fc.record({
  oracle: fc.constantFrom(...oracles),
  windows: fc.array(window, { maxLength: 5 }),
  // Two days after the start, and early enough that a week and more of the span lies ahead.
  minute: fc.integer({ min: 2 * DAY_MINUTES, max: 12 * DAY_MINUTES }),
  milliseconds: fc.integer({ min: 0, max: MINUTE - 1 }),
});

describe("windows agree with a clock that is read minute by minute", () => {
  it("inside or outside, and the next boundary, near every kind of clock change", () => {
    fc.assert(
      fc.property(situation, ({ oracle, windows, minute, milliseconds }) => {
        const marks = oracle.marks(windows);
        const at = oracle.start + minute * MINUTE + milliseconds;
        const inside = marks[minute] === 1;
        expect(inWindow({ windows, exceptions: [] }, oracle.zone, at)).toBe(inside);

        const horizon = (SPAN_DAYS - 3) * DAY_MINUTES;
        let change = minute + 1;
        while (change < horizon && marks[change] === marks[minute]) change += 1;
        // Beyond the horizon nothing is marked, but a weekly window changes within 8 days or never.
        const expected = change < horizon ? { at: oracle.start + change * MINUTE, opens: !inside } : null;
        expect(nextBoundary({ windows, exceptions: [] }, oracle.zone, at)).toEqual(expected);
      }),
      { seed: 20261122, numRuns: 400 },
    );
  });

  it("from boundary to boundary it opens and closes in turn", () => {
    fc.assert(
      fc.property(situation, ({ oracle, windows, minute }) => {
        let at = oracle.start + minute * MINUTE;
        for (let count = 0; count < 12; count += 1) {
          const before = inWindow({ windows, exceptions: [] }, oracle.zone, at);
          const boundary = nextBoundary({ windows, exceptions: [] }, oracle.zone, at);
          if (boundary === null) return;
          expect(boundary.at).toBeGreaterThan(at);
          expect(boundary.opens).toBe(!before);
          expect(inWindow({ windows, exceptions: [] }, oracle.zone, boundary.at)).toBe(!before);
          expect(inWindow({ windows, exceptions: [] }, oracle.zone, boundary.at - 1)).toBe(before);
          at = boundary.at;
        }
      }),
      { seed: 20261123, numRuns: 200 },
    );
  });
});
