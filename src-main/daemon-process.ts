import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { HAND_OVER_OPTION, type HandedOver } from "../src-protocol/keychain.ts";

/** A plain Node and the daemon's first file. */
export interface DaemonProgram {
  readonly node: string;
  readonly entry: string;
}

export interface ProgramPlaces {
  /** Electron's `process.resourcesPath` in a packaged app; null in a checkout. */
  readonly resources: string | null;
  readonly checkout: string;
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  readonly exists?: (path: string) => boolean;
}

/**
 * The Node that the app ships, or in a checkout the one of node_modules. Never Electron's own: ONNX
 * Runtime crashes there, and the RunAsNode fuse is off.
 */
export function findDaemonProgram(places: ProgramPlaces): DaemonProgram | null {
  const { resources, checkout, platform, arch, exists = existsSync } = places;
  const binary = platform === "win32" ? "node.exe" : "node";
  const os = platform === "win32" ? "win" : platform;
  const root = resources === null ? checkout : join(resources, "daemon");
  const nodes =
    resources === null
      ? [`node-${os}-${arch}`, `node-bin-${os}-${arch}`].map((name) =>
          join(checkout, "node_modules", name, "bin", binary),
        )
      : [join(resources, "node", binary)];
  const node = nodes.find((path) => exists(path));
  // A package holds the same files as plain JavaScript.
  const entry = join(root, "src-daemon", resources === null ? "main.ts" : "main.js");
  return node !== undefined && exists(entry) ? { node, entry } : null;
}

export interface DaemonProcessOptions {
  readonly program: DaemonProgram | null;
  readonly home: string;
  /** What the daemon complains of is kept here, to be shown when it does not start. */
  readonly startLog: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the system's keychain keeps for the daemon; null: it is not asked (a checkout). */
  readonly handOver: (() => Promise<HandedOver>) | null;
}

/** A daemon that the shell started. It lives on when the shell crashes: only Quit ends it. */
export class DaemonProcess {
  readonly #options: DaemonProcessOptions;
  #child: ChildProcess | null = null;
  #lastFailure: string | null = null;

  constructor(options: DaemonProcessOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== null;
  }

  /** Why the last one that was started did not stay; null: it did, or ended as it was told to. */
  get lastFailure(): string | null {
    return this.#lastFailure;
  }

  start(): void {
    const { program, home, startLog, env, handOver } = this.#options;
    if (this.#child !== null) return;
    this.#lastFailure = null;
    if (program === null) {
      this.#lastFailure = INCOMPLETE;
      return;
    }
    let log: number | null = null;
    try {
      mkdirSync(dirname(startLog), { recursive: true });
      log = openSync(startLog, "w", 0o600);
      const options = handOver === null ? [] : [HAND_OVER_OPTION];
      const child = spawn(program.node, ["--max-semi-space-size=1", program.entry, ...options], {
        // A session of its own: closing or killing the shell must not stop work. A file and not a
        // pipe: the daemon must be able to write after the shell is gone.
        detached: true,
        windowsHide: true,
        stdio: [handOver === null ? "ignore" : "pipe", "ignore", log],
        env: daemonEnvironment(env, home),
      });
      this.#child = child;
      // A daemon that ends at once has closed it: that is told by its exit.
      child.stdin?.on("error", () => {});
      void handOver?.().then((handed) => child.stdin?.end(`${JSON.stringify(handed)}\n`));
      child.on("error", (error) => this.#ended(`Train at Home could not be started (${error.message}).`));
      child.on("exit", (code) => this.#ended(code === 0 ? null : (lastLine(startLog) ?? UNEXPECTED)));
      child.unref();
    } catch (error) {
      this.#lastFailure = `Train at Home could not be started (${error instanceof Error ? error.message : String(error)}).`;
    } finally {
      if (log !== null) closeSync(log);
    }
  }

  /** The last resort of Quit, when the daemon does not answer: asks the process itself to end. */
  terminate(): void {
    this.#child?.kill("SIGTERM");
  }

  #ended(failure: string | null): void {
    this.#child = null;
    this.#lastFailure = failure;
  }
}

const UNEXPECTED = "Train at Home stopped unexpectedly. It is being started again.";
const INCOMPLETE =
  "This copy of Train at Home is incomplete: the program that does the work is missing. Install it again.";

/**
 * What holds the daemon small is as in src-cli/daemon-process.ts. SECURITY: nothing that steers Electron or Node reaches the daemon; no telemetry leaves the computer.
 */
export function daemonEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(ELECTRON_|NODE_OPTIONS$|NODE_CHANNEL_|NODE_UNIQUE_ID$)/.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), TAH_HOME: home, ORT_DISABLE_TELEMETRY: "1", MALLOC_ARENA_MAX: "1" };
}

function lastLine(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim().split("\n").at(-1)?.trim() || null;
  } catch {
    return null;
  }
}
