import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Failure } from "../src-protocol/failure.ts";

/** What the trials keep between them, outside of every checkout: `$XDG_CACHE_HOME` or `~/.cache`, in `train-at-home-trials`. */
export function trialsCache(): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const folder = join(cache, "train-at-home-trials");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Why no fresh Debian can be made or entered here, in one sentence; null: one can. */
export function whyNoFreshDebian(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "a root of its own can be made only by root on Linux";
  if (spawnSync("debootstrap", ["--version"]).error !== undefined)
    return "debootstrap is not here, which makes the fresh Debian (apt-get install debootstrap)";
  const alone = spawnSync("unshare", ["--mount", "--pid", "--net", "--fork", "true"], { encoding: "utf8" });
  if (alone.status !== 0)
    return `this computer lets even root make no namespaces (${alone.stderr.trim() || "no unshare"})`;
  return null;
}

/** A minimal Debian as an archive, made once. @throws Failure `no-debootstrap` */
export function freshDebian(suite: string, say: (text: string) => void): string {
  const cache = trialsCache();
  const file = join(cache, `${suite}.tar`);
  if (existsSync(file)) return file;
  const folder = mkdtempSync(join(cache, "base-"));
  try {
    say(`Making a fresh Debian ${suite}, once …`);
    const made = spawnSync("debootstrap", ["--variant=minbase", suite, folder], { encoding: "utf8" });
    if (made.status !== 0)
      throw new Failure(
        "no-debootstrap",
        `debootstrap ended with ${made.status}: ${made.stdout.trim().split("\n").at(-1) ?? ""}`,
      );
    execFileSync("tar", ["-cf", `${file}.part`, "-C", folder, "."]);
    renameSync(`${file}.part`, file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return file;
}
