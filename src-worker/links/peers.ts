import type { PeerAddress } from "../../src-protocol/control.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { LINK_KINDS } from "../../src-protocol/link-report.ts";
import type { LinkReport } from "../../src-protocol/link-report.ts";
import type { UpkeepMessage } from "../../src-protocol/peer.ts";
import { Throttle } from "../limits/throttle.ts";
import { AddressWatch } from "./address-watch.ts";
import type { Won } from "./dialling/dial-race.ts";
import { whyNotBetter } from "./dialling/why-not-better.ts";
import { LinkMeter } from "./link-meter.ts";
import { systemClock } from "./link-clock.ts";
import type { Relays } from "./dialling/dial-plan.ts";
import type { LinkStation } from "./link-station.ts";
import type { Link } from "./link.ts";
import { SessionLink } from "./session/session-link.ts";

/** How long a stage waits for its neighbours' links before it calls that trouble. */
export const LINKS_WITHIN_MS = 8_000;
/** Of one message of a peer that no assignment names (yet). */
const STRANGER_PAYLOAD_BYTES = 64 * 1024;
/** Links from peers that no assignment has named yet. */
const UNCLAIMED_LIMIT = 8;
const UNCLAIMED_MS = 10_000;
/** The previous node dials directly first; then it may come by way of the relay. */
const RELAY_AFTER_MS = 500;
const RELAY_RETRY_MS = 1_000;
/** Who dials again has heard nothing for a while: then a relay is better than more of that. */
const RELAY_AGAIN_MS = 100;
const LOOK_MS = 100;
/** Nothing heard for so long: asked. Nothing heard for so long: another path is looked for. */
const ASK_AFTER_MS = 300;
const DOUBT_AFTER_MS = 800;
/**
 * A path that was found a moment ago, when one had died, may be dead as well: the transport may have gone to the
 * place where this computer was before. For so long after it was found, so much silence is enough.
 */
const FRESH_MS = 2_500;
const FRESH_DOUBT_MS = 450;
/**
 * A peer that was silent and alive after all (a busy computer, a full line) is doubted a little later, for a
 * while: a search in vain costs a dial, one that begins late costs the pipeline as long.
 */
const DOUBT_LATER_MS = 250;
const DOUBT_AT_LATEST_MS = 1_500;
const DOUBT_FORGOTTEN_MS = 30_000;
/** After the computer has moved or slept, a link that says nothing for so long is dead. */
const MOVED_MS = 1_000;
/** How often a better path than a relay is looked for, at first and at last: nobody tells us when the other end's UDP passes again. */
const UPGRADE_MS = 5_000;
const UPGRADE_LIMIT_MS = 60_000;
const UPGRADE_WITHIN_MS = 5_000;

export interface Neighbours {
  readonly previous: Link | null;
  readonly next: Link | null;
}

type Station = Pick<LinkStation, "dial" | "take" | "name" | "moved" | "hasByteRelay" | "router" | "isHeard">;

/** A peer has dialled. `link` once it has said for what. */
interface Arrival {
  readonly path: Link;
  link: SessionLink | null;
}

/**
 * The links of this node: one from the previous stage, one to the next. A link that is still good
 * serves the next generation too, so that a re-formed pipeline need not dial the survivors. The side
 * that dials also mends: it looks for another path when a link falls silent or loses its path, and
 * for a better one while a relay carries it; the link goes on over it where it was.
 */
