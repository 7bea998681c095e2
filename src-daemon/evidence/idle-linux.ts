import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { logindIdle } from "./idle-logind.ts";
import { mutterIdle } from "./idle-mutter.ts";
import { terminalIdle } from "./idle-terminals.ts";
import type { IdleReading } from "./probe.ts";
import type { RunCommand } from "./run-command.ts";

export interface LinuxIdleOptions {
  run: RunCommand;
  now: () => number;
  /** Normally `/`; a made folder in tests. */
  root: string;
  environment: Readonly<Record<string, string | undefined>>;
}

/** A source that had no answer is left alone for this long: starting a program for nothing costs CPU. */
const REST_MS = 60_000;

/**
 * The first that knows: Mutter, then logind, then terminals where there is no desktop. Typing in a
 * terminal counts in every case, for somebody may be working here from afar.
 */
export function linuxIdle({ run, now, root, environment }: LinuxIdleOptions): () => Promise<IdleReading> {
  const mutter = restingWhenSilent(() => mutterIdle(run), now);
  const logind = restingWhenSilent(() => logindIdle(run, now()), now);

  return async () => {
    const terminals = await terminalIdle(join(root, "dev"), now());
    const least = (desktop: number): number => Math.min(desktop, terminals ?? desktop);

    const fromMutter = await mutter();
    if (fromMutter !== null) return least(fromMutter);
    const sessions = await logind();
    if (sessions !== null && sessions.idleSeconds !== null) return least(sessions.idleSeconds);
    return (await desktopMayRun()) ? null : terminals;
  };

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

function restingWhenSilent<T>(ask: () => Promise<T | null>, now: () => number): () => Promise<T | null> {
  let silentAt: number | null = null;
  return async () => {
    if (silentAt !== null && Math.abs(now() - silentAt) < REST_MS) return null;
    const answer = await ask();
    silentAt = answer === null ? now() : null;
    return answer;
  };
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

async function text(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
