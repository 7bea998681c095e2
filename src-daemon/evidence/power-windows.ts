import { z } from "zod";
import { POWER_UNKNOWN, type PowerReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** Win32 GetSystemPowerStatus through .NET; enum names and integers, which no locale changes. */
const SCRIPT = [
  "Add-Type -AssemblyName System.Windows.Forms",
  "$p = [System.Windows.Forms.SystemInformation]::PowerStatus",
  "@{ line = $p.PowerLineStatus.ToString(); charge = $p.BatteryChargeStatus.ToString();" +
    " percent = [int]($p.BatteryLifePercent * 100) } | ConvertTo-Json -Compress",
].join("; ");

const answer = z.object({
  line: z.enum(["Online", "Offline", "Unknown"]),
  charge: z.string(),
  percent: z.number(),
});

export function parsePowerStatus(output: string): PowerReading {
  let json: unknown;
  try {
    json = JSON.parse(output);
  } catch {
    return POWER_UNKNOWN;
  }
  const parsed = answer.safeParse(json);
  if (!parsed.success) return POWER_UNKNOWN;
  const { line, charge, percent } = parsed.data;
  if (charge.includes("NoSystemBattery")) return { power: "mains", batteryPercent: null };
  // 255 % is how Windows says that it does not know.
  const batteryPercent = percent >= 0 && percent <= 100 ? percent : null;
  return { power: line === "Online" ? "mains" : line === "Offline" ? "battery" : "unknown", batteryPercent };
}

export async function windowsPower(run: RunCommand): Promise<PowerReading> {
  const output = await run("powershell.exe", ["-NoProfile", "-NonInteractive", "-Command", SCRIPT]);
  return output === null ? POWER_UNKNOWN : parsePowerStatus(output);
}
