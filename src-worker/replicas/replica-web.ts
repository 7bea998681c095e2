import type { PeerAddress, ReplicaPeer } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { LinkReport } from "../../src-protocol/link-report.ts";
import { Throttle } from "../limits/throttle.ts";
import { LinkMeter, systemClock } from "../links/index.ts";
import type { Link, LinkClock, LinkStation, Relays } from "../links/index.ts";
import type { Web } from "./replica-ports.ts";

const DIAL_WITHIN_MS = 8_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;
/** Who dials tries directly first; then it may come by way of the relay. */
const RELAY_AFTER_MS = 1_000;
/** Of one message of a peer that nobody has named (yet). */
const STRANGER_PAYLOAD_BYTES = 64 * 1024;
const LOBBY_LIMIT = 16;
const LOBBY_MS = 10_000;
const LOOK_MS = 250;
const ASK_AFTER_MS = 700;
/** Whoever has said nothing for so long has been asked and has not answered. */
const QUIET_MS = 1_500;
/** A better way than a relay is looked for, at first and at last. */
const BETTER_MS = 5_000;
const LONGEST_BETTER_MS = 60_000;

type Station = Pick<LinkStation, "dial" | "take" | "name" | "hasByteRelay">;

interface Peer {
  address: PeerAddress;
  /** The one of the two that dials. */
  readonly dials: boolean;
  side: LinkReport["side"];
  link: Link | null;
  /** Of that link. */
  meter: LinkMeter;
  readonly abort: AbortController;
  /** Another way to it is looked for while there is a link. */
  isDialled: boolean;
  betterAt: number;
  betterPauseMs: number;
}

/**
 * The links of a replica: one to every replica of its own stage and of the neighbouring ones. A link that
 * breaks is dialled again with growing pauses, one that is silent at once, without giving it up before there is
 * another, and one by way of a relay now and then; what was lost with it, its user sends again.
 */
export class ReplicaWeb implements Web {
  readonly #station: Station;
  readonly #own: SessionKey;
  readonly #throttle: Throttle;
  readonly #onHeld: (link: Link) => void;
  readonly #clock: LinkClock;
  readonly #peers = new Map<SessionKey, Peer>();
  /** They dialled before we have heard who they are; oldest first. */
  #lobby: Link[] = [];
  #stopLooking: () => void = () => undefined;
  onLinked: (link: Link) => void = () => undefined;
  onUnlinked: (key: SessionKey) => void = () => undefined;

  /** @param onHeld a link to a peer is there, for whoever has to do with links besides */
  constructor(
    station: Station,
    own: SessionKey,
    throttle: Throttle = new Throttle(),
    onHeld: (link: Link) => void = () => undefined,
    clock: LinkClock = systemClock,
  ) {
    this.#clock = clock;
    this.#station = station;
    this.#own = own;
    this.#throttle = throttle;
    this.#onHeld = onHeld;
    this.#lookLater();
  }

  link(key: SessionKey): Link | null {
    return this.#peers.get(key)?.link ?? null;
  }

