import { lookup } from "node:dns/promises";
import HyperDHT from "hyperdht";
import type { KeyPair, SecretStream, Server } from "hyperdht";
import { Failure } from "../../../src-protocol/failure.ts";
import { sessionKey } from "../../../src-protocol/keys.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import type { LinkServices } from "../../../src-protocol/link-services.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";
import type { Candidate } from "../candidate.ts";
import { FramedLink } from "../framed-link.ts";
import { systemClock } from "../link-clock.ts";
import type { LinkClock } from "../link-clock.ts";
import type { LinkPipe } from "../link-pipe.ts";
import { LINK_TIMING } from "../link.ts";
import type { Link, LinkTiming } from "../link.ts";
import { dialFailure } from "./dht-failure.ts";
import { StreamPipe } from "./stream-pipe.ts";

/** A peer that dials says something within this time, or it has chosen another path. */
const FIRST_WORD_MS = 8_000;
/** Streams that have not said anything yet. */
const SILENT_LIMIT = 16;
/** A peer that dials before our own assignment names it waits so long at most; longer would be a refusal anyway. */
const NAMED_WITHIN_MS = 1_500;
const NAMELESS_LIMIT = 16;
/** How often the network's DHT is asked for a sign of life. */
const HEARD_EVERY_MS = 3_000;

export interface DhtNodeOptions {
  readonly services: Pick<LinkServices, "bootstrap" | "datagramRelay">;
  readonly signer: SessionSigner;
  /** The address to bind to; 0.0.0.0 outside of tests. */
  readonly host: string;
  readonly onLink: (link: Link) => void;
  readonly clock?: LinkClock;
  readonly timing?: LinkTiming;
  readonly heardEveryMs?: number;
  /** What every link runs through; a test puts a road there that breaks. */
  readonly road?: (pipe: LinkPipe, stream: SecretStream) => LinkPipe;
}

/** What is known of the router in front of this computer. */
export type OwnRouter = "none" | "keeps ports" | "changes ports" | "unknown";

/** This node on the network's own DHT: it listens under its session key, and dials others by theirs. */
export class DhtNode {
  readonly #options: DhtNodeOptions;
  readonly #dht: HyperDHT;
  readonly #keyPair: KeyPair;
  readonly #server: Server;
  /** SECURITY: only peers that the orchestrator named for this run are answered. */
  #admitted: ReadonlySet<string> = new Set();
  #nameless: (() => void)[] = [];
  #silent = 0;
  /** Of the library's count of streams for which no router had to be opened. */
  #openSeen = 0;
  readonly #streams = new Set<SecretStream>();
  readonly #watch: NodeJS.Timeout;
  #isHeard = false;

