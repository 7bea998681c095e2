import { join } from "node:path";
import { logindIdle } from "./idle-logind.ts";
import { mutterIdle } from "./idle-mutter.ts";
import { screenSaverIdle } from "./idle-screen-saver.ts";
import { terminalIdle } from "./idle-terminals.ts";
import { WaylandIdle, waylandSocket } from "./idle-wayland.ts";
import { x11Idle } from "./idle-x11.ts";
import { noticingMute } from "./mute-source.ts";
import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";
import { names, text } from "./system-files.ts";

export interface LinuxIdleOptions {
  run: RunCommand;
  now: () => number;
  /** Normally `/`; a made folder in tests. */
  root: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** Whose sessions are looked for. */
  account: number | undefined;
}

/** A source that had no answer is left alone for this long: starting a program for nothing costs CPU. */
const REST_MS = 60_000;
/** Nobody has ever been there: since the computer started. */
const NEVER_SECONDS = 86_400;

export interface LinuxIdle {
  read(): Promise<IdleReading>;
  /** Why it cannot tell, and what to do; null: it can, or has not been asked. */
  note(): string | null;
}

/**
 * The first that answers sensibly: Mutter, the Wayland compositor (KDE's screen saver says 0 for ever beside it),
 * the screen saver of other desktops, X, logind, then terminals where there is no desktop. Typing in a terminal
 * counts in every case, for somebody may be working here from afar.
 */
export function linuxIdle({ run, now, root, environment, account }: LinuxIdleOptions): LinuxIdle {
  const mutter = noticingMute(
    restingWhenSilent(() => mutterIdle(run), now),
    now,
  );
  const compositor = new WaylandIdle({ find: () => waylandSocket(environment, root, account), now });
  // Never taken for mute: it says when somebody is there again, and "in use" for hours is a film.
  const wayland = { read: restingWhenSilent(() => compositor.read(), now) };
  const saver = noticingMute(restingWhenSilent(screenSaverIdle(run, now), now), now);
  const x11 = noticingMute(
    restingWhenSilent(() => x11Idle(run, environment), now),
    now,
  );
  const logind = restingWhenSilent(() => logindIdle(run, now()), now);
  let why: string | null = null;

  return { read, note: () => why };

  async function read(): Promise<IdleReading> {
    why = null;
    const terminals = await terminalIdle(join(root, "dev"), now());
    const least = (desktop: number): number => Math.min(desktop, terminals ?? desktop);

    for (const source of [mutter, wayland, saver, x11]) {
      const seconds = await source.read();
      if (seconds !== null) return least(seconds);
    }
    const sessions = await logind();
    const hinted = sessions?.idleSeconds ?? null;
    if (hinted !== null) return least(hinted);
    if (sessions?.desktop === true || [mutter, saver, x11].some(({ isMute }) => isMute)) {
      why = SILENT_DESKTOP;
      return null;
    }
    if (await desktopMayRun()) {
      why = UNSEEN_DESKTOP;
      return null;
    }
    // No desktop, no session and no terminal, as in a container: nobody is there.
    return terminals ?? NEVER_SECONDS;
  }

  /** Without logind's word: is there a display that input could go to unseen? */
  async function desktopMayRun(): Promise<boolean> {
    if (environment["DISPLAY"] || environment["WAYLAND_DISPLAY"]) return true;
    // Under WSL the keyboard belongs to Windows.
    if (/microsoft/i.test(await text(join(root, "proc/version")))) return true;
    if ((await names(join(root, "tmp/.X11-unix"))).some((name) => /^X\d+$/.test(name))) return true;
    const users = join(root, "run/user");
    for (const user of await names(users)) {
      if ((await names(join(users, user))).some((name) => /^wayland-\d+$/.test(name))) return true;
    }
    return false;
  }
}

const SILENT_DESKTOP =
  "This desktop does not tell whether you are there. Use the schedule instead, or lock the screen when you leave: a locked screen counts as nobody there.";
const UNSEEN_DESKTOP =
  "There is a desktop here that does not answer this program. Use the schedule instead, or start Train at Home from inside the desktop.";

function restingWhenSilent<T>(ask: () => Promise<T | null>, now: () => number): () => Promise<T | null> {
  let silentAt: number | null = null;
  return async () => {
    if (silentAt !== null && Math.abs(now() - silentAt) < REST_MS) return null;
    const answer = await ask();
    silentAt = answer === null ? now() : null;
    return answer;
  };
}
