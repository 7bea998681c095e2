import { Budget } from "./budget.ts";

/** The end of a TCP connection, as far as the door cares: any socket is one. */
export interface Visitor {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  destroy(): unknown;
  once(event: "close", listener: () => void): unknown;
}

export interface DoorLimits {
  /** Connections that have not proved a key, in all and from one address. */
  readonly unproved: number;
  readonly unprovedOfAddress: number;
  /** From one address. */
  readonly connectionsPerSecond: number;
  /**
   * From all addresses together where nobody has proved a key: what a handshake costs, they may cost. Those that
   * have not come for a while have a share of their own. Left out: no limit.
   */
  readonly strangers?: { readonly perSecond: number; readonly newPerSecond: number };
}

/** Of somewhere else: a handshake takes a millisecond or two. */
export const DOOR_LIMITS: DoorLimits = {
  unproved: 512,
  unprovedOfAddress: 64,
  connectionsPerSecond: 100,
  strangers: { perSecond: 100, newPerSecond: 200 },
};
/** On this computer, many programs share the one address. */
export const LOOPBACK_DOOR_LIMITS: DoorLimits = {
  unproved: 384,
  unprovedOfAddress: 384,
  connectionsPerSecond: 400,
};

/** An address that comes no more often is new each time; one that does has to stay away for as long. */
const NEW_AGAIN = { perSecond: 0.2, burst: 3 };
/** After a restart, everybody comes at once. */
const NEW_BURST_SECONDS = 4;
const EVERYBODY = "everybody";

/**
 * Who may hold a connection before they have said who they are. SECURITY: places are few and strangers
 * many, so a place is taken from whoever holds most of them and has held it longest: somebody honest
 * says who they are at once, and a flood only takes its own places. Who has proved a key stands in nobody's way
 * and is not counted any more.
 */
export class Door {
  readonly #limits: DoorLimits;
  readonly #rate: Budget;
  /** Null: strangers are not limited together. */
  readonly #strangers: { readonly isNew: Budget; readonly new: Budget; readonly others: Budget } | null;
  /** Connections that have proved a key, by address. */
  readonly #proved = new Map<string, number>();
  /** By address, then by place; the oldest first. */
  readonly #unproved = new Map<string, Map<string, Visitor>>();
  #count = 0;

  constructor(limits: DoorLimits, now?: () => number) {
    this.#limits = limits;
    const perSecond = limits.connectionsPerSecond;
    this.#rate = new Budget({ perSecond, burst: 2 * perSecond }, now);
    const { strangers } = limits;
    this.#strangers =
      strangers === undefined
        ? null
        : {
            isNew: new Budget(NEW_AGAIN, now),
            new: new Budget(
              { perSecond: strangers.newPerSecond, burst: NEW_BURST_SECONDS * strangers.newPerSecond },
              now,
            ),
            others: new Budget({ perSecond: strangers.perSecond, burst: strangers.perSecond }, now),
          };
  }

  get unproved(): number {
    return this.#count;
  }

  /** A new connection: it may stay, or it is ended at once. */
  enter(visitor: Visitor): void {
    if (this.admits(visitor)) this.take(visitor);
    else visitor.destroy();
  }

  /** Whether one more connection from there may be looked at: asked once for each, as soon as it comes. */
  admits(visitor: Pick<Visitor, "remoteAddress">): boolean {
    const address = addressOf(visitor);
    if (!this.#rate.take(address)) return false;
    if (this.#strangers === null || this.#proved.has(address)) return true;
    const { isNew, new: news, others } = this.#strangers;
    // SECURITY: a flood from a few addresses leaves their share to those who come for the first time.
    return (isNew.owe(address) === 0 && news.take(EVERYBODY)) || others.take(EVERYBODY);
  }

  /** It was admitted, and has a place until somebody needs it more. */
  take(visitor: Visitor): void {
    const address = addressOf(visitor);
    const place = placeOf(visitor);
    const own = this.#unproved.get(address) ?? new Map<string, Visitor>();
    this.#unproved.set(address, own);
    own.set(place, visitor);
    this.#count += 1;
    visitor.once("close", () => this.#forget(address, place, visitor));
    if (own.size > this.#limits.unprovedOfAddress) this.#evict(address, own);
    else if (this.#count > this.#limits.unproved) this.#evictFromLargest();
  }

  /** It has said who it is, and it is true. */
  proved(visitor: Visitor): void {
    const address = addressOf(visitor);
    const known = this.#unproved.get(address)?.get(placeOf(visitor));
    if (known === undefined) return;
    this.#forget(address, placeOf(visitor), known);
    this.#proved.set(address, (this.#proved.get(address) ?? 0) + 1);
    known.once("close", () => {
      const left = (this.#proved.get(address) ?? 1) - 1;
      if (left === 0) this.#proved.delete(address);
      else this.#proved.set(address, left);
    });
  }

  /** It is there, and has not said who it is. */
  holds(visitor: Visitor): boolean {
    return this.#unproved.get(addressOf(visitor))?.get(placeOf(visitor)) === visitor;
  }

  /** Nobody waits any more. */
  close(): void {
    for (const own of this.#unproved.values()) for (const visitor of own.values()) visitor.destroy();
  }

  #evictFromLargest(): void {
    let largest: [string, Map<string, Visitor>] | null = null;
    for (const entry of this.#unproved)
      if (largest === null || entry[1].size > largest[1].size) largest = entry;
    if (largest !== null) this.#evict(...largest);
  }

  #evict(address: string, own: Map<string, Visitor>): void {
    const [oldest] = own;
    if (oldest === undefined) return;
    this.#forget(address, ...oldest);
    oldest[1].destroy();
  }

  #forget(address: string, place: string, visitor: Visitor): void {
    const own = this.#unproved.get(address);
    if (own === undefined || own.get(place) !== visitor) return;
    own.delete(place);
    this.#count -= 1;
    if (own.size === 0) this.#unproved.delete(address);
  }
}

/** Whose budget it is: one home has one IPv4 address, or a /64 of IPv6. */
export function addressOf({ remoteAddress = "" }: Pick<Visitor, "remoteAddress">): string {
  const v4 = /(?:^|:)(\d+\.\d+\.\d+\.\d+)$/.exec(remoteAddress)?.[1];
  if (v4 !== undefined) return v4;
  return remoteAddress.includes(":")
    ? `${remoteAddress.split(":").slice(0, 4).join(":")}::/64`
    : remoteAddress;
}

/** The socket objects of one connection share nothing public but the remote end. */
function placeOf({ remoteAddress, remotePort }: Visitor): string {
  return `${remoteAddress} ${remotePort}`;
}
