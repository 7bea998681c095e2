import { WebSocket } from "ws";
import { watchMessage } from "../../src-protocol/api.ts";
import type { RunView } from "../../src-protocol/api.ts";
import type { NetworkAway } from "../../src-protocol/networks.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { refusalIn } from "./network-card.ts";
import type { Reach } from "./reach.ts";
import { reasonOf } from "./unreachable.ts";

const MESSAGE_LIMIT_BYTES = 1024 * 1024;
/** How long the address of before may still answer first. */
const PREFER_MS = 1_000;
const HANDSHAKE_MS = 10_000;
/** A connection whose other end has gone silently never closes by itself. */
const PULSE_MS = 5_000;

export interface NetworkEvents {
  onConnected(connected: boolean): void;
  /** Another of its addresses has answered, and is used from now on. */
  onAddress?(url: string): void;
  /** Null: it answers again. */
  onAway(away: NetworkAway | null): void;
  onRun(run: RunView): void;
  onPoint(point: HistoryPoint): void;
}

/** Follows an orchestrator's public picture of the run, and comes back when the connection breaks. */
export class NetworkWatch {
  readonly #events: NetworkEvents;
  readonly #reach: Reach;
  readonly #now: () => number;
  #url: string | null = null;
  /** Further addresses of the same orchestrator. */
  #others: readonly string[] = [];
  #socket: WebSocket | null = null;
  #trying = new Set<WebSocket>();
  #timer: NodeJS.Timeout | undefined;
  #pulse: NodeJS.Timeout | undefined;
  #failures = 0;
  #away: NetworkAway | null = null;

  constructor(events: NetworkEvents, reach: Reach, now: () => number = Date.now) {
    this.#events = events;
    this.#reach = reach;
    this.#now = now;
  }

  /** Follows this orchestrator from now on, at any of its addresses, rather at the first; null: none. */
  follow(url: string | null, others: readonly string[] = []): void {
    if (url === this.#url) return;
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
    this.#give(null);
    this.#url = url;
    this.#others = others.filter((other) => other !== url);
    this.#failures = 0;
    this.#setAway(null);
    if (url !== null) this.#connect(url);
  }

  /** At all addresses at once: a network that has moved is found as fast as one that has not. */
  #connect(url: string): void {
    if (this.#away !== null) this.#setAway({ ...this.#away, nextTryAt: null });
    const addresses = [url, ...this.#others];
    let why: string | null = null;
    let second: NodeJS.Timeout | undefined;
    const trying = new Set<WebSocket>();
    this.#trying = trying;
    for (const address of addresses) {
      const socket = this.#open(address);
      trying.add(socket);
      socket.on("open", () => {
        if (address === url) return this.#won(socket, address);
        // The usual one may be a moment slower, and changing costs the workers a new start.
        socket.pause();
        second ??= setTimeout(() => this.#won(socket, address), PREFER_MS);
      });
      socket.on("unexpected-response", (_, response) => {
        void refusalIn(response).then((refusal) => {
          const status = `it answered HTTP ${response.statusCode}`;
          if (address === url) why = refusal?.message ?? status;
          socket.terminate();
        });
      });
      socket.on("error", (error) => {
        if (address === url) why ??= reasonOf(error);
      });
      socket.on("close", () => {
        trying.delete(socket);
        if (this.#trying === trying && trying.size === 0) this.#lost(url, why ?? "the connection was closed");
      });
    }
  }

  #open(url: string): WebSocket {
    return new WebSocket(`${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/watch`, {
      ...this.#reach.socket,
      maxPayload: MESSAGE_LIMIT_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
    });
  }

  /** One address has answered, the others are let go. */
  #won(socket: WebSocket, url: string): void {
    const before = this.#url;
    if (!this.#trying.has(socket) || this.#socket !== null || before === null) return;
    let why = "the connection was closed";
    this.#give(socket);
    socket.on("message", (data) => {
      if (this.#socket === socket) this.#receive(data.toString());
    });
    socket.on("error", (error) => {
      why = reasonOf(error);
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#lost(url, why);
    });
    if (socket.isPaused) socket.resume();
    this.#failures = 0;
    this.#setAway(null);
    this.#watchPulse(socket, (said) => (why = said));
    if (url !== before) {
      this.#others = [before, ...this.#others].filter((other) => other !== url);
      this.#url = url;
      this.#events.onAddress?.(url);
    }
    this.#events.onConnected(true);
  }

  /** Nothing else is connected or tried from now on. */
  #give(socket: WebSocket | null): void {
    const others = [this.#socket, ...this.#trying].filter((other) => other !== socket);
    this.#socket = socket;
    this.#trying = new Set();
    for (const other of others) other?.terminate();
  }

  #lost(url: string, why: string): void {
    clearInterval(this.#pulse);
    const delayMs = this.#reach.retryMs(this.#failures);
    this.#failures += 1;
    const now = this.#now();
    this.#setAway({
      since: this.#away?.since ?? now,
      nextTryAt: Math.round(now + delayMs),
      why: why.slice(0, 300),
    });
    this.#events.onConnected(false);
    this.#timer = setTimeout(() => this.#url === url && this.#connect(url), delayMs);
  }

  #watchPulse(socket: WebSocket, onEnd: (why: string) => void): void {
    let heard = true;
    socket.on("pong", () => (heard = true));
    socket.on("message", () => (heard = true));
    clearInterval(this.#pulse);
    this.#pulse = setInterval(() => {
      if (!heard) {
        onEnd("it has fallen silent");
        socket.terminate();
        return;
      }
      heard = false;
      socket.ping();
    }, PULSE_MS);
  }

  #setAway(away: NetworkAway | null): void {
    if (away === this.#away) return;
    this.#away = away;
    this.#events.onAway(away);
  }

  #receive(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return;
    }
    // A newer orchestrator may say more than this version knows: what is not understood is left out.
    const message = watchMessage.safeParse(value);
    if (!message.success) return;
    if (message.data.type === "run") this.#events.onRun(message.data.run);
    else this.#events.onPoint(message.data.point);
  }
}
