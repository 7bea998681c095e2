import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Of an answer, until the other side's system has all of it: a megabyte over the slowest line. */
const READ_MS = 30_000;
/** Asked for before the first of them was read. */
const MOST_UNREAD = 8;

/**
 * SECURITY: answers that nobody reads take memory, and asking costs whoever does it nothing. No client of ours asks
 * a second time on a connection before it has read the first answer.
 */
export class SlowReaders {
  readonly #readMs: number;
  readonly #unread = new WeakMap<Socket, number>();

  constructor(readMs = READ_MS) {
    this.#readMs = readMs;
  }

  /** @param isLong it takes as long as it takes */
  watch(socket: Socket, response: ServerResponse, isLong: boolean): void {
    const unread = (this.#unread.get(socket) ?? 0) + 1;
    this.#unread.set(socket, unread);
    if (unread > MOST_UNREAD) return void socket.destroy();
    const timer = isLong ? undefined : setTimeout(() => socket.destroy(), this.#readMs).unref();
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#unread.set(socket, (this.#unread.get(socket) ?? 1) - 1);
    };
    response.once("finish", over);
    response.once("close", over);
  }
}
