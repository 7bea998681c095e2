import { ownHosts } from "./own-addresses.ts";

/** A look costs 0.1 ms. */
const EVERY_MS = 250;
/** Wall clock and monotonic clock differ by so much: the computer has slept. */
const SLEPT_MS = 3_000;

/**
 * What one look says against those before. An address that went and came back is no change: links
 * over it live on, so only an address that was not there before means that paths have moved.
 */
export function moved(known: ReadonlySet<string>, hosts: readonly string[]): boolean {
  return hosts.some((host) => !known.has(host));
}

export interface WatchPorts {
  hosts(): string[];
  wallMs(): number;
  monotonicMs(): number;
}

const SYSTEM: WatchPorts = {
  hosts: ownHosts,
  wallMs: Date.now,
  monotonicMs: () => performance.now(),
};

/** Looks all the time: the transport's own event comes up to five seconds late. */
export class AddressWatch {
  readonly #ports: WatchPorts;
  readonly #onMoved: (why: "address" | "slept") => void;
  #known: ReadonlySet<string>;
  #offset: number;
  readonly #timer: NodeJS.Timeout;

  constructor(onMoved: (why: "address" | "slept") => void, ports: WatchPorts = SYSTEM) {
    this.#ports = ports;
    this.#onMoved = onMoved;
    this.#known = new Set(ports.hosts());
    this.#offset = ports.wallMs() - ports.monotonicMs();
    this.#timer = setInterval(() => this.look(), EVERY_MS).unref();
  }

  look(): void {
    const offset = this.#ports.wallMs() - this.#ports.monotonicMs();
    const slept = offset - this.#offset > SLEPT_MS;
    this.#offset = offset;
    const hosts = this.#ports.hosts();
    if (moved(this.#known, hosts)) {
      this.#known = new Set(hosts);
      this.#onMoved("address");
    } else if (slept) this.#onMoved("slept");
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
