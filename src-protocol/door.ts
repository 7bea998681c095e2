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
  readonly connectionsPerSecond: number;
}

/** Of somewhere else; on this computer, many programs share the one address. */
export const DOOR_LIMITS: DoorLimits = { unproved: 512, unprovedOfAddress: 64, connectionsPerSecond: 100 };
export const LOOPBACK_DOOR_LIMITS: DoorLimits = {
  unproved: 384,
  unprovedOfAddress: 384,
  connectionsPerSecond: 400,
};

/**
 * Who may hold a connection before they have said who they are. SECURITY: places are few and strangers
 * many, so a place is taken from whoever holds most of them and has held it longest: somebody honest
 * says who they are at once, and a flood only takes its own places. Who has proved a key stands in nobody's way
 * and is not counted any more.
 */
export class Door {
  readonly #limits: DoorLimits;
  readonly #rate: Budget;
  /** By address, then by place; the oldest first. */
  readonly #unproved = new Map<string, Map<string, Visitor>>();
  #count = 0;

  constructor(limits: DoorLimits, now?: () => number) {
    this.#limits = limits;
    const perSecond = limits.connectionsPerSecond;
    this.#rate = new Budget({ perSecond, burst: 2 * perSecond }, now);
  }

  get unproved(): number {
    return this.#count;
  }

  /** A new connection: it may stay, or it is ended at once. */
  enter(visitor: Visitor): void {
    const address = addressOf(visitor);
    const place = placeOf(visitor);
    if (!this.#rate.take(address)) return void visitor.destroy();
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
    const own = this.#unproved.get(addressOf(visitor));
    const known = own?.get(placeOf(visitor));
    if (known !== undefined) this.#forget(addressOf(visitor), placeOf(visitor), known);
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