export class Peers {
  readonly #station: Station;
  readonly #throttle: Throttle;
  readonly #onHeld: (link: Link) => void;
  readonly #onDoubt: () => void;
  readonly #watch: AddressWatch;
  readonly #timer: NodeJS.Timeout;
  #previous: SessionLink | null = null;
  #next: SessionLink | null = null;
  /** Whom the assignment names as next; null: nobody. */
  #wanted: PeerAddress | null = null;
  /** Latest first. They dialled before we heard of the assignment that makes them our neighbour. */
  #unclaimed: Arrival[] = [];
  /** Neighbours of the newest assignment. */
  #named: ReadonlySet<SessionKey> = new Set();
  #watchers: (() => void)[] = [];
  readonly #tales = new WeakMap<Link, Won>();
  readonly #meters = new WeakMap<Link, LinkMeter>();
  #mending: AbortController | null = null;
  #isUpgrading = false;
  #doubtAfterMs = DOUBT_AFTER_MS;
  #doubtedInVainAt = -Infinity;
  /** A path took over from one that had died. */
  #mendedAt = -Infinity;
  #expecting: AbortController | null = null;
  #upgradeAt = Infinity;
  #upgradePauseMs = UPGRADE_MS;
  #wasHeard = false;

  /**
   * @param onHeld a link to a neighbour of the newest assignment is there
   * @param onDoubt this computer's way to others may have changed: it moved, slept, or a neighbour fell silent
   */
  constructor(
    station: Station,
    throttle: Throttle = new Throttle(),
    onHeld: (link: Link) => void = () => undefined,
    onDoubt: () => void = () => undefined,
  ) {
    this.#onDoubt = onDoubt;
    this.#station = station;
    this.#onHeld = onHeld;
    this.#throttle = throttle;
    this.#watch = new AddressWatch((why) => {
      this.#moved(why);
      onDoubt();
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** The orchestrator names the neighbours: from now on they are answered, whoever dials first. */
  name(previous: PeerAddress | null, next: PeerAddress | null): void {
    const keys = [previous?.sessionKey, next?.sessionKey].filter((key) => key !== undefined);
    this.#named = new Set<SessionKey>(keys);
    this.#station.name(this.#named);
  }

  /** This node's work has other links from now on (`ReplicaWeb`). */
  leave(): void {
    this.name(null, null);
    this.#wanted = null;
    this.#mending?.abort();
    this.#expecting?.abort();
    for (const link of [this.#previous, this.#next]) link?.close("this node is a replica now");
  }

  /**
   * A peer has dialled us and proved its key; its first word says which link it means.
   * @param word it, where it has been heard
   */
  accepted(path: Link, word?: UpkeepMessage): void {
    const arrival: Arrival = { path, link: null };
    const forget = (): void => {
      this.#unclaimed = this.#unclaimed.filter((other) => other !== arrival);
    };
    // SECURITY: a tensor is 32 MB, and honest ones come only when both ends know their neighbours.
    path.limitPayload(this.#named.has(path.remoteKey) ? Infinity : STRANGER_PAYLOAD_BYTES);
    this.#unclaimed.unshift(arrival);
    path.onClose(forget);
    const hear = (message: UpkeepMessage): void => {
      if (message.type !== "resume" || arrival.link !== null)
        return path.close("a link begins with what it goes on from");
      const held = this.#previous;
      if (held?.session === message.session && held.remoteKey === path.remoteKey) {
        forget();
        this.#mendedAt = performance.now();
        held.carry(path, message);
      } else if (message.tensors + message.notes > 0) {
        return path.close("the link that this was to go on with is gone");
      } else {
        const link = SessionLink.answer(path, message, systemClock);
        arrival.link = link;
        link.onClose(forget);
      }
      for (const watcher of this.#watchers.splice(0)) watcher();
    };
    path.onUpkeep(hear);
    if (word !== undefined) hear(word);
    // SECURITY: anybody may dial; unasked links cost a bounded number of places for a bounded time. Whom an
    // assignment has named keeps its place.
    const unasked = this.#unclaimed.filter(({ path: { remoteKey } }) => !this.#named.has(remoteKey));
    for (const old of unasked.slice(UNCLAIMED_LIMIT)) closeArrival(old, "too many links wait here");
    setTimeout(() => {
      const isNeighbour = this.#previous?.remoteKey === path.remoteKey && arrival.link !== null;
      if (this.#unclaimed.includes(arrival) && !isNeighbour)
        closeArrival(arrival, "no assignment names you as a neighbour");
    }, UNCLAIMED_MS).unref();
  }

  /** Links to both neighbours. Rejects with `peer-unreachable`, or when `signal` aborts. */
  async connect(
    previous: PeerAddress | null,
    next: PeerAddress | null,
    signal: AbortSignal,
  ): Promise<Neighbours> {
    // A newer assignment has named others meanwhile.
    if (signal.aborted) throw unreachable("next", "it is not needed any more.");
    this.name(previous, next);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LINKS_WITHIN_MS)]);
    this.#previous = this.#keep(this.#previous, previous);
    this.#next = this.#keep(this.#next, next);
    this.#wanted = next;
    const [from, to] = await Promise.all([
      this.#expectPrevious(previous, limit),
      this.#reachNext(next, limit),
    ]);
    return { previous: from, next: to };
  }

  link(key: SessionKey): Link | null {
    return [this.#previous, this.#next].find((link) => link?.remoteKey === key) ?? null;
  }

  /** Every open link as its owner may see it. */
  reports(): LinkReport[] {
    return [...this.#report("previous", this.#previous), ...this.#report("next", this.#next)];
  }

  close(reason: string): void {
    this.#watch.stop();
    clearInterval(this.#timer);
    this.#mending?.abort();
    this.#expecting?.abort();
    for (const link of [this.#previous, this.#next]) link?.close(reason);
    for (const arrival of this.#unclaimed) closeArrival(arrival, reason);
  }

  #report(side: LinkReport["side"], link: SessionLink | null): LinkReport[] {
    if (link === null || !link.isCarried) return [];
    const tale = this.#tales.get(link) ?? null;
    const { path, stats, remoteKey: peer } = link;
    return [
      {
        peer,
        side,
        ...path,
        roundTripMs: stats.roundTripMs,
        sentAs: stats.sentAs,
        receivedAs: stats.receivedAs,
        ...(this.#meters.get(link)?.rates ?? { mbitUp: 0, mbitDown: 0 }),
        dialMs: tale?.dialMs ?? null,
        why: whyNotBetter(path, tale, this.#station.router),
      },
    ];
  }

  #keep(link: SessionLink | null, peer: PeerAddress | null): SessionLink | null {
    if (link === null || link.remoteKey === peer?.sessionKey) return link;
    link.close("another node is the neighbour now");
    return null;
  }

  async #expectPrevious(peer: PeerAddress | null, signal: AbortSignal): Promise<Link | null> {
    if (peer === null) return null;
    const arrived = new AbortController();
    void this.#waitAtRelay(peer.sessionKey, RELAY_AFTER_MS, AbortSignal.any([signal, arrived.signal]));
    try {
      for (;;) {
        // One that came later wins: the peer has given up the link we held.
        const arrival = this.#unclaimed.find(({ link }) => link?.remoteKey === peer.sessionKey);
        if (arrival !== undefined && arrival.link !== null) {
          this.#unclaimed = this.#unclaimed.filter((other) => other !== arrival);
          this.#previous?.close("you have dialled again");
          this.#previous = this.#hold(arrival.link);
        }
        if (this.#previous?.isCarried === true) return this.#previous;
        if (signal.aborted) throw unreachable("previous", "it has not dialled");
        await new Promise<void>((resolve) => {
          this.#watchers.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    } finally {
      arrived.abort();
    }
  }

  /** Where it cannot dial us, it comes by way of the relay: until it is there, or heard again. */
  async #waitAtRelay(peer: SessionKey, afterMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#station.hasByteRelay) return;
    await pause(afterMs, signal);
    while (!signal.aborted && !this.#isPreviousAlive) {
      try {
        this.accepted(await this.#station.take(peer, signal));
      } catch {
        // The orchestrator may not have told the relay about us yet; who dials tells what it was.
        await pause(RELAY_RETRY_MS, signal);
      }
    }
  }

  async #reachNext(peer: PeerAddress | null, signal: AbortSignal): Promise<Link | null> {
    if (peer === null) return this.#next;
    if (this.#next?.isCarried === true) return this.#next;
    this.#next?.close("a path to you was not found in time");
    this.#mending?.abort();
    try {
      const won = await this.#station.dial(peer, LINKS_WITHIN_MS, signal);
      const link = SessionLink.begin(won.link, systemClock);
      this.#next = this.#hold(link);
      this.#carriedBy(link, won);
      return link;
    } catch (error) {
      throw unreachable("next", failureBody(error).message, peer.sessionKey);
    }
  }

  #carriedBy(link: SessionLink, won: Won): void {
    this.#tales.set(link, won);
    this.#doubtAfterMs = DOUBT_AFTER_MS;
    this.#upgradePauseMs = UPGRADE_MS;
    this.#upgradeAt = performance.now() + UPGRADE_MS;
  }

  #hold(link: SessionLink): SessionLink {
    link.limitBy(this.#throttle);
    this.#onHeld(link);
    link.limitPayload(Infinity);
    const meter = new LinkMeter();
    meter.look(link.stats, performance.now());
    this.#meters.set(link, meter);
    link.onPathLost(() => {
      if (this.#next === link) {
        if (this.#isUpgrading) this.#mending?.abort();
        void this.#mend(link);
      }
      if (this.#previous === link) this.#expectAgain(link);
    });
    link.onClose(() => {
      if (this.#previous === link) this.#previous = null;
      if (this.#next === link) this.#next = null;
    });
    return link;
  }

  #expectAgain(link: SessionLink): void {
    if (this.#expecting !== null) return;
    const abort = new AbortController();
    this.#expecting = abort;
    this.#onDoubt();
    // Our router may have given us another port: whoever looks for us has to find the new one.
    this.#station.moved();
    const limit = AbortSignal.any([abort.signal, AbortSignal.timeout(LINKS_WITHIN_MS)]);
    void this.#waitAtRelay(link.remoteKey, RELAY_AGAIN_MS, limit).finally(() => (this.#expecting = null));
  }

  /** After how much silence another path than the one of now is looked for. */
  get #enoughMs(): number {
    return performance.now() - this.#mendedAt < FRESH_MS ? FRESH_DOUBT_MS : this.#doubtAfterMs;
  }

  get #isPreviousAlive(): boolean {
    const link = this.#previous;
    return link?.isCarried === true && link.silentMs < Math.min(this.#enoughMs, DOUBT_AFTER_MS);
  }

  /** Again and again: asks links that are silent, doubts those that stay so, looks for better paths. */
  #look(): void {
    const now = performance.now();
    for (const link of [this.#previous, this.#next]) {
      if (link === null) continue;
      this.#meters.get(link)?.look(link.stats, now);
      if (link.silentMs > ASK_AFTER_MS) link.ask();
    }
    if (this.#previous !== null && !this.#isPreviousAlive) this.#expectAgain(this.#previous);
    const { isHeard } = this.#station;
    if (isHeard && !this.#wasHeard) {
      // UDP passes now: no need to wait for the next look.
      this.#upgradePauseMs = UPGRADE_MS / 2;
      this.#upgradeAt = now;
    }
    this.#wasHeard = isHeard;
    if (this.#next === null) return;
    if (now - this.#doubtedInVainAt > DOUBT_FORGOTTEN_MS) this.#doubtAfterMs = DOUBT_AFTER_MS;
    // There is no event for a router that gives a live link another port: silence is all there is.
    if (this.#next.silentMs > this.#enoughMs) void this.#mend(this.#next);
    else if (this.#next.path.kind === "relayed" && now > this.#upgradeAt) {
      this.#upgradePauseMs = Math.min(this.#upgradePauseMs * 2, UPGRADE_LIMIT_MS);
      this.#upgradeAt = now + this.#upgradePauseMs;
      void this.#upgrade(this.#next);
    }
  }

  /**
   * Looks for another path to the next node; the one of now is given up only when that is there and it is still
   * silent. `moved`: this computer has another address, so the path of now is dead unless it is heard again.
   */
  async #mend(link: SessionLink, moved = false): Promise<void> {
    if (this.#mending === null) this.#onDoubt();
    if (this.#mending?.signal.aborted === true) this.#isUpgrading = false;
    const begun = performance.now();
    const enoughMs = this.#enoughMs;
    await this.#dialAgain(link, LINKS_WITHIN_MS, "at once", () => {
      const silentFor = moved ? performance.now() - begun : enoughMs;
      if (link.silentMs >= silentFor || !link.isCarried) {
        this.#mendedAt = performance.now();
        return null;
      }
      if (enoughMs === FRESH_DOUBT_MS) this.#mendedAt = -Infinity;
      else if (!moved) {
        this.#doubtedInVainAt = performance.now();
        this.#doubtAfterMs = Math.min(this.#doubtAfterMs + DOUBT_LATER_MS, DOUBT_AT_LATEST_MS);
      }
      return "the path before it is alive";
    });
  }

  async #upgrade(relayed: SessionLink): Promise<void> {
    this.#isUpgrading = this.#mending === null;
    const rank = (link: Link): number => LINK_KINDS.indexOf(link.path.kind);
    await this.#dialAgain(relayed, UPGRADE_WITHIN_MS, "never", (path) =>
      rank(path) >= rank(relayed) ? "it is no better than the path before" : null,
    );
  }

  /** @param refusal why a path that was found is not to be used; null: it is */
  async #dialAgain(
    link: SessionLink,
    withinMs: number,
    relays: Relays,
    refusal: (path: Link) => string | null,
  ): Promise<void> {
    const peer = this.#wanted;
    if (peer === null || (this.#mending !== null && !this.#mending.signal.aborted)) return;
    const abort = new AbortController();
    this.#mending = abort;
    try {
      const won = await this.#station.dial(peer, withinMs, abort.signal, relays);
      const isWanted = this.#wanted?.sessionKey === peer.sessionKey && this.#next === link;
      const why = isWanted ? refusal(won.link) : "it is not needed any more";
      if (why !== null) return won.link.close(why);
      link.carry(won.link);
      this.#carriedBy(link, won);
    } catch {
      // The heartbeat has the last word about the path before; a better one is looked for again later.
    } finally {
      if (this.#mending === abort) {
        this.#mending = null;
        this.#isUpgrading = false;
      }
    }
  }

  /** The computer has another address, or has slept: timers slept with it, so every link is asked at once. */
  #moved(why: "address" | "slept"): void {
    this.#station.moved();
    const links = [this.#previous, this.#next].filter((link) => link !== null);
    for (const link of links) link.ask();
    if (why === "address") {
      if (this.#previous !== null) this.#expectAgain(this.#previous);
      if (this.#next !== null) {
        // A better path than a relay is no matter now.
        if (this.#isUpgrading) this.#mending?.abort();
        void this.#mend(this.#next, true);
      }
    }
    setTimeout(() => {
      for (const link of links)
        if (link.silentMs >= MOVED_MS)
          link.dropPath("this computer has moved or slept, and the path with it");
    }, MOVED_MS).unref();
  }
}

function closeArrival({ path, link }: Arrival, reason: string): void {
  if (link === null) path.close(reason);
  else link.close(reason);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The next stage's node could not be dialled, or the previous one has not come. */
export class PeerUnreachable extends Failure {
  /** Whom we dialled; null: we were to be dialled. */
  readonly peer: SessionKey | null;

  constructor(message: string, peer: SessionKey | null) {
    super("peer-unreachable", message);
    this.peer = peer;
  }
}

function unreachable(which: "previous" | "next", why: string, peer: SessionKey | null = null): Failure {
  return new PeerUnreachable(
    `The ${which} stage's node could not be reached: ${why} The orchestrator looks for another way.`,
    peer,
  );
}
