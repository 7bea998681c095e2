import { POWER_UNKNOWN, type PowerReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** Output of `pmset -g batt`. A UPS counts as a battery: it lasts for minutes. */
export function parsePmset(output: string): PowerReading {
  const drawing = /Now drawing from '([^']+)'/.exec(output)?.[1];
  const percent = Number(/\t(\d{1,3})%;/.exec(output)?.[1]);
  const batteryPercent = percent >= 0 && percent <= 100 ? percent : null;
  if (drawing === "AC Power") return { power: "mains", batteryPercent };
  if (drawing === "Battery Power" || drawing === "UPS Power") return { power: "battery", batteryPercent };
  return POWER_UNKNOWN;
}

export async function macosPower(run: RunCommand): Promise<PowerReading> {
  const output = await run("/usr/bin/pmset", ["-g", "batt"]);
  return output === null ? POWER_UNKNOWN : parsePmset(output);
}
