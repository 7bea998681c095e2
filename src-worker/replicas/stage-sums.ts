import { Failure } from "../../src-protocol/failure.ts";
import { isFiniteTensor } from "../../src-protocol/finite.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { Activations } from "../compute/compute-call.ts";
import { floatsOf } from "../stage/tensor-message.ts";

export type SumMessage = Extract<PeerMessage, { type: "sum" }>;

/** What a replica gives to the sum of its stage. */
export interface Part {
  readonly values: Activations;
  readonly sha256: string;
  readonly signature: string;
}

/** One that comes in pieces. */
interface Coming {
  readonly values: Activations;
  readonly sha256: string;
  readonly signature: string;
  /** Values that are here; pieces come in order. */
  has: number;
}

export interface Order {
  readonly round: number;
  /** By key: everybody adds in the same order. */
  readonly sums: readonly { readonly replica: SessionKey; readonly microBatches: readonly number[] }[];
  readonly live: readonly SessionKey[];
}

/** Parts of rounds that this replica has not heard of yet wait for it; so many at most, whatever the peers send. */
const MOST_EARLY = 2;

/**
 * The parts of a stage's gradient sum: what came from the others, checked, until all of them are here.
 *
 * In the class `fast` a part is the replica's sum. In `exact` it is the gradients of its micro-batches one
 * by one, so that they are added in the order of their numbers, as one process does, whoever worked on them.
 */
export class StageSums {
  readonly #length: number;
  readonly #isExact: boolean;
  readonly #microBatches: number;
  readonly #isSigned: (by: SessionKey, round: number, sha256: string, signature: string) => boolean;
  #order: Order | null = null;
  readonly #parts = new Map<SessionKey, Part>();
  /** By sender: rounds in the order of their numbers. */
  readonly #coming = new Map<SessionKey, Map<number, Coming>>();

  constructor(options: {
    /** Values in a sum of the stage's gradients. */
    readonly length: number;
    readonly isExact: boolean;
    /** Of a step. */
    readonly microBatches: number;
    readonly isSigned: (by: SessionKey, round: number, sha256: string, signature: string) => boolean;
  }) {
    this.#length = options.length;
    this.#isExact = options.isExact;
    this.#microBatches = options.microBatches;
    this.#isSigned = options.isSigned;
  }

  get order(): Order | null {
    return this.#order;
  }

  clear(): void {
    this.#order = null;
    this.#parts.clear();
    this.#coming.clear();
  }

  /** The orchestrator asks for the sums. Gives who has sent a wrong one already. */
  begin(order: Order): SessionKey[] {
    this.#order = order;
    this.#parts.clear();
    const wrong: SessionKey[] = [];
    for (const [from, rounds] of this.#coming) {
      for (const round of rounds.keys()) if (round < order.round) rounds.delete(round);
      if (!this.#finish(from)) wrong.push(from);
    }
    return wrong;
  }

  own(key: SessionKey, part: Part): void {
    this.#parts.set(key, part);
  }

  part(key: SessionKey): Part | null {
    return this.#parts.get(key) ?? null;
  }

  /** A piece of a part. Rejects what cannot be one with the Failure that says why. */
  arrived(from: SessionKey, message: SumMessage, payload: Uint8Array<ArrayBuffer>): Failure | null {
    const { round, from: at, sha256: digest, signature } = message;
    if (this.#order !== null && round < this.#order.round) return null;
    const rounds = this.#coming.get(from) ?? new Map<number, Coming>();
    this.#coming.set(from, rounds);
    let coming = rounds.get(round);
    // Sent again from its beginning, as after a link that was lost.
    if (at === 0 && coming?.sha256 === digest && coming.has > 0) coming.has = 0;
    if (coming === undefined) {
      // SECURITY: a replica of the own stage may make us hold two parts, and no more.
      if (rounds.size >= MOST_EARLY) return wrong("It sent more sums than a step has.");
      const most = this.#length * (this.#isExact ? this.#microBatches : 1);
      const length = this.#lengthOf(from, round) ?? most;
      coming = { values: new Float32Array(length), sha256: digest, signature, has: 0 };
      rounds.set(round, coming);
    }
    const values = floatsOf(payload);
    if (coming.sha256 !== digest) return wrong("It sent two different sums.");
    if (at !== coming.has || at + values.length > coming.values.length)
      return wrong("A piece of its sum has no place in it.");
    coming.values.set(values, at);
    coming.has += values.length;
    return this.#finish(from)
      ? null
      : wrong("Its sum is not what it signed, or holds values that are no numbers.");
  }

  /** All parts by their makers, when they are all here. */
  whole(): ReadonlyMap<SessionKey, Part> | null {
    const order = this.#order;
    if (order === null || !order.sums.every(({ replica }) => this.#parts.has(replica))) return null;
    return this.#parts;
  }

  /** The stage's whole gradient sum. */
  total(): Activations {
    const size = this.#length;
    const total = new Float32Array(size);
    const { sums = [] } = this.#order ?? {};
    const pieces = sums.flatMap(({ replica, microBatches }) => {
      const values = this.#parts.get(replica)?.values ?? new Float32Array(0);
      if (!this.#isExact) return [{ at: 0, values }];
      return microBatches.map((at, i) => ({ at, values: values.subarray(i * size, (i + 1) * size) }));
    });
    if (this.#isExact) pieces.sort((a, b) => a.at - b.at);
    for (const { values } of pieces)
      for (let i = 0; i < size; i++) total[i] = (total[i] as number) + (values[i] as number);
    return total;
  }

  /** Null: it is not known yet how much that is. */
  #lengthOf(replica: SessionKey, round: number): number | null {
    if (!this.#isExact) return this.#length;
    if (this.#order?.round !== round) return null;
    const sum = this.#order.sums.find((each) => each.replica === replica);
    return this.#length * (sum?.microBatches.length ?? 0);
  }

  /** Takes a part that is whole; false: it is wrong. */
  #finish(from: SessionKey): boolean {
    const round = this.#order?.round;
    const coming = round === undefined ? undefined : this.#coming.get(from)?.get(round);
    if (round === undefined || coming === undefined || this.#parts.has(from)) return true;
    const length = this.#lengthOf(from, round) ?? 0;
    if (coming.has < length) return true;
    const values = coming.values.subarray(0, length);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const { sha256: digest, signature } = coming;
    this.#coming.get(from)?.delete(round);
    if (coming.has !== length || sha256(bytes) !== digest || !isFiniteTensor(values)) return false;
    if (!this.#isSigned(from, round, digest, signature)) return false;
    this.#parts.set(from, { values, sha256: digest, signature });
    return true;
  }
}

/** Pieces of a part as they travel. */
export function piecesOf(values: Activations): { from: number; bytes: Uint8Array }[] {
  const pieces: { from: number; bytes: Uint8Array }[] = [];
  let from = 0;
  do {
    const piece = values.subarray(from, from + SUM_PART_VALUES);
    pieces.push({ from, bytes: new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength) });
    from += SUM_PART_VALUES;
  } while (from < values.length);
  return pieces;
}

function wrong(message: string): Failure {
  return new Failure("bad-sum", message);
}
