import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { sumOfSquares } from "../../src-engine/clip-gradients.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { isFiniteTensor } from "../../src-protocol/finite.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { SumCodec } from "../../src-protocol/link-codecs.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { addersOf, shardBounds, sumRoot } from "../../src-protocol/sum-shards.ts";
import type { Activations } from "../compute/compute-call.ts";
import { LARGEST_SQUARED_NORM } from "../compute/parameter-home.ts";
import { codedSum, decodeInto, pieceBytes } from "./coded-sum.ts";
import type { CodedSum, SumPiece } from "./coded-sum.ts";
import { RoundingRest } from "./rounding-rest.ts";

export type SumMessage = Extract<PeerMessage, { type: "sum" | "total" }>;

/** What a replica has signed of its own sum. */
export interface Signed {
  readonly by: SessionKey;
  readonly sha256: string;
  readonly signature: string;
}

/** A shard of the stage's whole sum, and who has added it up. */
export interface Total extends Signed {
  readonly values: Activations;
  /** As whoever has added it gives it to others. */
  readonly pieces: readonly SumPiece[];
}

/** Values that come in pieces, in order. */
interface Coming {
  /** As far as they are here: memory is taken for one when its first values come. */
  addends: Activations[];
  has: number;
  /** Of the bytes. */
  hash: Hash;
}

export interface Order {
  readonly round: number;
  /** By key: everybody adds in the same order. */
  readonly sums: readonly { readonly replica: SessionKey; readonly microBatches: readonly number[] }[];
  readonly live: readonly SessionKey[];
  /** How many the sums are cut into; 1: everybody adds all of them. */
  readonly shards: number;
  /** Everybody adds every shard, as those whose it was disagreed. */
  readonly isRecount: boolean;
}

interface Early {
  readonly from: SessionKey;
  readonly message: SumMessage;
  readonly payload: Uint8Array<ArrayBuffer>;
}

export interface SumPorts {
  readonly own: SessionKey;
  /** Values in a sum of the stage's gradients. */
  readonly length: number;
  readonly isExact: boolean;
  /** In which sums and totals travel; in the class `exact` always `f32`. */
  readonly codec: SumCodec;
  /** Of a step. */
  readonly microBatches: number;
  /** `shard`: of a total; null: of a replica's own sum. */
  readonly sign: (round: number, shard: number | null, sha256: string) => string;
  readonly isSigned: (
    by: SessionKey,
    round: number,
    shard: number | null,
    sha256: string,
    signature: string,
  ) => boolean;
}

/** SECURITY: of a round that this replica has not heard of yet, a peer may make it hold so many sums. */
const MOST_EARLY = 2;

/**
 * The gradient sum of a stage. The sums of its replicas are cut into shards; each shard is added up, in the
 * order of the replicas' keys, by one of them, who gives it to the others, and by a second one, so that two
 * who disagree are seen. Few replicas do not cut: everybody adds everything. The bits are the same.
 *
 * In the class `fast` a replica gives its sum. In `exact` it gives the gradients of its micro-batches one by
 * one, so that they are added in the order of their numbers, as one process does, whoever worked on them.
 *
 * In other codecs than `f32` everybody adds what has travelled, its maker too, and digests are those of the
 * bytes: the bits are the same everywhere. What rounding leaves out comes with the next step (`RoundingRest`).
 */
export class StageSums {
  readonly #ports: SumPorts;
  #order: Order | null = null;
  readonly #rest = new RoundingRest();
  /** By shard. */
  #own: readonly CodedSum[] | null = null;
  /** By maker. */
  readonly #signed = new Map<SessionKey, Signed & { readonly digests: readonly string[] }>();
  /** By shard and maker: what this replica adds. */
  #parts: Map<SessionKey, readonly Activations[]>[] = [];
  #totals: (Total | null)[] = [];
  readonly #coming = new Map<string, Coming>();
  #early: Early[] = [];

  constructor(ports: SumPorts) {
    this.#ports = ports;
  }

  get order(): Order | null {
    return this.#order;
  }

  clear(): void {
    this.#order = null;
    this.#own = null;
    this.#signed.clear();
    this.#parts = [];
    this.#totals = [];
    this.#coming.clear();
    this.#early = [];
  }

