import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { API_FILE_NAME } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ApiClient, readApiFile } from "./api-client.ts";
import { DAEMON_SCRIPT } from "./daemon-script.ts";

/** At rest for most of its life: without large nurseries it holds 18 MB less. */
export const DAEMON_FLAGS = ["--max-semi-space-size=1"] as const;
/**
 * glibc makes a heap for each thread, and Node has a dozen. With one for all it holds 2 MB less, and 15 MB
 * less where the compiler of types is loaded too; who is at rest does not wait for it.
 */
export const DAEMON_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1" };
const START_MS = 60_000;
const LOOK_EVERY_MS = 50;
const processes = z.object({
  daemon: z.int().positive(),
  orchestrator: z.int().positive().nullable(),
  workers: z.array(z.object({ name: z.string(), pid: z.int().positive() })),
});
export type Processes = z.infer<typeof processes>;

/** A daemon that this program has started, with a data folder of its own. */
export class DaemonProcess {
  readonly #home: string;
  readonly #child: ChildProcess;
  /** What it has said on standard error. */
  #complaint = "";
  /** Resolves with its exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;

  constructor(home: string, options: readonly string[]) {
    this.#home = home;
    // The channel lets the daemon notice when this program is gone, in whatever way.
    this.#child = spawn(
      process.execPath,
      [DAEMON_SCRIPT, "--home", home, "--port", "0", "--exit-with-parent", ...options],
      { stdio: ["ignore", "ignore", "pipe", "ipc"], env: { ...process.env, ...DAEMON_ENVIRONMENT } },
    );
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#complaint += text));
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
  }

  /** Its local API, as soon as it answers. */
  async connect(): Promise<ApiClient> {
    const deadline = performance.now() + START_MS;
    let gone = false;
    void this.ended.then(() => (gone = true));
    while (performance.now() < deadline) {
      if (gone) throw new Failure("daemon-ended", this.#complaint.trim() || "The daemon ended at its start.");
      const path = join(this.#home, API_FILE_NAME);
      // One that was killed in this folder has left its own there.
      if (readApiFile(path)?.pid === this.#child.pid) return ApiClient.connect(path);
      await wait(LOOK_EVERY_MS);
    }
    throw new Failure("daemon-silent", "The daemon did not start in a minute.");
  }

  /** The network's processes by the daemon's own list, as far as they are alive. */
  living(): Processes {
    const list = this.#list();
    return {
      ...list,
      orchestrator: list.orchestrator !== null && isAlive(list.orchestrator) ? list.orchestrator : null,
      workers: list.workers.filter(({ pid }) => isAlive(pid)),
    };
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #list(): Processes {
    try {
      return processes.parse(JSON.parse(readFileSync(join(this.#home, "processes.json"), "utf8")));
    } catch {
      return { daemon: this.#child.pid ?? 0, orchestrator: null, workers: [] };
    }
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function pidsOf({ daemon, orchestrator, workers }: Processes): number[] {
  return [daemon, ...(orchestrator === null ? [] : [orchestrator]), ...workers.map(({ pid }) => pid)];
}
