import { say, spokenLocale } from "./say.ts";
import { type Decision, REASONS, type ReasonCode } from "./policy.ts";
import { localTime, ownTimeZone } from "./zone.ts";

const DAY_MS = 86_400_000;
/** "", "tomorrow", "Friday" or "Friday 4 December": as much as it takes to be understood. */
function dayText(local: number, localNow: number): string {
  const days = Math.floor(local / DAY_MS) - Math.floor(localNow / DAY_MS);
  // At 23:30 "until 07:00" needs no "tomorrow".
  if (days === 0 || Math.abs(local - localNow) < DAY_MS / 2) return "";
  if (days === 1) return say("tomorrow");
  const part = (options: Intl.DateTimeFormatOptions) =>
    new Date(local).toLocaleDateString(spokenLocale(), { ...options, timeZone: "UTC" });
  const weekday = part({ weekday: "long" });
  if (days > 1 && days < 7) return weekday;
  const day = new Date(local).getUTCDate();
  return say("{weekday} {day} {month}", { weekday, day, month: part({ month: "long" }) });
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
 * "May work: nobody is using the computer. Until 07:00." `zone` is the reader's own unless given.
 */
export function explain(decision: Decision, now: number, zone: string = ownTimeZone()): string {
  const working = decision.action === "run";
  const texts = decidingReasons(decision).map((code) => say(REASONS[code].text));
  const { nextChange } = decision;
  // Without a time at which it starts, each cause has to go first, so each is named.
  const named = working || nextChange !== null ? texts.slice(0, 1) : texts;
  const because = working
    ? say("May work: {reasons}.", { reasons: allOf(named) })
    : say("Waiting: {reasons}.", { reasons: allOf(named) });
  if (nextChange === null) return because;
  const { day, clock } = moment(nextChange.at, now, zone);
  const at = day === "" ? clock : `${day} ${clock}`;
  if (working) return `${because} ${say("Until {moment}.", { moment: at })}`;
  return `${because} ${day === "" ? say("Starts about {clock}.", { clock }) : say("Starts {day} about {clock}.", { day, clock })}`;
}

/** "it is outside your schedule, and the battery is low". */
export function allOf(reasons: readonly string[]): string {
  return reasons.reduce((before, reason) => say("{before}, and {reason}", { before, reason }));
}
