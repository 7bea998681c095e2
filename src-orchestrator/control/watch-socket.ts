import type { WebSocket } from "ws";
import { BLOCK_MS } from "../ledger/index.ts";
import type { RunHost } from "../runs/run-host.ts";
import type { RunPages } from "./run-pages.ts";

/** The picture changes at most this often, and with many watchers less: so many are sent in a second in all. */
export const WATCH_INTERVAL_MS = 200;
const PICTURES_PER_SECOND = 500;
/** Every finished step is told to so many; to more, only the newest with each picture. */
const TOLD_EVERY_STEP = 32;
/** A watcher that does not read gets the next picture later, and is let go when it never reads. */
const BUSY_BYTES = 256 * 1024;
const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;
const MOST_WATCHERS = 10_000;
const MOST_OF_ADDRESS = 256;

/** Shows a run to whoever looks: the picture now, then every change and every finished step. */
export class Watchers {
  readonly #host: RunHost;
  readonly #pages: RunPages;
  readonly #byAddress = new Map<string, number>();
  #count = 0;

  constructor(host: RunHost, pages: RunPages) {
    this.#host = host;
    this.#pages = pages;
    host.watch({ changed: () => pages.changed(), point: () => pages.changed() });
  }

  get #intervalMs(): number {
    return Math.max(WATCH_INTERVAL_MS, (this.#count * 1000) / PICTURES_PER_SECOND);
  }

  /** Until the socket closes. False, and it is ended, when there are too many, or too many of this address. */
  serve(socket: WebSocket, address: string): boolean {
    // What breaks also closes.
    socket.on("error", () => {});
    const own = this.#byAddress.get(address) ?? 0;
    if (this.#count >= MOST_WATCHERS || own >= MOST_OF_ADDRESS) {
      socket.terminate();
      return false;
    }
    this.#byAddress.set(address, own + 1);
    this.#count += 1;
    const stop = this.#show(socket);
    socket.on("close", () => {
      stop();
      this.#count -= 1;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
    return true;
  }

  #show(socket: WebSocket): () => void {
    let timer: NodeJS.Timeout | null = null;
    let shownAt = -Infinity;
    let untold: string | null = null;
    const send = (text: string): void => {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > UNREAD_LIMIT_BYTES) socket.terminate();
      else socket.send(text);
    };
    const show = (): void => {
      timer = null;
      if (socket.bufferedAmount > BUSY_BYTES) {
        later();
        return;
      }
      shownAt = performance.now();
      if (untold !== null) send(untold);
      untold = null;
      send(`{"type":"run","run":${this.#pages.view()}}`);
    };
    const later = (): void => {
      timer ??= setTimeout(show, Math.max(0, shownAt + this.#intervalMs - performance.now()));
    };
    const stop = this.#host.watch({
      changed: later,
      point: (point) => {
        const text = `{"type":"point","point":${this.#pages.point(point)}}`;
        if (this.#count <= TOLD_EVERY_STEP) send(text);
        else untold = text;
      },
    });
    // The block goes on when nothing else does.
    const clock = setInterval(later, BLOCK_MS);
    show();
    return () => {
      stop();
      clearInterval(clock);
      if (timer !== null) clearTimeout(timer);
    };
  }
}
