import { flushCompileCache } from "node:module";
import type { LinkAddress, PeerAddress } from "../../src-protocol/control.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { Candidate } from "./candidate.ts";
import { roadName } from "./dialling/dial-plan.ts";
import type { Relays, Road } from "./dialling/dial-plan.ts";
import { raceDials } from "./dialling/dial-race.ts";
import type { Won } from "./dialling/dial-race.ts";
import type { DhtNode, OwnRouter } from "./hyperdht/dht-node.ts";
import { systemClock } from "./link-clock.ts";
import type { Link } from "./link.ts";
import type { LaneFolder } from "./lanes/lanes.ts";
import { dialThroughRelay, takeThroughRelay } from "./relay/relayed-link.ts";
import { dialTls, listenForLinks } from "./tls/tls-link.ts";
import type { LinkListener } from "./tls/tls-link.ts";

export interface StationOptions {
  readonly host: string;
  readonly signer: SessionSigner;
  /** Why HyperDHT is not to be used on this computer; null: it may. */
  readonly hyperdhtOff: string | null;
  /** Where payloads to other workers of this computer may lie; null: there is no such folder. */
  readonly laneFolder?: LaneFolder | null;
  /** A peer has dialled and proved its key. */
  readonly onLink: (link: Link) => void;
}

/** One dial of one road may take so long; the race has its own limit. */
const ROAD_MS = 5_000;

/** Everything by which this node is reached and reaches others: its TLS port, the network's DHT and relays. */
export class LinkStation {
  readonly #options: StationOptions;
  readonly #listener: LinkListener;
  #services: LinkServices | null = null;
  #isClosed = false;
  #dht: DhtNode | null = null;
  #dhtFailure: string | null = null;
  /** Settled when the DHT that is offered is there, or is not to be had. */
  #opening: Promise<void> = Promise.resolve();
  #named: ReadonlySet<SessionKey> = new Set();
  /** The road that led to a peer last time. */
  readonly #remembered = new Map<SessionKey, string>();

  private constructor(options: StationOptions, listener: LinkListener) {
    this.#options = options;
    this.#listener = listener;
  }

  /** Rejects with link-listen. */
  static async open(options: StationOptions): Promise<LinkStation> {
    const { host, signer, laneFolder = null, onLink } = options;
    return new LinkStation(options, await listenForLinks({ host, port: 0, signer, laneFolder, onLink }));
  }

  get address(): LinkAddress {
    return this.#listener.address;
  }

  get router(): OwnRouter {
    return this.#dht?.router ?? "unknown";
  }

  /** This computer can be reached by UDP packets that it has asked for. */
  get isHeard(): boolean {
    return this.#dht?.isHeard ?? false;
  }

  get usesUdp(): boolean {
    return this.#dht !== null;
  }

  /** Why there are no links over HyperDHT here; null: there are, or the network offers none. */
  get hyperdhtOff(): string | null {
    return this.#options.hyperdhtOff ?? this.#dhtFailure;
  }

  /** What the network offers, told at each welcome. */
  offered(services: LinkServices | null): void {
    if (JSON.stringify(services) === JSON.stringify(this.#services)) return;
    this.#services = services;
    void this.#dht?.close().catch(() => {});
    this.#dht = null;
    if (services === null || this.#options.hyperdhtOff !== null) return;
    this.#opening = this.#openDht(services);
  }

  async #openDht(services: LinkServices): Promise<void> {
    const { signer, host, onLink } = this.#options;
    let dht: DhtNode | null = null;
    try {
      // Only here: a network within one home needs none of it, and it is a quarter of what this thread loads.
      const { DhtNode } = await import("./hyperdht/dht-node.ts");
      // Before V8's flags change, for which compiled code is kept.
      flushCompileCache();
      if (this.#services !== services || this.#isClosed) return;
      dht = new DhtNode({ services, signer, host, onLink });
      dht.admit(this.#named);
      this.#dht = dht;
      this.#dhtFailure = null;
      const opened = dht;
      dht.listen().catch((error: unknown) => this.#lost(opened, error));
    } catch (error) {
      if (this.#services === services) this.#lost(dht, error);
    }
  }

  #lost(dht: DhtNode | null, error: unknown): void {
    if (this.#dht !== dht) return;
    this.#dht = null;
    this.#dhtFailure = failureBody(error).message.slice(0, 400);
    void dht?.close().catch(() => {});
  }

  /** SECURITY: over HyperDHT only these are answered. */
  name(peers: ReadonlySet<SessionKey>): void {
    this.#named = peers;
    this.#dht?.admit(peers);
  }

  /** This computer's address has changed. */
  moved(): void {
    this.#dht?.refresh();
  }

  /** Rejects with link-refused (every road's reason) or link-aborted. `relays` "never": only better roads than a relay. */
  async dial(
    peer: PeerAddress,
    withinMs: number,
    signal: AbortSignal,
    relays: Relays = "last",
  ): Promise<Won> {
    await this.#opening;
    const won = await raceDials(
      {
        addresses: [peer.address, ...(peer.others ?? [])],
        hyperdht: this.#dht !== null,
        byteRelay: this.hasByteRelay ? relays : "never",
        remembered: this.#remembered.get(peer.sessionKey) ?? null,
      },
      withinMs,
      signal,
      { dial: (road, abort) => this.#dialBy(road, peer.sessionKey, abort), clock: systemClock },
    );
    this.#remembered.set(peer.sessionKey, roadName(won.road));
    return won;
  }

  get hasByteRelay(): boolean {
    return (this.#services?.byteRelay ?? null) !== null;
  }

  /** Why nobody can come by way of a relay; empty when somebody can. */
  get relayRefusal(): string {
    return this.#services === null ? "this network has none" : this.#services.refusal;
  }

  /** Waits at the byte relay for a peer that cannot reach us otherwise. Rejects as `takeThroughRelay`. */
  async take(peer: SessionKey, signal: AbortSignal): Promise<Link> {
    const relay = this.#services?.byteRelay?.address;
    if (relay === undefined) throw new Failure("link-refused", "The network has no byte relay.");
    return await takeThroughRelay({ relay, peer, signer: this.#options.signer, signal });
  }

  /** Links have said goodbye before. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    void this.#dht?.close().catch(() => {});
  }

  #dialBy(road: Road, peer: SessionKey, signal: AbortSignal): Promise<Candidate> {
    const { signer, laneFolder = null } = this.#options;
    const relay = this.#services?.byteRelay?.address;
    switch (road.by) {
      case "tls":
        return dialTls({
          address: road.address,
          expect: peer,
          timeoutMs: ROAD_MS,
          signal,
          signer,
          laneFolder,
        });
      case "hyperdht":
        if (this.#dht !== null) return this.#dht.dial(peer, signal);
        break;
      case "byte relay":
        if (relay !== undefined) return dialThroughRelay({ relay, peer, signer, signal });
        break;
    }
    return Promise.reject(new Failure("link-refused", "The network does not offer this any more."));
  }
}
