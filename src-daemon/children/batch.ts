import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const CHRT = "/usr/bin/chrt";
const ARGUMENTS = ["--batch", "0"] as const;

let works: boolean | null = null;

/**
 * Words to put before a command so that the kernel takes it for work that computes and is in no hurry: when it
 * wakes it takes the processor from nobody (sched(7), SCHED_BATCH), the person's programs before all. Several
 * workers on one computer are faster so: what one hears does not interrupt what another one computes. Linux with
 * util-linux only; elsewhere they have their niceness alone.
 */
export function batch(): readonly string[] {
  works ??=
    process.platform === "linux" &&
    existsSync(CHRT) &&
    spawnSync(CHRT, [...ARGUMENTS, "true"], { stdio: "ignore" }).status === 0;
  return works ? [CHRT, ...ARGUMENTS] : [];
}
