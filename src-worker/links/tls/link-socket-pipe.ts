import type { TLSSocket } from "node:tls";
import type { LinkPath } from "../../../src-protocol/link-report.ts";
import { isNearHost, isOwnHost } from "../own-addresses.ts";
import type { LinkPipe, LinkPipeEvents } from "../link-pipe.ts";
import { release } from "../../compute/compute-call.ts";

/** A link's pipe over a TLS socket whose peer is authenticated. */
export class SocketPipe implements LinkPipe {
  readonly path: LinkPath;
  readonly isNear: boolean;
  readonly #socket: TLSSocket;

  /** `through`: by way of a relay, whose address is then the remote one. */
  constructor(socket: TLSSocket, through: "relay" | "nothing" = "nothing") {
    this.#socket = socket;
    const host = socket.remoteAddress ?? "";
    const kind = isOwnHost(host) ? "this computer" : "direct";
    this.isNear = through === "nothing" && isNearHost(host);
    this.path = { kind: through === "relay" ? "relayed" : kind, transport: "tls" };
  }

  start(events: LinkPipeEvents): void {
    const socket = this.#socket;
    let reason = "the peer ended the connection";
    socket.on("error", (error: NodeJS.ErrnoException) => {
      reason =
        error.code === "ECONNRESET" || error.code === "EPIPE"
          ? "the peer's process or computer dropped the connection"
          : error.message;
    });
    socket.on("data", (bytes) => {
      events.data(bytes);
      // Megabytes a second that nobody holds: left to the garbage collector they make it run all the time.
      if (isOwnMemory(bytes)) release(bytes);
    });
    socket.on("end", () => events.lost(reason));
    socket.on("close", () => events.lost(reason));
    if (socket.destroyed) queueMicrotask(() => events.lost(reason));
  }

  write(pieces: readonly Uint8Array[], done: () => void): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    const last = pieces.length - 1;
    // One record layer write for the small head and its payload.
    socket.cork();
    pieces.forEach((piece, index) => {
      socket.write(piece, (error) => {
        if (index === last && !error) done();
      });
    });
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Small pieces may share theirs with others. */
function isOwnMemory(bytes: Buffer): bytes is Buffer<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
}