  isQuiet(key: SessionKey): boolean {
    return (this.#peers.get(key)?.link?.silentMs ?? 0) > QUIET_MS;
  }

  /** Every link that is there. */
  get links(): Link[] {
    return [...this.#peers.values()].flatMap(({ link }) => link ?? []);
  }

  /** Whom to have links with from now on. */
  update(members: {
    readonly previous: readonly ReplicaPeer[];
    readonly own: readonly ReplicaPeer[];
    readonly next: readonly ReplicaPeer[];
  }): void {
    const { previous, own, next } = members;
    const wanted = new Map<SessionKey, readonly [ReplicaPeer, Peer["side"]]>([
      ...previous.map((peer) => [peer.sessionKey, [peer, "previous"]] as const),
      ...own.map((peer) => [peer.sessionKey, [peer, "own"]] as const),
      ...next.map((peer) => [peer.sessionKey, [peer, "next"]] as const),
    ]);
    this.#station.name(new Set(wanted.keys()));
    for (const [key, peer] of this.#peers) if (!wanted.has(key)) this.#drop(key, peer);
    for (const [key, [{ live: _live, ...address }, side]] of wanted) {
      const dials = side === "next" || (side === "own" && this.#own < key);
      const known = this.#peers.get(key);
      if (known !== undefined && known.dials === dials) {
        known.address = address;
        known.side = side;
        continue;
      }
      if (known !== undefined) this.#drop(key, known);
      const peer: Peer = {
        address,
        dials,
        side,
        link: null,
        meter: new LinkMeter(),
        abort: new AbortController(),
        isDialled: false,
        betterAt: Infinity,
        betterPauseMs: BETTER_MS,
      };
      this.#peers.set(key, peer);
      const here = this.#lobby.findLast(({ remoteKey }) => remoteKey === key);
      if (here !== undefined && !dials) this.#hold(key, peer, here);
      else void this.#reach(key, peer);
    }
  }

  /** Ends all links: the node has no part in such a stage any more. */
  clear(): void {
    for (const [key, peer] of this.#peers) this.#drop(key, peer);
  }

  /** A peer has dialled, proved its key, and means a replica's link. */
  accepted(link: Link): void {
    const key = link.remoteKey;
    const peer = this.#peers.get(key);
    // One that came later wins: the peer has given up the link we held.
    if (peer !== undefined && !peer.dials) return this.#hold(key, peer, link);
    // SECURITY: anybody may dial; unasked links cost a bounded number of places for a bounded time.
    link.limitPayload(STRANGER_PAYLOAD_BYTES);
    this.#lobby.push(link);
    link.onClose(() => (this.#lobby = this.#lobby.filter((other) => other !== link)));
    for (const old of this.#lobby.slice(0, -LOBBY_LIMIT)) old.close("too many links wait here");
    this.#clock.after(LOBBY_MS, () => {
      if (this.#lobby.includes(link)) link.close("no assignment names you as a neighbour");
    });
  }

  reports(): LinkReport[] {
    return [...this.#peers].flatMap(([key, { link, side, meter }]) =>
      link === null
        ? []
        : [
            {
              peer: key,
              side,
              ...link.path,
              roundTripMs: link.stats.roundTripMs,
              sentAs: link.stats.sentAs,
              receivedAs: link.stats.receivedAs,
              ...meter.rates,
              dialMs: null,
              why: null,
            },
          ],
    );
  }

  close(reason: string): void {
    this.#stopLooking();
    for (const peer of this.#peers.values()) {
      peer.abort.abort();
      peer.link?.close(reason);
    }
    for (const link of this.#lobby) link.close(reason);
  }

  #drop(key: SessionKey, peer: Peer): void {
    this.#peers.delete(key);
    peer.abort.abort();
    peer.link?.close("you are no neighbour any more");
  }

  #hold(key: SessionKey, peer: Peer, link: Link): void {
    this.#lobby = this.#lobby.filter((other) => other !== link);
    const old = peer.link;
    peer.link = link;
    peer.meter = new LinkMeter();
    old?.close("you have dialled again");
    peer.betterPauseMs = BETTER_MS;
    peer.betterAt = this.#clock.now() + BETTER_MS;
    link.limitBy(this.#throttle);
    link.limitPayload(Infinity);
    link.onClose(() => {
      if (peer.link !== link) return;
      peer.link = null;
      this.onUnlinked(key);
      // Another one is on its way: the peer has it already, and so has closed this one.
      if (this.#peers.get(key) === peer && !peer.isDialled) void this.#reach(key, peer);
    });
    this.#onHeld(link);
    this.onLinked(link);
  }

  /** Until there is a link, or none is wanted. */
  async #reach(key: SessionKey, peer: Peer): Promise<void> {
    const { signal } = peer.abort;
    if (!peer.dials) return await this.#waitAtRelay(key, peer);
    for (let waitMs = FIRST_RETRY_MS; !signal.aborted; waitMs = Math.min(LONGEST_RETRY_MS, waitMs * 2)) {
      try {
        const { link } = await this.#station.dial(peer.address, DIAL_WITHIN_MS, signal);
        return this.#dialled(key, peer, link);
      } catch {
        await this.#pause(waitMs, signal);
      }
    }
  }

  /** The peer has given up the link before it: the one that came last is the one. */
  #dialled(key: SessionKey, peer: Peer, link: Link): void {
    if (peer.abort.signal.aborted) return link.close("it is not needed any more");
    link.send({ type: "direct" }).catch(() => undefined);
    this.#hold(key, peer, link);
  }

  async #waitAtRelay(key: SessionKey, peer: Peer): Promise<void> {
    const { signal } = peer.abort;
    await this.#pause(RELAY_AFTER_MS, signal);
    while (!signal.aborted && peer.link === null && this.#station.hasByteRelay) {
      try {
        const link = await this.#station.take(key, signal);
        if (signal.aborted || peer.link !== null) return link.close("it is not needed any more");
        return this.#hold(key, peer, link);
      } catch {
        await this.#pause(RELAY_AFTER_MS, signal);
      }
    }
  }

  #lookLater(): void {
    this.#stopLooking = this.#clock.after(LOOK_MS, () => {
      this.#look();
      this.#lookLater();
    });
  }

  /** Links that are silent are asked for a sign of life; another way is looked for where there is none. */
  #look(): void {
    for (const [key, peer] of this.#peers) {
      const { link } = peer;
      if (link === null) continue;
      peer.meter.look(link.stats, this.#clock.now());
      if (link.silentMs > ASK_AFTER_MS) link.ask();
      if (!peer.dials || peer.isDialled) continue;
      if (link.silentMs > QUIET_MS) void this.#dialBeside(key, peer, "at once");
      else if (link.path.kind === "relayed" && this.#clock.now() >= peer.betterAt) {
        peer.betterPauseMs = Math.min(LONGEST_BETTER_MS, peer.betterPauseMs * 2);
        peer.betterAt = this.#clock.now() + peer.betterPauseMs;
        void this.#dialBeside(key, peer, "never");
      }
    }
  }

  async #dialBeside(key: SessionKey, peer: Peer, relays: Relays): Promise<void> {
    peer.isDialled = true;
    try {
      const { signal } = peer.abort;
      const { link } = await this.#station.dial(peer.address, DIAL_WITHIN_MS, signal, relays);
      this.#dialled(key, peer, link);
    } catch {
      // Its heartbeat has the last word about the link; it is tried again.
    } finally {
      peer.isDialled = false;
      if (peer.link === null && this.#peers.get(key) === peer) void this.#reach(key, peer);
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const cancel = this.#clock.after(ms, resolve);
      const end = (): void => {
        cancel();
        resolve();
      };
      signal.addEventListener("abort", end, { once: true });
    });
  }
}
