import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

export const DAEMON_SCRIPT = join(import.meta.dirname, "..", "src-daemon", "main.ts");
/** There in a checkout alone. */
const BUNDLER = join(import.meta.dirname, "..", "scripts", "daemon-bundle.ts");

const BUILD_MS = 60_000;

/**
 * What a daemon that stays is started from: in a checkout a few files that are made of its sources, once, and hold
 * 12 MB less; where they cannot be made, and in a package, the sources themselves.
 */
export function daemonScript(): string {
  if (!existsSync(BUNDLER)) return DAEMON_SCRIPT;
  const made = spawnSync(process.execPath, [BUNDLER], {
    encoding: "utf8",
    timeout: BUILD_MS,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const path = made.stdout.trim();
  return made.status === 0 && existsSync(path) ? path : DAEMON_SCRIPT;
}
