import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** `"HIDIdleTime" = nanoseconds` in the output of ioreg; the smallest, should there be several. */
export function parseHidIdleTime(output: string): IdleReading {
  const times = [...output.matchAll(/"HIDIdleTime" = (\d{1,19})\b/g)].map((match) => Number(match[1]) / 1e9);
  return times.length === 0 ? null : Math.min(...times);
}

export async function macosIdle(run: RunCommand): Promise<IdleReading> {
  const output = await run("/usr/sbin/ioreg", ["-r", "-d", "1", "-c", "IOHIDSystem"]);
  return output === null ? null : parseHidIdleTime(output);
}
