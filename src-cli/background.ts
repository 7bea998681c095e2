import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { API_FILE_NAME } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ApiClient, readApiFile } from "./api-client.ts";
import { DAEMON_ENVIRONMENT, DAEMON_FLAGS, isAlive } from "./daemon-process.ts";
import { daemonScript } from "./daemon-script.ts";

const START_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** Installed by the package; it starts nothing by itself. */
const UNIT = "train-at-home.service";
const UNIT_FILE = `/usr/lib/systemd/user/${UNIT}`;

/** The daemon of a data folder: the one that runs, else one that is started and lives on without this program. */
export async function daemonInBackground(home: string, isUsualPlace: boolean): Promise<ApiClient> {
  const path = join(resolve(home), API_FILE_NAME);
  const running = readApiFile(path);
  if (running !== null && isAlive(running.pid)) return ApiClient.connect(path);
  const log = join(home, "logs", "start.log");
  const pid = isUsualPlace && startUnit() ? null : startDetached(home, log);
  const deadline = performance.now() + START_MS;
  while (performance.now() < deadline) {
    const file = readApiFile(path);
    if (file !== null && isAlive(file.pid) && file.pid !== running?.pid) return ApiClient.connect(path);
    if (pid !== null && !isAlive(pid))
      throw new Failure(
        "daemon-ended",
        lastLine(log) ?? "Train at Home ended at its start. `tah up` shows why.",
      );
    await wait(LOOK_EVERY_MS);
  }
  throw new Failure("daemon-silent", "Train at Home did not start in a minute. `tah up` shows why.");
}

/** By the user's service manager, where the package has brought its unit: it is ended with the session, in order. */
function startUnit(): boolean {
  if (process.platform !== "linux" || !existsSync(UNIT_FILE)) return false;
  return spawnSync("systemctl", ["--user", "start", UNIT], { stdio: "ignore", timeout: 20_000 }).status === 0;
}

function startDetached(home: string, log: string): number {
  mkdirSync(join(home, "logs"), { recursive: true, mode: 0o700 });
  const file = openSync(log, "w", 0o600);
  try {
    const child = spawn(process.execPath, [...DAEMON_FLAGS, daemonScript(), "--home", home], {
      detached: true,
      windowsHide: true,
      env: { ...process.env, ...DAEMON_ENVIRONMENT },
      stdio: ["ignore", file, file],
    });
    child.unref();
    // A zombie looks alive: its end has to be taken note of.
    child.on("exit", () => {});
    if (child.pid === undefined) throw new Failure("daemon-ended", "Train at Home could not be started.");
    return child.pid;
  } finally {
    closeSync(file);
  }
}

function lastLine(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim().split("\n").at(-1)?.trim() || null;
  } catch {
    return null;
  }
}
