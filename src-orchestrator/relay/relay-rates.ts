import { TokenBucket } from "../../src-protocol/token-bucket.ts";

/** A node that has not sent for so long begins anew. */
const FORGET_MS = 60_000;

/** What each node and all together may send through the relays. */
export class RelayRates {
  readonly #nodeMbit: number;
  readonly #total: TokenBucket;
  readonly #nodes = new Map<string, { readonly bucket: TokenBucket; usedAt: number }>();
  #bytes = 0;

  constructor(nodeMbit: number, totalMbit: number, now: number) {
    this.#nodeMbit = nodeMbit;
    this.#total = new TokenBucket(totalMbit, now);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `key` has sent this much; the result is how long it has to wait before it sends more, in ms. */
  sent(key: string, bytes: number, now: number): number {
    this.#bytes += bytes;
    const node = this.#nodes.get(key) ?? { bucket: new TokenBucket(this.#nodeMbit, now), usedAt: now };
    this.#nodes.set(key, node);
    node.usedAt = now;
    return Math.max(node.bucket.take(bytes, now), this.#total.take(bytes, now));
  }

  forgetIdle(now: number): void {
    for (const [key, { usedAt }] of this.#nodes) if (now - usedAt > FORGET_MS) this.#nodes.delete(key);
  }
}
