import type { PresenceHour } from "../../src-protocol/forecast.ts";
import type { SleepSuggestion } from "../../src-protocol/sleep.ts";
import { DAYS, type Day, type Rules, type WeeklyWindow } from "../../src-protocol/rules.ts";
import { daysText } from "../../src-protocol/rules-text.ts";
import { awayTable, type HourOfWeek } from "./away-share.ts";

/** An hour in which nobody was here this often counts as asleep. */
const ASLEEP = 0.9;
const LEAST_HOURS = 4;
/** Days look from noon to noon: a night is one piece. */
const NOON = 12;
/** From so many weeks on more of them make it no surer. */
const SURE_WEEKS = 3;
/** Fewer nights say nothing. */
const LEAST_NIGHTS = 4;

interface Night {
  readonly day: Day;
  /** Hours since that day's noon. */
  readonly start: number;
  readonly end: number;
  readonly share: number;
  readonly weeks: number;
}

/** Hours in which nobody is here, as a person would say them; to be confirmed by the owner, never applied alone. */
export function suggestSleep(presence: readonly PresenceHour[], zone: string, rules: Rules): SleepSuggestion {
  const table = awayTable(presence, zone);
  const nights = DAYS.flatMap((day, index) => nightOf(table, day, index) ?? []);
  if (nights.length < LEAST_NIGHTS)
    return {
      windows: null,
      confidence: 0,
      differs: false,
      text: `Too few nights were seen to say when you sleep (${nights.length} of 7 days of the week; ${LEAST_NIGHTS} are needed).`,
    };
  const windows = grouped(nights);
  const share = mean(nights.map((night) => night.share));
  const weeks = mean(nights.map((night) => Math.min(1, night.weeks / SURE_WEEKS)));
  const confidence = Math.round(share * weeks * (nights.length / 7) * 100) / 100;
  const differs = rules.schedule === "windows" && !sameHours(rules.windows, windows);
  const list = windows.map(({ days, from, to }) => `${daysText(days)} ${from}–${to}`).join("; ");
  return {
    windows,
    confidence,
    differs,
    text: `By the last weeks nobody is here ${list} (${sureness(confidence)}).${differs ? " Your schedule says other hours." : ""}`,
  };
}

/** The longest piece from noon to noon in which nobody was here. */
function nightOf(table: readonly (HourOfWeek | null)[], day: Day, index: number): Night | null {
  const hours = Array.from({ length: 24 }, (_, hour) => table[(index * 24 + NOON + hour) % 168] ?? null);
  let best: Night | null = null;
  for (let start = 0; start < 24; start += 1) {
    let end = start;
    while (end < 24 && (hours[end]?.share ?? 0) >= ASLEEP) end += 1;
    if (end - start < LEAST_HOURS || end - start <= (best === null ? 0 : best.end - best.start)) continue;
    const inside = hours.slice(start, end).flatMap((hour) => hour ?? []);
    best = {
      day,
      start,
      end,
      share: mean(inside.map(({ share }) => share)),
      weeks: Math.min(...inside.map(({ weeks }) => weeks)),
    };
  }
  return best;
}

/** Nights that differ by an hour at most are said as one, by the hours that all of them share. */
function grouped(nights: readonly Night[]): WeeklyWindow[] {
  const groups: Night[][] = [];
  for (const night of nights) {
    const group = groups.find((some) =>
      some.every((one) => Math.abs(one.start - night.start) <= 1 && Math.abs(one.end - night.end) <= 1),
    );
    if (group === undefined) groups.push([night]);
    else group.push(night);
  }
  return groups.map((group) => {
    const start = Math.max(...group.map((night) => night.start));
    const end = Math.min(...group.map((night) => night.end));
    // A piece that begins after midnight starts on the day after.
    const shift = start >= NOON ? 1 : 0;
    const days = new Set(group.map(({ day }) => DAYS[(DAYS.indexOf(day) + shift) % 7] ?? day));
    return { days: DAYS.filter((day) => days.has(day)), from: clock(start), to: clock(end) };
  });
}

function clock(sinceNoon: number): string {
  return `${String((sinceNoon + NOON) % 24).padStart(2, "0")}:00`;
}

function sureness(confidence: number): string {
  return confidence >= 0.8 ? "sure" : confidence >= 0.5 ? "fairly sure" : "a first guess";
}

function sameHours(a: readonly WeeklyWindow[], b: readonly WeeklyWindow[]): boolean {
  const flat = (windows: readonly WeeklyWindow[]): string =>
    windows
      .flatMap(({ days, from, to }) => days.map((day) => `${day} ${from} ${to}`))
      .toSorted()
      .join();
  return flat(a) === flat(b);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
