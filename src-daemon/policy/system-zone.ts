import { execFile } from "node:child_process";
import { readlinkSync, statSync } from "node:fs";
import { isTimeZone, ownTimeZone } from "../../src-protocol/zone.ts";

const LOCALTIME = "/etc/localtime";
const LOOK_MS = 30_000;
/** Windows shows nowhere that the zone has changed, so a child is asked now and then. */
const ASK_EVERY_MS = 10 * 60_000;
const ASK_WITHIN_MS = 10_000;

export interface SystemZonePorts {
  /** Changes when the system's zone may have changed. */
  readonly mark: () => string;
  /** The zone as a fresh process sees it; null: it could not be asked. */
  readonly ask: () => Promise<string | null>;
  readonly every: (ms: number, look: () => void) => () => void;
  readonly first: string;
}

/**
 * The computer's own time zone, followed while it travels. A running Node reads the zone once and
 * never sees a new one (Node 24.21: UTC still after /etc/localtime became New York), so a short-lived
 * one is asked whenever the system's setting has changed.
 */
export class SystemZone {
  readonly #ports: SystemZonePorts;
  readonly #stop: () => void;
  readonly #listeners = new Set<() => void>();
  #zone: string;
  #mark: string;
  #asking = false;

  constructor(ports: SystemZonePorts = systemPorts()) {
    this.#ports = ports;
    this.#zone = ports.first;
    this.#mark = ports.mark();
    this.#stop = ports.every(LOOK_MS, () => void this.look());
  }

  get name(): string {
    return this.#zone;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async look(): Promise<void> {
    const mark = this.#ports.mark();
    if (mark === this.#mark || this.#asking) return;
    this.#asking = true;
    const zone = await this.#ports.ask().finally(() => (this.#asking = false));
    // One that could not be asked is asked again at the next look.
    if (zone === null || !isTimeZone(zone)) return;
    this.#mark = mark;
    if (zone === this.#zone) return;
    this.#zone = zone;
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }
}

function systemPorts(): SystemZonePorts {
  return {
    mark: process.platform === "win32" ? () => String(Math.floor(Date.now() / ASK_EVERY_MS)) : markOfLink,
    ask: askChild,
    every(ms, look) {
      const timer = setInterval(look, ms).unref();
      return () => clearInterval(timer);
    },
    first: ownTimeZone(),
  };
}

function markOfLink(): string {
  const parts: string[] = [];
  try {
    parts.push(readlinkSync(LOCALTIME));
  } catch {
    // A plain file, or none.
  }
  try {
    const { ino, mtimeMs, size } = statSync(LOCALTIME);
    parts.push(`${ino} ${mtimeMs} ${size}`);
  } catch {
    parts.push("none");
  }
  return parts.join(" ");
}

function askChild(): Promise<string | null> {
  const script = "process.stdout.write(new Intl.DateTimeFormat().resolvedOptions().timeZone)";
  const { NODE_OPTIONS: _options, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["-e", script],
      { env, timeout: ASK_WITHIN_MS, windowsHide: true },
      (error, out) => resolve(error === null ? out : null),
    );
  });
}
