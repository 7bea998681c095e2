import type { SessionKey } from "../../../src-protocol/keys.ts";
import { FramedLink } from "../framed-link.ts";
import { systemClock } from "../link-clock.ts";
import type { LinkClock } from "../link-clock.ts";
import type { LinkPipe, LinkPipeEvents } from "../link-pipe.ts";
import { LINK_TIMING } from "../link.ts";
import type { Link, LinkTiming } from "../link.ts";

export interface MemoryLinkOptions {
  readonly clock?: LinkClock;
  readonly timing?: LinkTiming;
  /** One way. */
  readonly delayMs?: number;
}

export interface MemoryFaults {
  /** Both sides are told at once that the connection is lost, as by a reset. */
  cut(): void;
  /** From now on all bytes vanish and nobody is told, as with a pulled cable or a stopped process. */
  silence(): void;
}

/** Two links in one process, `a` to `b`. Same frames, lanes and heartbeats as over a socket. */
export function memoryLinks(
  keys: { a: SessionKey; b: SessionKey },
  options: MemoryLinkOptions = {},
): { a: Link; b: Link } & MemoryFaults {
  const { clock = systemClock, timing = LINK_TIMING } = options;
  const pipes = memoryPipes(options);
  return {
    a: new FramedLink(keys.b, pipes.a, clock, timing),
    b: new FramedLink(keys.a, pipes.b, clock, timing),
    cut: pipes.cut,
    silence: pipes.silence,
  };
}

/** The two ends without links on them, for a test that plays one side byte by byte. */
export function memoryPipes({ clock = systemClock, delayMs = 0 }: MemoryLinkOptions = {}): {
  a: LinkPipe;
  b: LinkPipe;
} & MemoryFaults {
  const later =
    delayMs === 0 ? queueMicrotask : (action: () => void): void => void clock.after(delayMs, action);
  const a = new MemoryPipe(later);
  const b = new MemoryPipe(later);
  a.join(b);
  b.join(a);
  return {
    a,
    b,
    cut() {
      a.lose("the connection was cut");
      b.lose("the connection was cut");
    },
    silence() {
      a.silent = b.silent = true;
    },
  };
}

interface Arrival {
  readonly bytes: Uint8Array;
  readonly taken: () => void;
}

class MemoryPipe implements LinkPipe {
  readonly path = { kind: "this computer", transport: "memory" } as const;
  readonly isNear = true;
  silent = false;
  readonly #later: (action: () => void) => void;
  #peer: MemoryPipe | null = null;
  #events: LinkPipeEvents | null = null;
  #arrived: Arrival[] = [];
  #state: "flowing" | "paused" | "lost" = "paused";
  /** The peer's end, known once all before it has been read. */
  #endReason: string | null = null;

  constructor(later: (action: () => void) => void) {
    this.#later = later;
  }

  join(peer: MemoryPipe): void {
    this.#peer = peer;
  }

  start(events: LinkPipeEvents): void {
    this.#events = events;
    this.resume();
  }

  write(pieces: readonly Uint8Array[], done: () => void): void {
    const bytes = new Uint8Array(Buffer.concat(pieces));
    this.#later(() => this.#peer?.arrive({ bytes, taken: done }));
  }

  pause(): void {
    if (this.#state === "flowing") this.#state = "paused";
  }

  resume(): void {
    if (this.#state === "lost") return;
    this.#state = "flowing";
    queueMicrotask(() => this.#flow());
  }

  end(): void {
    this.#later(() => this.#peer?.ended("the peer ended the connection"));
  }

  destroy(): void {
    if (this.#state === "lost") return;
    this.#state = "lost";
    this.#arrived = [];
    this.#later(() => this.#peer?.ended("the peer dropped the connection"));
  }

  arrive(arrival: Arrival): void {
    if (this.silent || this.#state === "lost") return;
    this.#arrived.push(arrival);
    this.#flow();
  }

  ended(reason: string): void {
    if (this.silent) return;
    this.#endReason ??= reason;
    this.#flow();
  }

  lose(reason: string): void {
    if (this.#state === "lost") return;
    this.#state = "lost";
    this.#arrived = [];
    this.#events?.lost(reason);
  }

  #flow(): void {
    while (this.#state === "flowing") {
      const arrival = this.#arrived.shift();
      if (arrival === undefined) break;
      this.#events?.data(arrival.bytes);
      queueMicrotask(arrival.taken);
    }
    if (this.#state === "flowing" && this.#endReason !== null) this.lose(this.#endReason);
  }
}
