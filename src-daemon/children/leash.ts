import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const SETPRIV = "/usr/bin/setpriv";
const ARGUMENTS = ["--pdeathsig", "KILL"] as const;

let works: boolean | null = null;

/**
 * Words to put before a command so that the kernel ends it with this process, whatever it is doing: a
 * child that hangs does not hear that its channel was closed. Linux with util-linux only (BusyBox has
 * another setpriv); elsewhere children end themselves when they hear it.
 */
export function leash(): readonly string[] {
  works ??=
    process.platform === "linux" &&
    existsSync(SETPRIV) &&
    spawnSync(SETPRIV, [...ARGUMENTS, "true"], { stdio: "ignore" }).status === 0;
  return works ? [SETPRIV, ...ARGUMENTS] : [];
}