  constructor(options: DhtNodeOptions) {
    this.#options = options;
    this.#keyPair = keyPairOf(options.signer);
    const { bootstrap } = options.services;
    // SECURITY: without a list of its own the library would join the public DHT.
    if (bootstrap.length === 0)
      throw new Failure("link-listen", "The network names no DHT nodes, so no links are made over UDP.");
    this.#dht = new HyperDHT({
      bootstrap,
      keyPair: this.#keyPair,
      host: options.host,
      ephemeral: true,
    });
    this.#server = this.#dht.createServer(
      { firewall: (key) => this.#refuses(Buffer.from(key).toString("hex")) },
      (stream) => this.#accept(stream),
    );
    const { heardEveryMs = HEARD_EVERY_MS } = options;
    this.#watch = setInterval(() => void this.#listenToBook(), heardEveryMs).unref();
  }

  /** Resolves when others can find this node. Rejects with link-listen. */
  async listen(): Promise<void> {
    await this.#server.listen(this.#keyPair).catch((cause: unknown) => {
      throw new Failure("link-listen", `No links over UDP can be taken: ${dialFailure(cause).message}`, {
        cause,
      });
    });
  }

  /** From now on these are answered, and nobody else; open links stay. */
  admit(peers: ReadonlySet<SessionKey>): void {
    this.#admitted = peers;
    for (const look of this.#nameless.splice(0)) look();
  }

  /** Tells the address book again where this node is: the computer's address has changed. */
  refresh(): void {
    this.#server.refresh();
  }

  /** Packets pass both ways between here and the network's DHT, as far as was seen last. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  get router(): OwnRouter {
    const { host, port, firewalled } = this.#dht;
    if (host === null) return "unknown";
    if (!firewalled) return "none";
    return port === 0 ? "changes ports" : "keeps ports";
  }

  /**
   * Punched and relayed at once, whichever is open first; a relayed one moves over by itself when the
   * hole is there. Rejects with link-refused or link-aborted.
   */
  dial(peer: SessionKey, signal: AbortSignal): Promise<Candidate> {
    const relay = this.#options.services.datagramRelay;
    let tried = false;
    const openBefore = this.#dht.stats.punches.open;
    // Nobody says so: neither end is open to others, and still they met.
    let punched = true;
    const stream = this.#dht.connect(Buffer.from(peer, "hex"), {
      keyPair: this.#keyPair,
      relayThrough: relay === null ? null : Buffer.from(relay.key, "hex"),
      holepunch: () => (tried = true),
    });
    this.#keep(stream);
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        stream.destroy();
        reject(
          new Failure("link-aborted", "Dialling over UDP was given up, because it is no longer needed."),
        );
      };
      const done = (): void => signal.removeEventListener("abort", aborted);
      let failure: unknown = new Failure("link-refused", "No link over UDP: the peer closed it at once.");
      stream.on("error", (error: Error) => (failure = error));
      stream.once("close", () => {
        done();
        reject(dialFailure(failure));
      });
      stream.once("open", () => {
        done();
        punched = this.router !== "none" && this.#dht.stats.punches.open === openBefore;
        resolve({
          choose: async () => {
            const link = this.#linkOn(stream, peer, () => tried || punched);
            link.knock();
            return link;
          },
          drop: () => void stream.destroy(),
          why: () => {
            if (this.router !== "changes ports") return null;
            // The library does not even try where both do so.
            return tried
              ? "This computer's router changes ports for every destination, and no way through the other one was found: relayed."
              : "Both routers change ports for every destination: relayed.";
          },
        });
      });
      if (signal.aborted) aborted();
      else signal.addEventListener("abort", aborted, { once: true });
    });
  }

  /** Takes and makes no more links, and ends those that are open after `graceMs` (goodbyes first). */
  async close(): Promise<void> {
    // Not `server.close()` and `destroy()` in turn: both tell the address book, which may not answer.
    clearInterval(this.#watch);
    for (const stream of this.#streams) stream.destroy();
    await this.#dht.destroy({ force: true });
  }

  /** UDP may be blocked for a while. The library announces this node again minutes after that at the earliest. */
  async #listenToBook(): Promise<void> {
    const { bootstrap } = this.#options.services;
    const asked = bootstrap.map(async ({ host, port }) => {
      const { address } = await lookup(host, { family: 4 });
      await this.#dht.ping({ host: address, port });
    });
    const wasHeard = this.#isHeard;
    this.#isHeard = await Promise.any(asked).then(
      () => true,
      () => false,
    );
    if (this.#isHeard && !wasHeard) this.#server.refresh();
  }

  #linkOn(stream: SecretStream, peer: SessionKey, punched: () => boolean): FramedLink {
    const { clock = systemClock, timing = LINK_TIMING, services, road = (pipe) => pipe } = this.#options;
    const pipe = new StreamPipe(stream, services.datagramRelay, punched, clock);
    return new FramedLink(peer, road(pipe, stream), clock, timing);
  }

  #accept(stream: SecretStream): void {
    this.#keep(stream);
    const peer = sessionKey.safeParse(Buffer.from(stream.remotePublicKey ?? []).toString("hex")).data;
    // SECURITY: a stream that says nothing holds a bounded place for a bounded time.
    if (peer === undefined || this.#silent >= SILENT_LIMIT) return void stream.destroy();
    this.#silent += 1;
    const { clock = systemClock, onLink } = this.#options;
    const cancel = clock.after(FIRST_WORD_MS, () => stream.destroy());
    let waiting = true;
    const over = (): void => {
      if (waiting) this.#silent -= 1;
      waiting = false;
      cancel();
    };
    stream.once("close", over);
    const wasOpen = this.#dht.stats.punches.open > this.#openSeen;
    this.#openSeen = this.#dht.stats.punches.open;
    // The count goes up for dials of this node, too; whoever needed a relay first has not come in by an open door.
    let neededRelay = false;
    const link = this.#linkOn(stream, peer, () => (neededRelay || !wasOpen) && this.router !== "none");
    neededRelay = link.path.kind === "relayed";
    link.onKnock(() => {
      over();
      onLink(link);
    });
  }

  #keep(stream: SecretStream): void {
    this.#streams.add(stream);
    // Without a listener an error would end the process; it is told by the pipe or the dial.
    stream.on("error", () => {});
    stream.once("close", () => this.#streams.delete(stream));
  }

  /** Decides from a list in memory; only the moment between the neighbour's assignment and ours is waited for. */
  #refuses(key: string): boolean | Promise<boolean> {
    if (this.#admitted.has(key)) return false;
    if (this.#nameless.length >= NAMELESS_LIMIT) return true;
    const { clock = systemClock } = this.#options;
    return new Promise((resolve) => {
      const look = (): void => {
        cancel();
        this.#nameless = this.#nameless.filter((other) => other !== look);
        resolve(!this.#admitted.has(key));
      };
      const cancel = clock.after(NAMED_WITHIN_MS, look);
      this.#nameless.push(look);
    });
  }
}

function keyPairOf(signer: SessionSigner): KeyPair {
  return { publicKey: Buffer.from(signer.publicKey, "hex"), secretKey: signer.transportKey() };
}
