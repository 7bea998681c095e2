import { type Decision, REASONS, type ReasonCode } from "./policy.ts";
import { localTime, ownTimeZone } from "./zone.ts";

const DAY_MS = 86_400_000;
const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;

/** "", "tomorrow", "Friday" or "Friday 4 December": as much as it takes to be understood. */
function dayText(local: number, localNow: number): string {
  const days = Math.floor(local / DAY_MS) - Math.floor(localNow / DAY_MS);
  // At 23:30 "until 07:00" needs no "tomorrow".
  if (days === 0 || Math.abs(local - localNow) < DAY_MS / 2) return "";
  if (days === 1) return "tomorrow";
  const date = new Date(local);
  const weekday = WEEKDAYS[(date.getUTCDay() + 6) % 7] ?? "";
  if (days > 1 && days < 7) return weekday;
  return `${weekday} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()] ?? ""}`;
}

/** "07:00", "tomorrow 07:00", "Friday 4 December 07:00": a moment to come, as a person would say it. */
export function momentText(at: number, now: number, zone: string = ownTimeZone()): string {
  const { day, clock } = moment(at, now, zone);
  return day === "" ? clock : `${day} ${clock}`;
}

function moment(at: number, now: number, zone: string): { day: string; clock: string } {
  const local = localTime(zone, at);
  const clock = new Date(local).toISOString().slice(11, 16);
  return { day: dayText(local, localTime(zone, now)), clock };
}

function sentence(...words: string[]): string {
  return `${words.filter((word) => word !== "").join(" ")}.`;
}

const STRENGTH = Object.keys(REASONS) as ReasonCode[];

/** Those that have the verdict of the action and that no stronger one of the other side would overrule. */
export function decidingReasons({ action, reasons }: Decision): ReasonCode[] {
  const against = STRENGTH.findIndex((code) => reasons.includes(code) && REASONS[code].verdict !== action);
  return reasons.filter(
    (code) => REASONS[code].verdict === action && (against < 0 || STRENGTH.indexOf(code) < against),
  );
}

/**
 * The decision in the product's words, the same in window, tray, terminal and CLI:
 * "Working: nobody is using the computer. Until 07:00." `zone` is the reader's own unless given.
 */
export function explain(decision: Decision, now: number, zone: string = ownTimeZone()): string {
  const working = decision.action === "run";
  const texts = decidingReasons(decision).map((code) => REASONS[code].text);
  const { nextChange } = decision;
  // Without a time at which it starts, each cause has to go first, so each is named.
  const named = working || nextChange !== null ? texts.slice(0, 1) : texts;
  const because = `${working ? "Working" : "Waiting"}: ${named.join(", and ")}.`;
  if (nextChange === null) return because;
  const { day, clock } = moment(nextChange.at, now, zone);
  return `${because} ${working ? sentence("Until", day, clock) : sentence("Starts", day, "about", clock)}`;
}
