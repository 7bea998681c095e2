import { Failure } from "../src-protocol/failure.ts";

const MOST_MINUTES = 7 * 24 * 60;

/**
 * Minutes that a person means by `45`, `30m`, `2h`, `1h30m`, `1d` or `until 07:00` (the next time
 * that the computer's clock shows it).
 */
export function parseDuration(words: readonly string[], now: Date): number {
  const text = words.join(" ").trim().toLowerCase();
  const minutes = untilClock(text, now) ?? plain(text);
  if (minutes !== null && minutes >= 1 && minutes <= MOST_MINUTES) return minutes;
  throw new Failure(
    "bad-duration",
    `"${text.slice(0, 40)}" is no time that can be used here. Say for example 45, 30m, 2h, 1h30m, 1d or "until 07:00"; 7 days at most.`,
  );
}

function plain(text: string): number | null {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  const match = /^(?:(\d{1,3})d)? ?(?:(\d{1,3})h)? ?(?:(\d{1,5})m(?:in)?)?$/.exec(text);
  if (match === null || text === "") return null;
  const [days = 0, hours = 0, minutes = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return (days * 24 + hours) * 60 + minutes;
}

/** By calendar, not by adding hours: on the night the clocks change, 07:00 stays 07:00. */
function untilClock(text: string, now: Date): number | null {
  const [, hour, minute] = /^until (\d{1,2})[:.](\d{2})$/.exec(text) ?? [];
  if (hour === undefined || minute === undefined || Number(hour) > 23 || Number(minute) > 59) return null;
  const end = new Date(now);
  end.setHours(Number(hour), Number(minute), 0, 0);
  if (end.getTime() <= now.getTime()) end.setDate(end.getDate() + 1);
  return Math.max(1, (end.getTime() - now.getTime()) / 60_000);
}
