import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const tried = new Map<string, boolean>();

/**
 * Words to put before a command so that the kernel ends it with this process, whatever it is doing: a
 * child that hangs does not hear that its channel was closed. Elsewhere children end themselves when they hear it.
 */
export function leash(): readonly string[] {
  return where("/usr/bin/setpriv", "--pdeathsig", "KILL");
}

/**
 * Words to put before a command so that the kernel takes it for work that computes and is in no hurry: when it
 * wakes it takes the processor from nobody (sched(7), SCHED_BATCH), the person's programs before all. Several
 * workers on one computer are faster so: what one hears does not interrupt what another one computes. Elsewhere
 * they have their niceness alone.
 */
export function batch(): readonly string[] {
  return where("/usr/bin/chrt", "--batch", "0");
}

/** Nothing where it does not work; tried once. Linux with util-linux only (BusyBox has others of these names). */
function where(program: string, ...words: readonly string[]): readonly string[] {
  const works =
    tried.get(program) ??
    (process.platform === "linux" &&
      existsSync(program) &&
      spawnSync(program, [...words, "true"], { stdio: "ignore" }).status === 0);
  tried.set(program, works);
  return works ? [program, ...words] : [];
}
