import { Agent } from "node:https";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { refusePeer } from "../src-protocol/pinned-key.ts";

/**
 * HTTPS to one network, known by the key in its invitation. No authority is asked: the key is the
 * network. For `https.request` and, as `agent`, for WebSockets.
 */
export class PinnedAgent extends Agent {
  readonly #keySha256: string;

  constructor(keySha256: string) {
    // A resumed session would show no certificate.
    super({ keepAlive: true, maxCachedSessions: 0 });
    this.#keySha256 = keySha256;
  }

  override createConnection(
    options: { host?: string | null; port?: string | number | null },
    done: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const socket = connect({
      host: options.host ?? "localhost",
      port: Number(options.port),
      // SECURITY: instead of an authority's word, the key itself is compared, before a byte is sent.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["http/1.1"],
    });
    const failed = (error: Error): void => done(error, socket);
    socket.once("error", failed);
    socket.once("secureConnect", () => {
      socket.off("error", failed);
      const failure = refusePeer(socket.getPeerX509Certificate()?.raw, this.#keySha256);
      if (failure === null) return done(null, socket);
      // Whoever hears it from the socket too has heard it from us already.
      socket.on("error", () => {});
      socket.destroy();
      done(failure, socket);
    });
  }
}
