import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** The X screen saver's extension by way of `xprintidle`: milliseconds. */
export function parseXprintidle(output: string): IdleReading {
  const milliseconds = /^(\d{1,15})\s*$/.exec(output)?.[1];
  return milliseconds === undefined ? null : Number(milliseconds) / 1000;
}

/** Under Wayland an X server sees only what X programs are sent, so it is not asked there. */
export async function x11Idle(
  run: RunCommand,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<IdleReading> {
  if (!environment["DISPLAY"] || environment["WAYLAND_DISPLAY"]) return null;
  const output = await run("xprintidle", []);
  return output === null ? null : parseXprintidle(output);
}
