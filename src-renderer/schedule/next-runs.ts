import { phrase, say } from "../../src-protocol/say.ts";
import { DAYS, type Rules } from "../../src-protocol/policy.ts";
import { localTime, ownTimeZone } from "../../src-protocol/zone.ts";
import { date, listed } from "../parts/format.ts";
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
const DAY_NAMES = [
  phrase("Monday"),
  phrase("Tuesday"),
  phrase("Wednesday"),
  phrase("Thursday"),
  phrase("Friday"),
  phrase("Saturday"),
  phrase("Sunday"),
] as const;
export const dayName = (index: number): string => say(DAY_NAMES[((index % 7) + 7) % 7] ?? "");
/** "Mon", as the reader's language shortens it. */
export function shortDayName(index: number): string {
  // 5 January 1970 was a Monday.
  return date(Date.UTC(1970, 0, 5 + index), { weekday: "short", timeZone: "UTC" });
}
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
  if (rules.schedule === "always") return say("It may run at any hour.");
  const hours = hoursOf(rules.windows);
  const total = minutesPerWeek(hours);
  if (total === 0) return say("No hours are chosen, so it never runs by itself.");
  if (total === WEEK_MINUTES) return say("Every hour is chosen, so it may run at any time.");
  const at = weekMinute(rules.timeZone, now);
  const runs = nextRuns(hours, at, SHOWN);
  const first = runs[0];
  if (first === undefined) return "";
  const week = say("That is {total}.", { total: weekText(total) });
  if (first.start <= at) {
    const later = runs.slice(1).map((run) => runText(run, at));
    return say("It may run now, until {end}. After that: {later}. {week}", {
      end: endText(first, at),
      later: listed(later),
      week,
    });
  }
  return say("It runs next: {runs}. {week}", {
    runs: listed(runs.map((run) => runText(run, at))),
    week,
  });
}

function weekText(minutes: number): string {
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  return rest === 0
    ? say("{hours, plural, one {# hour} other {# hours}} a week", { hours })
    : say("{hours, plural, one {# hour} other {# hours}} {rest} min a week", { hours, rest });
}

function runText(run: Interval, at: number): string {
  return `${startDay(run.start, at)} ${clockOf(run.start % DAY_MINUTES)}–${clockOf(run.end % DAY_MINUTES)}`;
}

function startDay(start: number, at: number): string {
  const days = Math.floor(start / DAY_MINUTES) - Math.floor(at / DAY_MINUTES);
  if (days === 0) return start % DAY_MINUTES >= EVENING ? say("tonight") : say("today");
  if (days === 1) return say("tomorrow");
  return days < 7
    ? dayName(Math.floor(start / DAY_MINUTES))
    : say("next {day}", { day: dayName(Math.floor(start / DAY_MINUTES)) });
}

function endText(run: Interval, at: number): string {
  const days = Math.floor(run.end / DAY_MINUTES) - Math.floor(at / DAY_MINUTES);
  const clock = clockOf(run.end % DAY_MINUTES);
  if (days === 0 || run.end - at <= DAY_MINUTES / 2) return clock;
  return days === 1
    ? say("tomorrow {clock}", { clock })
    : `${dayName(Math.floor(run.end / DAY_MINUTES))} ${clock}`;
}

function conditionSentence(rules: Rules): string[] {
  const conditions = [
    ...(rules.onlyOnPower ? [say("while the computer is on power")] : []),
    ...(rules.onlyWhenIdle
      ? [
          say("after {count, plural, one {# minute} other {# minutes}} without mouse or keyboard", {
            count: rules.idleMinutes,
          }),
        ]
      : []),
  ];
  return conditions.length === 0 ? [] : [say("Only {conditions}.", { conditions: listed(conditions) })];
}

/** "Monday to Friday", "every day", "Saturday and Sunday". */
export function daysText(days: readonly (typeof DAYS)[number][]): string {
  const indexes = DAYS.flatMap((day, index) => (days.includes(day) ? [index] : []));
  const first = indexes[0] ?? 0;
  const last = indexes.at(-1) ?? 0;
  if (indexes.length === 7) return say("every day");
  if (indexes.length > 2 && last - first === indexes.length - 1)
    return say("{first} to {last}", { first: dayName(first), last: dayName(last) });
  return listed(indexes.map(dayName));
}
