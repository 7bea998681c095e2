import { Failure } from "../src-protocol/failure.ts";
import { untilMorning } from "../src-protocol/pause-choices.ts";
import { parseDuration } from "./duration.ts";

export interface AskedTime {
  readonly words: readonly string[];
  readonly for?: string | undefined;
  readonly until?: string | undefined;
}

/** Without a duration. */
export const DEFAULT_DURATION = "1h";

/** Minutes; null: until it is resumed, which a pause alone may be. */
export function askedMinutes(asked: AskedTime, now: Date): number | null {
  const said = [asked.words.length > 0, asked.for !== undefined, asked.until !== undefined];
  if (said.filter(Boolean).length > 1)
    throw new Failure("bad-duration", "Say the time once: as words, or with --for, or with --until.");
  const words = asked.for !== undefined ? [asked.for] : asked.words;
  const until = asked.until ?? /^until (.*)$/i.exec(words.join(" "))?.[1];
  if (until === undefined) return parseDuration(words.length === 0 ? [DEFAULT_DURATION] : words, now);
  const text = until.trim().toLowerCase();
  if (/^(i resume|resumed?|further notice)$/.test(text)) return null;
  if (text === "tomorrow") return untilMorning(now.getTime()).minutes;
  return parseDuration(["until", text], now);
}
