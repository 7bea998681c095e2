import type { LinkAddress, PeerAddress } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Link } from "./link.ts";

const DIAL_TIMEOUT_MS = 2_000;
const DIAL_RETRY_MS = 200;
/** How long a stage waits for its neighbours' links before it calls that trouble. */
export const LINKS_WITHIN_MS = 8_000;
/** Links from peers that no assignment has named yet. */
const UNCLAIMED_LIMIT = 8;
const UNCLAIMED_MS = 10_000;

export type Dial = (
  address: LinkAddress,
  expect: SessionKey,
  timeoutMs: number,
  signal: AbortSignal,
) => Promise<Link>;

export interface Neighbours {
  readonly previous: Link | null;
  readonly next: Link | null;
}

/**
 * The links of this node: one from the previous stage, one to the next. A link that is still good
 * serves the next generation too, so that a re-formed pipeline need not dial the survivors.
 */
export class Peers {
  readonly #dial: Dial;
  #previous: Link | null = null;
  #next: Link | null = null;
  /** Latest first. They dialled before we heard of the assignment that makes them our neighbour. */
  #unclaimed: Link[] = [];
  #watchers: (() => void)[] = [];

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  /** A peer has dialled us and proved its key. */
  accepted(link: Link): void {
    this.#unclaimed.unshift(link);
    link.onClose(() => {
      this.#unclaimed = this.#unclaimed.filter((other) => other !== link);
    });
    // SECURITY: anybody may dial; unasked links cost a bounded number of places for a bounded time.
    for (const old of this.#unclaimed.slice(UNCLAIMED_LIMIT)) old.close("too many links wait here");
    setTimeout(() => {
      if (this.#unclaimed.includes(link)) link.close("no assignment names you as a neighbour");
    }, UNCLAIMED_MS).unref();
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  /** Links to both neighbours. Rejects with `peer-unreachable`, or when `signal` aborts. */
  async connect(
    previous: PeerAddress | null,
    next: PeerAddress | null,
    signal: AbortSignal,
  ): Promise<Neighbours> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LINKS_WITHIN_MS)]);
    this.#previous = this.#keep(this.#previous, previous);
    this.#next = this.#keep(this.#next, next);
    const [from, to] = await Promise.all([
      this.#expectPrevious(previous, limit),
      this.#reachNext(next, limit),
    ]);
    return { previous: from, next: to };
  }

  close(reason: string): void {
    for (const link of [this.#previous, this.#next, ...this.#unclaimed]) link?.close(reason);
  }

  #keep(link: Link | null, peer: PeerAddress | null): Link | null {
    if (link === null || link.remoteKey === peer?.sessionKey) return link;
    link.close("another node is the neighbour now");
    return null;
  }

  async #expectPrevious(peer: PeerAddress | null, signal: AbortSignal): Promise<Link | null> {
    if (peer === null) return null;
    for (;;) {
      // One that came later wins: the peer has given up the link we held.
      const arrived = this.#unclaimed.find((link) => link.remoteKey === peer.sessionKey);
      if (arrived !== undefined) {
        this.#unclaimed = this.#unclaimed.filter((link) => link !== arrived);
        this.#previous?.close("you have dialled again");
        this.#previous = this.#watch(arrived);
      }
      if (this.#previous !== null) return this.#previous;
      if (signal.aborted) throw unreachable("previous", "it has not dialled");
      await new Promise<void>((resolve) => {
        this.#watchers.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  async #reachNext(peer: PeerAddress | null, signal: AbortSignal): Promise<Link | null> {
    if (peer === null) return null;
    for (let why = ""; this.#next === null;) {
      if (signal.aborted) throw unreachable("next", why);
      try {
        this.#next = this.#watch(await this.#dial(peer.address, peer.sessionKey, DIAL_TIMEOUT_MS, signal));
      } catch (error) {
        why = error instanceof Error ? error.message : String(error);
        await new Promise((resolve) => setTimeout(resolve, DIAL_RETRY_MS));
      }
    }
    return this.#next;
  }

  #watch(link: Link): Link {
    link.onClose(() => {
      if (this.#previous === link) this.#previous = null;
      if (this.#next === link) this.#next = null;
    });
    return link;
  }
}

function unreachable(which: "previous" | "next", why: string): Failure {
  return new Failure(
    "peer-unreachable",
    `The ${which} stage's node could not be reached: ${why}. The orchestrator looks for another way.`,
  );
}
