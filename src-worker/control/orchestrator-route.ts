import type { ClientRequest, OutgoingHttpHeaders, RequestOptions } from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import type { NetworkAccess } from "../../src-protocol/invitation.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { NETWORK_HEADERS } from "../../src-protocol/network-card.ts";
import { PINNED_AGENT, PINNED_TLS, whenPinned } from "../../src-protocol/pinned-key.ts";

// Not imported: an ES import reads every export, and one of them loads fetch's client, 20 ms and some megabytes.
const http = process.getBuiltinModule("node:http");

/** The way to the orchestrator: by which key it is known, and what every request shows to be let in. */
export class OrchestratorRoute {
  readonly #url: string;
  /** Of requests, which share connections. Undefined: Node's own, over loopback. */
  readonly #agent: https.Agent | undefined;
  /** Of the control connection. It never takes one that was used before, on a way that may be gone. */
  readonly controlAgent: https.Agent | undefined;
  readonly headers: Readonly<Record<string, string>>;

  /** @param access null: this computer's own network */
  constructor(url: string, access: NetworkAccess | null, hotkey: Ss58Address | null) {
    this.#url = url;
    this.#agent = access === null ? undefined : new PinnedAgent(access.keySha256, PINNED_AGENT);
    this.controlAgent = access === null ? undefined : new PinnedAgent(access.keySha256, PINNED_CONTROL);
    const token = access?.token ?? null;
    this.headers = {
      [NETWORK_HEADERS.protocol]: String(CONTROL_PROTOCOL),
      ...(token !== null && { [NETWORK_HEADERS.token]: token }),
      ...(hotkey !== null && { [NETWORK_HEADERS.hotkey]: hotkey }),
    };
  }

  /** This computer's way to others may have changed: no idle connection is used again. */
  doubt(): void {
    for (const sockets of Object.values(this.#agent?.freeSockets ?? {}))
      for (const socket of sockets ?? []) socket.destroy();
  }

  url(path: string): URL {
    return new URL(path, this.#url);
  }

  /** A request that is still to be ended. No redirect is followed. */
  request(path: string, options: RequestOptions): ClientRequest {
    const url = this.url(path);
    const headers = { ...options.headers, ...this.headers } as OutgoingHttpHeaders;
    if (url.protocol === "http:") return http.request(url, { ...options, headers });
    return https.request(url, { ...options, headers, agent: this.#agent });
  }
}

const PINNED_CONTROL = { ...PINNED_AGENT, keepAlive: false };

class PinnedAgent extends https.Agent {
  readonly #keySha256: string;

  constructor(keySha256: string, options: https.AgentOptions) {
    super(options);
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