  /** The orchestrator asks for the sums. Gives who has sent a wrong one already. */
  begin(order: Order): { readonly from: SessionKey; readonly failure: Failure }[] {
    const early = this.#early;
    this.clear();
    this.#rest.begin();
    this.#order = order;
    this.#parts = Array.from({ length: order.shards }, () => new Map<SessionKey, readonly Activations[]>());
    this.#totals = Array.from({ length: order.shards }, () => null);
    if (order.sums.length === 0) for (let shard = 0; shard < order.shards; shard++) this.#add(shard);
    return early.flatMap(({ from, message, payload }) => {
      const failure = this.arrived(from, message, payload);
      return failure === null ? [] : [{ from, failure }];
    });
  }

  /**
   * This replica's own: its sum, or in the class `exact` the gradients of its micro-batches. They are given from
   * where they are, and stay as they are until the next step.
   *
   * @throws Failure `gradient-overflow` when nobody would take it
   */
  give(addends: readonly Activations[]): void {
    const order = this.#order;
    if (order === null) return;
    const { own, length, sign, codec } = this.#ports;
    if (this.#isTooLarge(order, addends))
      throw new Failure(
        "gradient-overflow",
        "The gradient of this step is too large to be used, so the parameters stay as they are.",
      );
    const values = codec === "f32" ? addends : addends.map((sum) => this.#rest.withRest(sum));
    const shards = Array.from({ length: order.shards }, (_, shard) => {
      const [from, to] = shardBounds(length, order.shards, shard);
      return codedSum(
        codec,
        values.map((each) => each.subarray(from, to)),
      );
    });
    this.#own = shards;
    const [sum] = values;
    // Only the class `fast` has such codecs, where it is one sum.
    if (codec !== "f32" && sum !== undefined)
      this.#rest.ofSum(
        sum,
        shards.flatMap((shard) => shard.addends),
      );
    const digests = shards.map((shard) => shard.sha256);
    const root = sumRoot(digests);
    this.#signed.set(own, {
      by: own,
      sha256: root,
      digests,
      signature: sign(order.round, null, root),
    });
    for (const [shard, each] of shards.entries())
      if (this.#adders(shard).includes(own)) this.#part(shard, own, each.addends);
  }

  /** The optimiser step has the sum. */
  taken(): void {
    this.#rest.taken();
  }

  /** The state is another replica's now. */
  adopted(): void {
    this.#rest.drop();
  }

