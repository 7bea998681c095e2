import { WebSocket } from "ws";
import { watchMessage } from "../src-protocol/api.ts";
import type { RunView } from "../src-protocol/api.ts";
import type { HistoryPoint } from "../src-protocol/state.ts";

const RECONNECT_MS = 500;
const MESSAGE_LIMIT_BYTES = 1024 * 1024;

export interface NetworkEvents {
  onConnected(connected: boolean): void;
  onRun(run: RunView): void;
  onPoint(point: HistoryPoint): void;
}

/** Follows an orchestrator's public picture of the run, and comes back when the connection breaks. */
export class NetworkWatch {
  readonly #events: NetworkEvents;
  #url: string | null = null;
  #socket: WebSocket | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: NetworkEvents) {
    this.#events = events;
  }

  /** Follows this orchestrator from now on; null: none. */
  follow(url: string | null): void {
    clearTimeout(this.#timer);
    this.#socket?.terminate();
    this.#socket = null;
    this.#url = url;
    if (url !== null) this.#connect(url);
  }

  #connect(url: string): void {
    const socket = new WebSocket(`${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/watch`, {
      maxPayload: MESSAGE_LIMIT_BYTES,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    socket.on("open", () => {
      if (this.#socket === socket) this.#events.onConnected(true);
    });
    socket.on("message", (data) => {
      if (this.#socket === socket) this.#receive(data.toString());
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#events.onConnected(false);
      this.#timer = setTimeout(() => this.#url === url && this.#connect(url), RECONNECT_MS);
    });
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
