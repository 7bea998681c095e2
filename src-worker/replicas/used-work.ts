import type { SessionKey } from "../../src-protocol/keys.ts";
import { Budget } from "../../src-protocol/budget.ts";
import { microBatchesOf } from "../../src-protocol/micro-batch-set.ts";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { MOST_SHARE_PEERS, receiptKey, receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptShare } from "../../src-protocol/receipt.ts";
import { sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";

export type ReceiptRequest = Extract<PeerMessage, { type: "receipt" }>;
export type CounterSignature = Extract<PeerMessage, { type: "counterSignature" }>;

/** What crossed the borders of one micro-batch, with whom; digests (SHA-256) of tensors as they were sent. */
export interface Crossed {
  /** Null at the head. */
  readonly previous: Border | null;
  /** Null at the tail, and where the peer has not answered. */
  readonly next: Border | null;
}

export interface Border {
  readonly peer: SessionKey;
  readonly taken: string;
  readonly given: string;
}

/** Of which step of which stage. */
export interface WorkPlace {
  readonly runId: string;
  readonly stage: number;
  readonly step: number;
  /** In one micro-batch, and the plan's operations for it. */
  readonly tokens: number;
  readonly flops: number;
}

interface Used {
  readonly place: WorkPlace;
  readonly crossed: ReadonlyMap<number, Crossed>;
  /** The step is taken with this. */
  isFinal: boolean;
}

/** Whoever was killed asks again when it is back: what it gave is remembered as long as this many micro-batches. */
const KEPT_MICRO_BATCHES = 16_384;
const LEAST_STEPS = 3;
/** Requests that wait until this replica has counted their step, too. */
const WAITING_REQUESTS = 4 * MOST_SHARE_PEERS;
/** Of the same work: before its step was begun anew, and after that. */
const OF_THE_SAME = 2;
/** Micro-batches that one peer may have compared: many times what it does itself. */
const COMPARED = { perSecond: 16 * MOST_MICRO_BATCHES, burst: 64 * MOST_MICRO_BATCHES };

interface Asked {
  readonly from: SessionKey;
  readonly request: ReceiptRequest;
  /** What it says that we have used. */
  readonly part: ReceiptShare["peers"][number];
}

/** What this replica has counted of the last steps, and so can vouch for: who gave it and who took it. */
export class UsedWork {
  readonly #signer: SessionSigner;
  readonly #network: string;
  readonly #send: (to: SessionKey, message: CounterSignature) => void;
  /** By step; what was counted last is last. */
  readonly #steps = new Map<number, readonly Used[]>();
  readonly #compared = new Budget(COMPARED);
  #requests: Asked[] = [];

  constructor(
    signer: SessionSigner,
    network: string,
    send: (to: SessionKey, message: CounterSignature) => void,
  ) {
    this.#signer = signer;
    this.#network = network;
    this.#send = send;
  }

  /** All of the step is counted, this here; it may be opened again. */
  counted(place: WorkPlace, crossed: ReadonlyMap<number, Crossed>): void {
    const { runId, stage, step } = place;
    const others = (this.#steps.get(step) ?? []).filter(
      (each) => each.isFinal || each.place.stage !== stage || each.place.runId !== runId,
    );
    this.#steps.delete(step);
    this.#steps.set(step, [...others, { place, crossed, isFinal: false }]);
    this.#forget();
    this.#answer();
  }

  /** The step is taken. */
  taken(step: number): void {
    for (const each of this.#steps.get(step) ?? []) each.isFinal = true;
    this.#answer();
  }

  /**
   * A peer asks us to counter-sign. We do when we have used exactly what it names; a wrong one gets no answer.
   * Whose work it is need not be who asks: a computer that was killed comes back with another key.
   */
  asked(from: SessionKey, request: ReceiptRequest): void {
    const { body, workerSignature } = request;
    const isKnown = this.#requests.some(
      (each) => each.from === from && each.request.workerSignature === workerSignature,
    );
    if (isKnown || body.network !== this.#network || body.share === undefined) return;
    // On one side of it, once.
    const [part, ...others] = body.share.peers.filter(({ key }) => key === this.#signer.publicKey);
    if (part === undefined || others.length > 0) return;
    // SECURITY: to compare takes longer than to ask. Whoever is refused asks again.
    if (!this.#compared.take(from, microBatchesOf(part.microBatches).length)) return;
    // SECURITY: what we sign names whose work it was, and that one has signed it.
    if (!verifySession(body.worker, receiptText(body), workerSignature)) return;
    const asked = { from, request, part };
    if (!this.#waits(asked)) return;
    const same = this.#requests.filter((each) => each.from === from && isSameWork(each.request, request));
    const [oldest] = same.length < OF_THE_SAME ? this.#requests.slice(0, -WAITING_REQUESTS + 1) : same;
    this.#requests = [...this.#requests.filter((each) => each !== oldest), asked];
  }

  #forget(): void {
    const sizes = [...this.#steps].map(
      ([step, used]) => [step, used.reduce((sum, { crossed }) => sum + crossed.size, 0)] as const,
    );
    let kept = sizes.reduce((sum, [, size]) => sum + size, 0);
    for (const [step, size] of sizes.slice(0, -LEAST_STEPS)) {
      if (kept <= KEPT_MICRO_BATCHES) return;
      kept -= size;
      this.#steps.delete(step);
    }
  }

  #answer(): void {
    this.#requests = this.#requests.filter((asked) => this.#waits(asked));
  }

  /** It is answered where it is right; true: it may still turn out to be. */
  #waits(asked: Asked): boolean {
    const { from, request } = asked;
    const { body } = request;
    const ours = (this.#steps.get(body.step) ?? []).filter(({ place }) => place.runId === body.runId);
    if (ours.some((each) => this.#isUsed(asked, each))) {
      const text = receiptText(body);
      this.#send(from, {
        type: "counterSignature",
        receiptId: sha256(text),
        signature: this.#signer.sign(text),
      });
      return false;
    }
    const newest = [...this.#steps.keys()].at(-1) ?? -1;
    // It may have heard of the end of the step, or of its beginning anew, before us.
    return body.step > newest || ours.some(({ isFinal }) => !isFinal);
  }

  /** What it names as taken from us and given to us is what we have given and taken. */
  #isUsed({ request: { body }, part }: Asked, { place, crossed }: Used): boolean {
    const { worker, stage, microBatches, tokens } = body;
    // SECURITY: of a size that is the run's.
    if (tokens !== place.tokens * microBatches || place.flops === 0) return false;
    // We are on that side of it, so it is on the other side of us.
    const isNext = part.side === "next";
    if (stage !== place.stage + (isNext ? -1 : 1)) return false;
    const borders: Border[] = [];
    for (const at of microBatchesOf(part.microBatches)) {
      const border = crossed.get(at)?.[isNext ? "previous" : "next"] ?? null;
      if (border === null || border.peer !== worker) return false;
      borders.push(border);
    }
    return (
      tensorsDigest(borders.map(({ given }) => given)) === part.taken &&
      tensorsDigest(borders.map(({ taken }) => taken)) === part.given
    );
  }
}

function isSameWork({ body: one }: ReceiptRequest, { body: other }: ReceiptRequest): boolean {
  return receiptKey(one) === receiptKey(other);
}
