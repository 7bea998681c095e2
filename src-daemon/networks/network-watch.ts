import { WebSocket } from "ws";
import { watchMessage } from "../../src-protocol/api.ts";
import type { RunView } from "../../src-protocol/api.ts";
import type { NetworkAway } from "../../src-protocol/networks.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import type { Reach } from "./reach.ts";
import { reasonOf } from "./unreachable.ts";

const MESSAGE_LIMIT_BYTES = 1024 * 1024;
const HANDSHAKE_MS = 10_000;
/** A connection whose other end has gone silently never closes by itself. */
const PULSE_MS = 5_000;

export interface NetworkEvents {
  onConnected(connected: boolean): void;
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
  #socket: WebSocket | null = null;
  #timer: NodeJS.Timeout | undefined;
  #pulse: NodeJS.Timeout | undefined;
  #failures = 0;
  #away: NetworkAway | null = null;

  constructor(events: NetworkEvents, reach: Reach, now: () => number = Date.now) {
    this.#events = events;
    this.#reach = reach;
    this.#now = now;
  }

  /** Follows this orchestrator from now on; null: none. */
  follow(url: string | null): void {
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
    this.#socket?.terminate();
    this.#socket = null;
    this.#url = url;
    this.#failures = 0;
    this.#setAway(null);
    if (url !== null) this.#connect(url);
  }

  #connect(url: string): void {
    const socket = new WebSocket(`${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/watch`, {
      ...this.#reach.socket,
      maxPayload: MESSAGE_LIMIT_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    if (this.#away !== null) this.#setAway({ ...this.#away, nextTryAt: null });
    let why = "the connection was closed";
    socket.on("open", () => {
      if (this.#socket !== socket) return;
      this.#failures = 0;
      this.#setAway(null);
      this.#watchPulse(socket, (said) => (why = said));
      this.#events.onConnected(true);
    });
    socket.on("message", (data) => {
      if (this.#socket === socket) this.#receive(data.toString());
    });
    socket.on("error", (error) => {
      why = reasonOf(error);
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#lost(url, why);
    });
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
