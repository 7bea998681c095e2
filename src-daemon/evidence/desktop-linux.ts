import { parseSessionIds } from "./idle-logind.ts";
import { DESKTOP_UNKNOWN, type DesktopReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

const PROPERTIES = ["Class", "Type", "State", "Remote", "LockedHint"] as const;
const GRAPHICAL = new Set(["x11", "wayland", "mir"]);
/** Ours, and what systemd itself holds; neither is somebody at the screen. */
const OWN_NAME = "Train at Home";

/** Locked: every desktop here is; remote: some desktop is used from afar. Null: there is no desktop. */
export function parseDesktops(output: string): Pick<DesktopReading, "screenLocked" | "remoteSession"> {
  let locked: boolean | null = null;
  let remote = false;
  for (const block of output.split(/\n\s*\n/)) {
    const session = new Map(
      block.split("\n").flatMap((line): [string, string][] => {
        const split = line.indexOf("=");
        return split > 0 ? [[line.slice(0, split).trim(), line.slice(split + 1).trim()]] : [];
      }),
    );
    if (!(session.get("Class") ?? "").startsWith("user") || session.get("State") === "closing") continue;
    if (!GRAPHICAL.has(session.get("Type") ?? "")) continue;
    if (session.get("Remote") === "yes" && session.get("State") === "active") remote = true;
    else locked = (locked ?? true) && session.get("LockedHint") === "yes";
  }
  return { screenLocked: locked, remoteSession: remote };
}

/** `(true,)` of GNOME: something keeps the session from counting as idle. */
export function parseInhibited(output: string): boolean | null {
  return /^\(true,\)\s*$/.test(output) ? true : /^\(false,\)\s*$/.test(output) ? false : null;
}

/** KDE: `([('Firefox', 'Playing video')],)`; of `kde-inhibit`, which is ours, nobody is at the screen. */
export function parseKdeInhibitions(output: string): boolean | null {
  if (!/^\(\[.*\],\)\s*$|^\(@a\(ss\) \[\],\)\s*$/s.test(output)) return null;
  const names = [...output.matchAll(/\('((?:[^'\\]|\\.)*)', '/g)].map((match) => match[1] ?? "");
  return names.some((name) => !/kde-inhibit|train at home/i.test(name));
}

/** logind: `systemd-inhibit --list`, by columns: WHO … WHAT WHY MODE. */
export function parseLogindInhibitors(output: string): boolean {
  return output.split("\n").some((line) => {
    const isIdle = /\s(?:[a-z-]+:)*idle(?::[a-z-]+)*\s/.test(line);
    return isIdle && /\sblock\s*$/.test(line) && !line.startsWith(OWN_NAME);
  });
}

export async function linuxDesktop(run: RunCommand): Promise<DesktopReading> {
  const list = await run("loginctl", ["list-sessions", "--no-legend", "--no-pager"]);
  const ids = list === null ? [] : parseSessionIds(list);
  const wanted = PROPERTIES.flatMap((property) => ["-p", property]);
  const shown =
    ids.length === 0 ? null : await run("loginctl", ["show-session", "--no-pager", ...wanted, ...ids]);
  const sessions = shown === null ? DESKTOP_UNKNOWN : parseDesktops(shown);
  // A server has no screen on which a film could be.
  if (sessions.screenLocked === null && sessions.remoteSession === false)
    return { ...sessions, screenInUse: false };
  return { ...sessions, screenInUse: await screenInUse(run) };
}

/** What players, calls and games say to the desktop, so that the screen stays on. */
async function screenInUse(run: RunCommand): Promise<boolean | null> {
  const call = (dest: string, path: string, method: string, ...args: string[]) =>
    run("gdbus", [
      "call",
      "--session",
      "--timeout=1",
      `--dest=${dest}`,
      `--object-path=${path}`,
      `--method=${method}`,
      ...args,
    ]);
  const answers: (boolean | null)[] = [];
  // 8: "the session counts as idle" is what is inhibited.
  const gnome = await call(
    "org.gnome.SessionManager",
    "/org/gnome/SessionManager",
    "org.gnome.SessionManager.IsInhibited",
    "uint32 8",
  );
  answers.push(gnome === null ? null : parseInhibited(gnome));
  if (gnome === null) {
    const agent = "org.kde.Solid.PowerManagement.PolicyAgent";
    const kde = await call(
      "org.kde.Solid.PowerManagement",
      "/org/kde/Solid/PowerManagement/PolicyAgent",
      `${agent}.ListInhibitions`,
    );
    answers.push(kde === null ? null : parseKdeInhibitions(kde));
  }
  const logind = await run("systemd-inhibit", ["--list", "--no-legend", "--no-pager"]);
  answers.push(logind === null ? null : parseLogindInhibitors(logind));
  if (answers.includes(true)) return true;
  // logind alone does not hear of a browser's film.
  return answers.slice(0, -1).includes(false) ? false : null;
}
