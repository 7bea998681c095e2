import { Agent } from "node:https";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { PINNED_AGENT, PINNED_TLS, whenPinned } from "../../src-protocol/pinned-key.ts";

/**
 * HTTPS to one network, known by the key in its invitation. No authority is asked: the key is the
 * network. For `https.request` and, as `agent`, for WebSockets.
 */
export class PinnedAgent extends Agent {
  readonly #keySha256: string;

  constructor(keySha256: string) {
    super(PINNED_AGENT);
    this.#keySha256 = keySha256;
  }

  override createConnection(
    options: { host?: string | null; port?: string | number | null },
    done: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const socket = connect({ ...PINNED_TLS, host: options.host ?? "localhost", port: Number(options.port) });
    whenPinned(socket, this.#keySha256, done);
  }
}
