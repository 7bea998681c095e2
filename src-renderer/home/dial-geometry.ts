import { DAY_MINUTES, type Interval, WEEK_MINUTES } from "../schedule/week-hours.ts";

/** A span on the dial in minutes of the day; `end` may pass midnight, `end − start ≤ 1440`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Midnight is at the top, noon at the bottom, clockwise. */
export function dialPoint(minutes: number, radius: number): { x: number; y: number } {
  const angle = (minutes / DAY_MINUTES) * 2 * Math.PI;
  return { x: tidy(Math.sin(angle) * radius), y: tidy(-Math.cos(angle) * radius) };
}

/** An SVG path along the dial, around the origin. A whole day is two half circles: an arc cannot close. */
export function arcPath({ start, end }: Span, radius: number): string {
  const length = Math.min(end - start, DAY_MINUTES);
  if (length <= 0) return "";
  const to = (minutes: number, large: boolean) => {
    const { x, y } = dialPoint(minutes, radius);
    return `A${radius} ${radius} 0 ${large ? 1 : 0} 1 ${x} ${y}`;
  };
  const from = dialPoint(start, radius);
  const begin = `M${from.x} ${from.y}`;
  if (length === DAY_MINUTES) {
    return `${begin}${to(start + DAY_MINUTES / 2, false)}${to(start + DAY_MINUTES, false)}Z`;
  }
  return `${begin}${to(start + length, length > DAY_MINUTES / 2)}`;
}

/** The allowed hours of the 24 hours from `at` (a minute of the week), as spans of the day. */
export function comingSpans(hours: readonly Interval[], at: number): Span[] {
  const spans: Span[] = [];
  for (const week of [0, WEEK_MINUTES]) {
    for (const hour of hours) {
      const start = Math.max(hour.start + week, at);
      const end = Math.min(hour.end + week, at + DAY_MINUTES);
      if (start >= end) continue;
      const last = spans.at(-1);
      if (last !== undefined && last.end === start) spans[spans.length - 1] = { start: last.start, end };
      else spans.push({ start, end });
    }
  }
  return spans.map(({ start, end }) => ({
    start: start % DAY_MINUTES,
    end: (start % DAY_MINUTES) + end - start,
  }));
}

/** When steps were finished within the last 24 hours: times of at most `gapMs` apart are one span. */
export function ranSpans(times: readonly number[], now: number, nowMinute: number, gapMs: number): Span[] {
  const spans: Span[] = [];
  let begin: number | null = null;
  let previous: number | null = null;
  const push = () => {
    if (begin === null || previous === null) return;
    const length = (previous - begin) / 60_000;
    const start = (((nowMinute - (now - begin) / 60_000) % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
    // A single step is a moment; it still leaves a trace that can be seen.
    spans.push({ start: tidy(start), end: tidy(start + Math.max(length, 1)) });
  };
  for (const at of times) {
    if (at <= now - DAY_MINUTES * 60_000 || at > now) continue;
    if (previous !== null && at - previous > gapMs) {
      push();
      begin = null;
    }
    begin ??= at;
    previous = at;
  }
  push();
  return spans;
}

/** How far apart two finished steps may be and still be one stretch of work; wider when points are thinned out. */
export function gapBetween(times: readonly number[]): number {
  const steps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  const median = steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
  return Math.max(120_000, 3 * median);
}

function tidy(value: number): number {
  return Math.round(value * 100) / 100;
}
