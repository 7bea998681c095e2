import { z } from "zod";
import { localTime, ownTimeZone } from "../src-protocol/zone.ts";

/** A line of the daemon's log, as pino writes it; what else it has is its own. */
const logLine = z.looseObject({ level: z.number(), time: z.iso.datetime(), msg: z.string().default("") });

const LEVELS: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  40: "warning",
  50: "error",
  60: "fatal",
};

/** "2026-11-28 16:40:05  warning  It was lost.  process=worker"; what is no line of the log stays as it is. */
export function logText(line: string, zone = ownTimeZone()): string {
  const parsed = logLine.safeParse(fromJson(line));
  if (!parsed.success) return harmless(line);
  const { level, time, msg, ...others } = parsed.data;
  const moment = new Date(localTime(zone, Date.parse(time))).toISOString().slice(0, 19).replace("T", " ");
  const fields = Object.entries(others).map(([name, value]) => `${name}=${valueText(value)}`);
  const parts = [moment, LEVELS[level] ?? "", msg, ...fields].filter((part) => part !== "");
  return harmless(parts.join("  "));
}

/** SECURITY: what others have sent may be in it, and a terminal must not obey it. */
function harmless(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}

/** For programs: a line of JSON for each, whatever it is. */
export function logJson(line: string): string {
  const value = fromJson(line);
  return typeof value === "object" && value !== null ? line : JSON.stringify({ text: line });
}

const loggedError = z.looseObject({ message: z.string(), stack: z.string() });

/** Of an error its message; a log for people has no stacks, `--json` has them. */
function valueText(value: unknown): string {
  const error = loggedError.safeParse(value);
  const shown: unknown = error.success ? error.data.message : value;
  return typeof shown === "string" && /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown);
}

function fromJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
