import type { WebSocket } from "ws";
import type { WatchMessage } from "../src-protocol/api.ts";
import { BLOCK_MS } from "./clock.ts";
import type { RunHost } from "./run-host.ts";

/** The picture changes at most this often. */
export const WATCH_INTERVAL_MS = 200;
/** A watcher that does not read gets the next picture later, and is let go when it never reads. */
const BUSY_BYTES = 256 * 1024;
const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;

/** Shows a run to somebody: the picture now, then every change and every finished step. */
export function watchSocket(socket: WebSocket, host: RunHost): void {
  let timer: NodeJS.Timeout | null = null;
  let shownAt = 0;

  const send = (message: WatchMessage): void => {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > UNREAD_LIMIT_BYTES) socket.terminate();
    else socket.send(JSON.stringify(message));
  };
  const show = (): void => {
    timer = null;
    if (socket.bufferedAmount > BUSY_BYTES) {
      later();
      return;
    }
    shownAt = Date.now();
    send({ type: "run", run: host.view() });
  };
  const later = (): void => {
    timer ??= setTimeout(show, Math.max(0, shownAt + WATCH_INTERVAL_MS - Date.now()));
  };

  const stop = host.watch({ changed: later, point: (point) => send({ type: "point", point }) });
  // The block goes on when nothing else does.
  const clock = setInterval(later, BLOCK_MS);
  socket.on("close", () => {
    stop();
    clearInterval(clock);
    if (timer !== null) clearTimeout(timer);
  });
  // What breaks also closes.
  socket.on("error", () => {});
  show();
}
