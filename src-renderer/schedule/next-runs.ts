import { DAYS, type Rules } from "../../src-protocol/policy.ts";
import { localTime, ownTimeZone } from "../../src-protocol/zone.ts";
import { listed, plural } from "../parts/format.ts";
import {
  aroundMonday,
  clockOf,
  DAY_MINUTES,
  hoursOf,
  type Interval,
  minutesPerWeek,
  WEEK_MINUTES,
} from "./week-hours.ts";

const MINUTE_MS = 60_000;
const DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
export const dayName = (index: number): string => DAY_NAMES[((index % 7) + 7) % 7] ?? "";
/** Hours that begin this late are "tonight". */
const EVENING = 18 * 60;
const SHOWN = 3;

/** Minutes since Monday 00:00 on the clocks in the rules' zone. */
export function weekMinute(timeZone: string | null, now: number): number {
  const minutes = Math.floor(localTime(timeZone ?? ownTimeZone(), now) / MINUTE_MS);
  // Day 0 of Unix time was a Thursday.
  return (((minutes + 3 * DAY_MINUTES) % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES;
}

/** The next runs in minutes of the week that holds `at`; the first may already be on. Ends may lie in the next week. */
export function nextRuns(hours: readonly Interval[], at: number, count: number): Interval[] {
  const runs = aroundMonday(hours);
  return [-1, 0, 1, 2]
    .flatMap((week) =>
      runs.map(({ start, end }) => ({ start: start + week * WEEK_MINUTES, end: end + week * WEEK_MINUTES })),
    )
    .filter(({ end }) => end > at)
    .sort((a, b) => a.start - b.start)
    .slice(0, count);
}

/** What these rules mean from now on, in plain sentences. */
export function previewOf(rules: Rules, now: number): string[] {
  return [whenSentence(rules, now), ...conditionSentence(rules)];
}

function whenSentence(rules: Rules, now: number): string {
  if (rules.schedule === "always") return "It may run at any hour.";
  const hours = hoursOf(rules.windows);
  const total = minutesPerWeek(hours);
  if (total === 0) return "No hours are chosen, so it never runs by itself.";
  if (total === WEEK_MINUTES) return "Every hour is chosen, so it may run at any time.";
  const at = weekMinute(rules.timeZone, now);
  const runs = nextRuns(hours, at, SHOWN);
  const first = runs[0];
  if (first === undefined) return "";
  const week = `That is ${weekText(total)}.`;
  if (first.start <= at) {
    const later = runs.slice(1).map((run) => runText(run, at));
    return `It may run now, until ${endText(first, at)}. After that: ${listed(later)}. ${week}`;
  }
  return `It runs next: ${listed(runs.map((run) => runText(run, at)))}. ${week}`;
}

function weekText(minutes: number): string {
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  return `${plural(hours, "hour")}${rest === 0 ? "" : ` ${rest} min`} a week`;
}

function runText(run: Interval, at: number): string {
  return `${startDay(run.start, at)} ${clockOf(run.start % DAY_MINUTES)}–${clockOf(run.end % DAY_MINUTES)}`;
}

function startDay(start: number, at: number): string {
  const days = Math.floor(start / DAY_MINUTES) - Math.floor(at / DAY_MINUTES);
  if (days === 0) return start % DAY_MINUTES >= EVENING ? "tonight" : "today";
  if (days === 1) return "tomorrow";
  return days < 7
    ? dayName(Math.floor(start / DAY_MINUTES))
    : `next ${dayName(Math.floor(start / DAY_MINUTES))}`;
}

function endText(run: Interval, at: number): string {
  const days = Math.floor(run.end / DAY_MINUTES) - Math.floor(at / DAY_MINUTES);
  const clock = clockOf(run.end % DAY_MINUTES);
  if (days === 0 || run.end - at <= DAY_MINUTES / 2) return clock;
  return days === 1 ? `tomorrow ${clock}` : `${dayName(Math.floor(run.end / DAY_MINUTES))} ${clock}`;
}

function conditionSentence(rules: Rules): string[] {
  const conditions = [
    ...(rules.onlyOnPower ? ["while the computer is on power"] : []),
    ...(rules.onlyWhenIdle ? [`after ${plural(rules.idleMinutes, "minute")} without mouse or keyboard`] : []),
  ];
  return conditions.length === 0 ? [] : [`Only ${listed(conditions)}.`];
}

/** "Monday to Friday", "every day", "Saturday and Sunday". */
export function daysText(days: readonly (typeof DAYS)[number][]): string {
  const indexes = DAYS.flatMap((day, index) => (days.includes(day) ? [index] : []));
  const first = indexes[0] ?? 0;
  const last = indexes.at(-1) ?? 0;
  if (indexes.length === 7) return "every day";
  if (indexes.length > 2 && last - first === indexes.length - 1)
    return `${dayName(first)} to ${dayName(last)}`;
  return listed(indexes.map(dayName));
}
