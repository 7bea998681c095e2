import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** GNOME, on Wayland and X11: `(uint64 12345,)`, milliseconds. */
export function parseMutterIdle(output: string): IdleReading {
  const milliseconds = /^\(uint64 (\d{1,15}),\)\s*$/.exec(output)?.[1];
  return milliseconds === undefined ? null : Number(milliseconds) / 1000;
}

export async function mutterIdle(run: RunCommand): Promise<IdleReading> {
  const output = await run("gdbus", [
    "call",
    "--session",
    "--timeout=1",
    "--dest=org.gnome.Mutter.IdleMonitor",
    "--object-path=/org/gnome/Mutter/IdleMonitor/Core",
    "--method=org.gnome.Mutter.IdleMonitor.GetIdletime",
  ]);
  return output === null ? null : parseMutterIdle(output);
}