  /** What `to` has to get of this replica: of its sum what `to` adds, and the totals that it has not added itself. */
  outgoing(to: SessionKey): { readonly message: SumOf; readonly bytes: Uint8Array }[] {
    const { own, codec } = this.#ports;
    const round = this.#order?.round ?? 0;
    const signed = this.#signed.get(own);
    const sums = (this.#own ?? []).flatMap(({ pieces }, shard) =>
      signed === undefined || !this.#adders(shard).includes(to)
        ? []
        : pieces.map(({ from, bytes }) => ({
            message: {
              type: "sum" as const,
              round,
              shard,
              from,
              codec,
              digests: [...signed.digests],
              signature: signed.signature,
            },
            bytes,
          })),
    );
    const totals = this.#totals.flatMap((total, shard) => {
      const adders = this.#adders(shard);
      if (total === null || adders[0] !== own || adders.includes(to)) return [];
      const { sha256: digest, signature } = total;
      return total.pieces.map(({ from, bytes }) => ({
        message: { type: "total" as const, round, shard, from, codec, sha256: digest, signature },
        bytes,
      }));
    });
    return [...sums, ...totals];
  }

  /** A piece. Gives the Failure that says why it cannot be one. */
  arrived(from: SessionKey, message: SumMessage, payload: Uint8Array<ArrayBuffer>): Failure | null {
    const order = this.#order;
    if (order === null || message.round > order.round) return this.#keep({ from, message, payload });
    const { round, shard, codec } = message;
    if (round < order.round || shard >= order.shards) return null;
    if (codec !== this.#ports.codec) return wrong(`It sent its sum as ${codec}, which is not this run's.`);
    const adders = this.#adders(shard);
    const isAdder = adders.includes(this.#ports.own);
    if (message.type === "total") {
      if (isAdder || adders[0] !== from || order.isRecount)
        return wrong("It sent what others add up, or this replica itself.");
      return this.#totalArrived(order, message, payload);
    }
    const sum = order.sums.find(({ replica }) => replica === from);
    if (sum === undefined || !isAdder) return wrong("It sent a sum that has no place here.");
    return this.#sumArrived(order, from, sum.microBatches.length, message, payload);
  }

  /** What the makers of all sums have signed, and whoever has added them; null: not everything is here. */
  whole(): { readonly parts: readonly Signed[]; readonly totals: readonly Signed[] } | null {
    const order = this.#order;
    const totals = this.#totals.flatMap((total) => total ?? []);
    if (order === null || totals.length < order.shards) return null;
    const said = ({ by, sha256: digest, signature }: Signed): Signed => ({ by, sha256: digest, signature });
    const parts = order.sums.flatMap(({ replica }) => this.#signed.get(replica) ?? []);
    return { parts: parts.map(said), totals: order.shards === 1 ? [] : totals.map(said) };
  }

  /** Whose part of it is not here. */
  lacking(): SessionKey[] {
    const order = this.#order;
    const lacked = new Set<SessionKey>();
    for (const [shard, total] of this.#totals.entries()) {
      if (total !== null || order === null) continue;
      const adders = this.#adders(shard);
      const makers = order.sums.map(({ replica }) => replica);
      const due = adders.includes(this.#ports.own) ? makers : adders.slice(0, 1);
      for (const key of due) if (this.#parts[shard]?.has(key) !== true) lacked.add(key);
    }
    lacked.delete(this.#ports.own);
    return [...lacked];
  }

  /** The stage's whole gradient sum. */
  total(): Activations {
    const [first, ...others] = this.totals();
    if (first !== undefined && others.length === 0) return first;
    const { length } = this.#ports;
    const all = new Float32Array(length);
    for (const [shard, values] of this.totals().entries())
      all.set(values, shardBounds(length, this.#totals.length, shard)[0]);
    return all;
  }

  /** The same in its shards, when all of them are here. */
  totals(): readonly Activations[] {
    return this.#totals.flatMap((total) => (total === null ? [] : [total.values]));
  }

  /** The whole sum of the step under way is this one, whoever has added it. */
  restore(values: Activations): void {
    this.clear();
    this.#totals = [{ by: this.#ports.own, values, pieces: [], sha256: "", signature: "" }];
  }

  #adders(shard: number): readonly SessionKey[] {
    return this.#order === null ? [] : addersOf(this.#order, shard);
  }

  #keep(early: Early): Failure | null {
    const { length, isExact, microBatches } = this.#ports;
    const most = length * (isExact ? microBatches : 1) * MOST_EARLY * Float32Array.BYTES_PER_ELEMENT;
    const held = this.#early.filter(({ from }) => from === early.from);
    const bytes = held.reduce((sum, { payload }) => sum + payload.byteLength, early.payload.byteLength);
    // SECURITY: empty pieces are bounded too.
    if (bytes > most || held.length >= MOST_EARLY_PIECES) return wrong("It sent more sums than a step has.");
    this.#early.push(early);
    return null;
  }

  #sumArrived(
    order: Order,
    from: SessionKey,
    count: number,
    { round, shard, from: at, digests, signature }: Extract<SumMessage, { type: "sum" }>,
    payload: Uint8Array<ArrayBuffer>,
  ): Failure | null {
    const root = sumRoot(digests);
    const known = this.#signed.get(from);
    if (known !== undefined && known.sha256 !== root) return wrong("It sent two different sums.");
    if (known === undefined) {
      const isWhole = digests.length === order.shards;
      if (!isWhole || !this.#ports.isSigned(from, round, null, root, signature))
        return wrong("It has not signed its sum.");
      this.#signed.set(from, { by: from, sha256: root, digests, signature });
    }
    if (this.#totals[shard] !== null || this.#parts[shard]?.has(from) === true) return null;
    const [first, end] = shardBounds(this.#ports.length, order.shards, shard);
    const shape = { length: end - first, count: this.#ports.isExact ? count : 1 };
    const whole = this.#assembled(`sum ${from} ${shard}`, shape, at, payload);
    if (whole instanceof Failure || whole === null) return whole;
    if (whole.sha256 !== digests[shard] || !whole.addends.every(isFiniteTensor))
      return wrong("Its sum is not what it signed, or holds values that are no numbers.");
    if (this.#isTooLarge(order, whole.addends)) return wrong("Its sum is too large to be used.");
    this.#part(shard, from, whole.addends);
    return null;
  }

  #totalArrived(
    order: Order,
    { round, shard, from: at, sha256: digest, signature }: Extract<SumMessage, { type: "total" }>,
    payload: Uint8Array<ArrayBuffer>,
  ): Failure | null {
    const by = this.#adders(shard)[0];
    const known = this.#totals[shard] ?? null;
    if (by === undefined) return null;
    if (known !== null) return known.sha256 === digest ? null : wrong("It sent two different totals.");
    const [first, end] = shardBounds(this.#ports.length, order.shards, shard);
    const shape = { length: end - first, count: 1 };
    const whole = this.#assembled(`total ${shard} ${digest}`, shape, at, payload);
    if (whole instanceof Failure || whole === null) return whole;
    const [values = new Float32Array(0)] = whole.addends;
    const isIt = whole.sha256 === digest && isFiniteTensor(values);
    if (!isIt || !this.#ports.isSigned(by, round, shard, digest, signature))
      return wrong("Its total is not what it signed, or holds values that are no numbers.");
    this.#totals[shard] = { by, values, pieces: [], sha256: digest, signature };
    return null;
  }

  /** So many addends of `length` values that come in pieces, with the digest of their bytes; null: they are not all here. */
  #assembled(
    name: string,
    { length, count }: { readonly length: number; readonly count: number },
    at: number,
    payload: Uint8Array<ArrayBuffer>,
  ): { readonly addends: readonly Activations[]; readonly sha256: string } | Failure | null {
    const { codec } = this.#ports;
    const coming = this.#coming.get(name) ?? { addends: [], has: 0, hash: createHash("sha256") };
    this.#coming.set(name, coming);
    // Sent again from its beginning, as after a link that was lost.
    if (at === 0) Object.assign(coming, { addends: [], has: 0, hash: createHash("sha256") });
    const from = length === 0 ? 0 : at % length;
    if (at !== coming.has || payload.byteLength !== pieceBytes(codec, length, from))
      return wrong("A piece of its sum has no place in it.");
    if (from === 0) coming.addends.push(new Float32Array(length));
    const end = Math.min(from + SUM_PART_VALUES, length);
    const addend = coming.addends.at(-1);
    if (addend !== undefined) decodeInto(codec, payload, addend.subarray(from, end));
    coming.hash.update(payload);
    coming.has += end - from;
    if (coming.has < length * count) return null;
    this.#coming.delete(name);
    return { addends: coming.addends, sha256: coming.hash.digest("hex") };
  }

  /**
   * SECURITY: no optimiser step is taken with a sum that is too large, so whoever makes it so is named by its
   * part: `|Σ parts|² ≤ addends · Σ |addend|²`.
   */
  #isTooLarge({ sums, shards }: Order, values: readonly Activations[]): boolean {
    const { isExact, microBatches } = this.#ports;
    const addends = isExact ? microBatches : sums.length;
    const most = (LARGEST_SQUARED_NORM * microBatches * microBatches) / (addends * sums.length * shards);
    return sumOfSquares(values) > most;
  }

  #part(shard: number, by: SessionKey, addends: readonly Activations[]): void {
    const parts = this.#parts[shard];
    parts?.set(by, addends);
    if (this.#order?.sums.every(({ replica }) => parts?.has(replica)) === true) this.#add(shard);
  }

  /** All of the shard is here. */
  #add(shard: number): void {
    const order = this.#order;
    if (order === null) return;
    const { own, sign, isExact, length, codec } = this.#ports;
    const [from, to] = shardBounds(length, order.shards, shard);
    const size = to - from;
    const total = new Float32Array(size);
    const pieces = order.sums.flatMap(({ replica, microBatches }) => {
      const addends = this.#parts[shard]?.get(replica) ?? [];
      return addends.map((values, i) => ({ at: isExact ? (microBatches[i] ?? 0) : 0, values }));
    });
    if (isExact) pieces.sort((a, b) => a.at - b.at);
    for (const { values } of pieces)
      for (let i = 0; i < size; i++) total[i] = (total[i] as number) + (values[i] as number);
    this.#parts[shard]?.clear();
    if (order.shards === 1) {
      this.#totals[shard] = { by: own, values: total, pieces: [], sha256: "", signature: "" };
      return;
    }
    const { addends, pieces: its, sha256: digest } = codedSum(codec, [total]);
    const [values = total] = addends;
    if (codec !== "f32" && addersOf({ ...order, isRecount: false }, shard)[0] === own)
      this.#rest.ofTotal(length, from, total, values);
    const signature = sign(order.round, shard, digest);
    this.#totals[shard] = { by: own, values, pieces: its, sha256: digest, signature };
  }
}

/** As it travels, but for whose stage and step it is of. */
export type SumOf =
  | Omit<Extract<SumMessage, { type: "sum" }>, "generation" | "step">
  | Omit<Extract<SumMessage, { type: "total" }>, "generation" | "step">;

const MOST_EARLY_PIECES = 4_096;

function wrong(message: string): Failure {
  return new Failure("bad-sum", message);
}
