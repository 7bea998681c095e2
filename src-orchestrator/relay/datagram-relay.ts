import { lookup } from "node:dns/promises";
import { Server as BlindRelay } from "blind-relay";
import type { RelaySession } from "blind-relay";
import HyperDHT from "hyperdht";
import type { KeyPair, NodeAddress, RawStream, SecretStream } from "hyperdht";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { PairList } from "./pair-list.ts";
import { DHT_NODES } from "./relay-ipc.ts";
import type { RelayRates } from "./relay-rates.ts";

/** How far behind its rate a node may be before its streams are cut: the transport gives no way to slow it. */
const DEBT_MS = 5_000;
/** Pairings of one session that wait for their other side. */
const WAITING_PER_SESSION = 8;
const WAITING_MS = 15_000;
const SESSIONS_PER_KEY = 4;
const LOOK_EVERY_MS = 500;

export interface DatagramRelayOptions {
  readonly host: string;
  readonly publicHost: string;
  readonly ports: readonly number[];
  readonly seed: string;
  readonly streams: number;
  readonly rates: RelayRates;
  readonly refused: (code: string) => void;
}

/** What blind-relay keeps and does not show; it has no limits of its own. */
interface SessionInside {
  readonly _pairing: ReadonlySet<string>;
}

interface Relayed {
  readonly key: string;
  readonly session: RelaySession;
  readonly stream: RawStream;
  seenBytes: number;
}

/** The network's own DHT and its blind relay for HyperDHT links: they see keys and ciphertext. */
export class DatagramRelay {
  readonly #options: DatagramRelayOptions;
  readonly #nodes: HyperDHT[] = [];
  readonly #keyPair: KeyPair;
  readonly #relayed = new Set<Relayed>();
  readonly #sessions = new Map<RelaySession, { readonly key: string; waitingSince: number | null }>();
  #relay: BlindRelay | null = null;
  #pairs = new PairList();
  #look: NodeJS.Timeout | undefined;

  constructor(options: DatagramRelayOptions) {
    this.#options = options;
    const signer = createSessionSigner(Buffer.from(options.seed, "hex"));
    this.#keyPair = {
      publicKey: Buffer.from(signer.publicKey, "hex"),
      secretKey: signer.transportKey(),
    };
  }

  /** The UDP ports in use: the DHT's nodes, then the relay's own. */
  async listen(): Promise<number[]> {
    const { host, ports } = this.#options;
    const bootstrap: NodeAddress[] = [];
    // Under the address by which nodes reach them: what these nodes know of each other is passed on.
    const { address } = await lookup(this.#options.publicHost, { family: 4 });
    for (let index = 0; index <= DHT_NODES; index++) {
      const node = new HyperDHT({
        bootstrap: bootstrap.slice(0, 1),
        host,
        port: ports[index] ?? 0,
        ephemeral: false,
        firewalled: false,
      });
      this.#nodes.push(node);
      await node.fullyBootstrapped();
      bootstrap.push({ host: address, port: node.address()?.port ?? 0 });
    }
    const own = this.#nodes[DHT_NODES];
    if (own !== undefined) await this.#serve(own);
    this.#look = setInterval(() => this.#lookAt(performance.now()), LOOK_EVERY_MS).unref();
    return bootstrap.map(({ port }) => port);
  }

  get streams(): number {
    return this.#relayed.size / 2;
  }

  allow(pairs: PairList): void {
    this.#pairs = pairs;
    for (const [session, { key }] of this.#sessions) if (!pairs.names(key)) session.stream.destroy();
  }

  async close(): Promise<void> {
    clearInterval(this.#look);
    await Promise.all(this.#nodes.map((node) => node.destroy({ force: true })));
  }

  async #serve(own: HyperDHT): Promise<void> {
    const relay = new BlindRelay({
      createStream: (options) => own.createRawStream({ ...options, framed: true }),
    });
    this.#relay = relay;
    const server = own.createServer(
      {
        // SECURITY: decided from a list in memory; only nodes that a run names may hold a place here.
        firewall: (bytes) => {
          const key = Buffer.from(bytes).toString("hex");
          const refusal = !this.#pairs.names(key)
            ? "relay-not-named"
            : [...this.#sessions.values()].filter((session) => session.key === key).length >=
                  SESSIONS_PER_KEY || this.#relayed.size >= this.#options.streams * 2
              ? "relay-full"
              : null;
          if (refusal !== null) this.#options.refused(refusal);
          return refusal !== null;
        },
      },
      (stream) => this.#accept(relay, stream),
    );
    await server.listen(this.#keyPair);
  }

  #accept(relay: BlindRelay, stream: SecretStream): void {
    stream.on("error", () => {});
    const key = Buffer.from(stream.remotePublicKey ?? []).toString("hex");
    const session = relay.accept(stream, { id: stream.remotePublicKey });
    this.#sessions.set(session, { key, waitingSince: null });
    session.on("error", () => {});
    session.on("close", () => {
      this.#sessions.delete(session);
      stream.destroy();
    });
    session.on("pair", (_isInitiator: boolean, _token: Uint8Array, raw: RawStream) => {
      const relayed = { key, session, stream: raw, seenBytes: 0 };
      this.#relayed.add(relayed);
      raw.on("close", () => this.#relayed.delete(relayed));
    });
  }

  #lookAt(now: number): void {
    const { rates, refused } = this.#options;
    for (const relayed of this.#relayed) {
      const bytes = relayed.stream.bytesReceived;
      const waitMs = rates.sent(relayed.key, bytes - relayed.seenBytes, now);
      relayed.seenBytes = bytes;
      // SECURITY: honest nodes keep to the rate that the welcome names; who does not loses its relay.
      if (waitMs <= DEBT_MS) continue;
      refused("relay-rate");
      relayed.session.stream.destroy();
    }
    for (const [session, state] of this.#sessions) {
      const waiting = (session as unknown as SessionInside)._pairing.size;
      state.waitingSince = waiting === 0 ? null : (state.waitingSince ?? now);
      const isOld = state.waitingSince !== null && now - state.waitingSince > WAITING_MS;
      if (!isOld && waiting <= WAITING_PER_SESSION) continue;
      refused("relay-alone");
      session.stream.destroy();
    }
    rates.forgetIdle(now);
  }

  get waiting(): number {
    return this.#relay?.stats.pairings.pending ?? 0;
  }
}
