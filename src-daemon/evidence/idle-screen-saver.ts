import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** `(uint32 12345,)`: KDE, Cinnamon, XFCE and others; the unit differs between them. */
export function parseSessionIdle(output: string): number | null {
  const value = /^\(uint(?:32|64) (\d{1,15}),\)\s*$/.exec(output)?.[1];
  return value === undefined ? null : Number(value);
}

/**
 * The freedesktop screen saver's idle time. Its document says seconds and some desktops answer in
 * milliseconds: while nobody touches anything the number grows by 1 or by 1000 a second, and until that
 * was seen it is taken for the smaller one.
 */
export function screenSaverIdle(run: RunCommand, now: () => number): () => Promise<IdleReading> {
  let perSecond = 1000;
  let before: { value: number; at: number } | null = null;
  return async () => {
    const output = await run("gdbus", [
      "call",
      "--session",
      "--timeout=1",
      "--dest=org.freedesktop.ScreenSaver",
      "--object-path=/org/freedesktop/ScreenSaver",
      "--method=org.freedesktop.ScreenSaver.GetSessionIdleTime",
    ]);
    const value = output === null ? null : parseSessionIdle(output);
    if (value === null) return null;
    const at = now();
    if (before !== null && at > before.at && value > before.value) {
      const growth = ((value - before.value) / (at - before.at)) * 1000;
      if (growth > 0.5 && growth < 2) perSecond = 1;
      else if (growth > 500 && growth < 2000) perSecond = 1000;
    }
    before = { value, at };
    return value / perSecond;
  };
}
