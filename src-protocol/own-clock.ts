import { localTime, ownTimeZone } from "./zone.ts";

/** As a network says a moment of about now to everybody; a date before it would make it another kind of moment. */
const UTC_CLOCK = /(?<!\d-\d\d )\b(\d\d):(\d\d):(\d\d) UTC\b/g;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** A network's sentence in whatever language, with its times by the reader's own clock: "until 22:11". */
export function byOwnClock(text: string, now: number, zone = ownTimeZone()): string {
  return text.replaceAll(UTC_CLOCK, (_, hours: string, minutes: string, seconds: string) => {
    const inDay = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
    const midnight = Math.floor(now / DAY_MS) * DAY_MS;
    // Its day is not said: the nearest such moment is meant.
    const at = midnight + inDay + Math.round((now - midnight - inDay) / DAY_MS) * DAY_MS;
    // Never earlier than it is: "until" is a promise.
    const whole = Math.ceil(at / MINUTE_MS) * MINUTE_MS;
    return new Date(localTime(zone, whole)).toISOString().slice(11, 16);
  });
}
