import type { SessionKey } from "../../src-protocol/keys.ts";
import { microBatchesOf } from "../../src-protocol/micro-batch-set.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { MOST_SHARE_PEERS, receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptBody } from "../../src-protocol/receipt.ts";
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

/** What this replica has counted of the last steps, and so can vouch for: who gave it and who took it. */
export class UsedWork {
  readonly #signer: SessionSigner;
  readonly #network: string;
  readonly #send: (to: SessionKey, message: CounterSignature) => void;
  /** By step; what was counted last is last. */
  readonly #steps = new Map<number, readonly Used[]>();
  #requests: { readonly from: SessionKey; readonly request: ReceiptRequest }[] = [];

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
    // SECURITY: what we sign names whose work it was, and that one has signed it.
    if (!verifySession(body.worker, receiptText(body), workerSignature)) return;
    if (this.#requests.length >= WAITING_REQUESTS) this.#requests.shift();
    this.#requests.push({ from, request });
    this.#answer();
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
    const newest = [...this.#steps.keys()].at(-1) ?? -1;
    this.#requests = this.#requests.filter(({ from, request: { body } }) => {
      const ours = (this.#steps.get(body.step) ?? []).filter(({ place }) => place.runId === body.runId);
      if (ours.some((each) => this.#isUsed(body, each))) {
        const text = receiptText(body);
        this.#send(from, {
          type: "counterSignature",
          receiptId: sha256(text),
          signature: this.#signer.sign(text),
        });
        return false;
      }
      // It may have heard of the end of the step, or of its beginning anew, before us.
      return body.step > newest || ours.some(({ isFinal }) => !isFinal);
    });
  }

  /** What it names as taken from us and given to us is what we have given and taken. */
  #isUsed({ worker, stage, share, microBatches, tokens }: ReceiptBody, { place, crossed }: Used): boolean {
    // SECURITY: of a size that is the run's.
    if (tokens !== place.tokens * microBatches || place.flops === 0) return false;
    const own = this.#signer.publicKey;
    const parts = share?.peers.filter(({ key }) => key === own) ?? [];
    return (
      parts.length > 0 &&
      parts.every(({ side, microBatches: of, taken, given }) => {
        // We are on that side of it, so it is on the other side of us.
        const isBeside = stage === (side === "next" ? place.stage - 1 : place.stage + 1);
        const borders = microBatchesOf(of).map(
          (at) => crossed.get(at)?.[side === "next" ? "previous" : "next"] ?? null,
        );
        const known = borders.filter((border) => border !== null);
        return (
          isBeside &&
          known.length === borders.length &&
          known.every(({ peer }) => peer === worker) &&
          tensorsDigest(known.map((border) => border.given)) === taken &&
          tensorsDigest(known.map((border) => border.taken)) === given
        );
      })
    );
  }
}
