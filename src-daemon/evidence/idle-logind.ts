import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

const PROPERTIES = ["Class", "Type", "State", "IdleHint", "IdleSinceHint"] as const;
const GRAPHICAL = new Set(["x11", "wayland", "mir"]);

/** What logind says of the graphical sessions. */
export interface LogindReading {
  /** True: somebody is logged in to a desktop, so terminals alone do not tell. */
  desktop: boolean;
  /** Seconds since the last input in any of them; null: some desktop has never said. */
  idleSeconds: IdleReading;
}

/** Since systemd 256 a person's session may also be one of the last three. */
const PEOPLE: ReadonlySet<string> = new Set(["user", "user-early", "user-light", "user-early-light"]);

/** Session ids from `loginctl list-sessions --no-legend`: the first column. */
export function parseSessionIds(output: string): string[] {
  return output
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0] ?? "")
    .filter((id) => /^[A-Za-z0-9_]+$/.test(id));
}

/**
 * Blocks of `Property=value` from `loginctl show-session`. Only sessions of people count, not the
 * greeter's (autosuspend#366). `IdleHint=no` means in use; without any time at which the hint was set, it
 * never was: KDE sets none, and then nobody knows.
 */
export function parseSessions(output: string, now: number): LogindReading {
  const idle: IdleReading[] = [];
  for (const block of output.split(/\n\s*\n/)) {
    const session = new Map<string, string>();
    for (const line of block.split("\n")) {
      const split = line.indexOf("=");
      if (split > 0) session.set(line.slice(0, split).trim(), line.slice(split + 1).trim());
    }
    if (!PEOPLE.has(session.get("Class") ?? "") || session.get("State") === "closing") continue;
    if (!GRAPHICAL.has(session.get("Type") ?? "")) continue;
    const sinceMs = Number(session.get("IdleSinceHint")) / 1000;
    const isIdle = session.get("IdleHint") === "yes" && sinceMs > 0;
    const wasSet = isIdle || session.get("IdleHint") === "yes" || sinceMs > 0;
    idle.push(isIdle ? Math.max(0, (now - sinceMs) / 1000) : wasSet ? 0 : null);
  }
  if (idle.length === 0) return { desktop: false, idleSeconds: null };
  const known = idle.filter((seconds) => seconds !== null);
  // One that is in use decides; one that does not say leaves it open.
  const least = known.length === 0 ? null : Math.min(...known);
  return { desktop: true, idleSeconds: least !== 0 && known.length < idle.length ? null : least };
}

/** null: there is no logind to ask. */
export async function logindIdle(run: RunCommand, now: number): Promise<LogindReading | null> {
  const list = await run("loginctl", ["list-sessions", "--no-legend", "--no-pager"]);
  if (list === null) return null;
  const ids = parseSessionIds(list);
  if (ids.length === 0) return { desktop: false, idleSeconds: null };
  const wanted = PROPERTIES.flatMap((property) => ["-p", property]);
  const output = await run("loginctl", ["show-session", "--no-pager", ...wanted, ...ids]);
  return output === null ? null : parseSessions(output, now);
}
