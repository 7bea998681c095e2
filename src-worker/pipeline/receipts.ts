import type { SessionKey } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { NEIGHBOURS, receiptText } from "../../src-protocol/receipt.ts";
import type { Neighbour, ReceiptBody, ReceiptChain, SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";

type ReceiptRequest = Extract<PeerMessage, { type: "receipt" }>;
type CounterSignature = Extract<PeerMessage, { type: "counterSignature" }>;

export type { Neighbour };

const BORDERS = ["x", "y", "dy", "dx"] as const;

/** SHA-256 of the tensors that crossed this stage's borders for one micro-batch. */
interface Digests {
  /** Received from the previous stage and used. */
  x?: string;
  /** Sent to the next stage. */
  y?: string;
  /** Received from the next stage and used. */
  dy?: string;
  /** Sent to the previous stage. */
  dx?: string;
}

export interface ReceiptPorts {
  readonly signer: SessionSigner;
  /** Of all that the signer signs. */
  readonly chain: ReceiptChain;
  readonly network: string;
  readonly runId: string;
  readonly stage: number;
  /** Of one step. */
  readonly microBatches: number;
  /** In one micro-batch, and the plan's operations for it. */
  readonly tokens: number;
  readonly flops: number;
  readonly peers: Readonly<Record<Neighbour, SessionKey | null>>;
  readonly send: (to: Neighbour, message: ReceiptRequest | CounterSignature) => void;
  readonly now: () => number;
}

interface Step {
  readonly digests: Map<number, Digests>;
  worked: number;
  /** Of the stage's chain before the step; null until the state is hashed. */
  link: string | null;
  isAsked: boolean;
}

interface Asked {
  readonly body: ReceiptBody;
  readonly workerSignature: string;
  readonly signatures: Partial<Record<Neighbour, string>>;
  /** Nothing waits for it any more; who has not signed may have been stopped, and still sign. */
  isLate: boolean;
}

/** Requests of one peer that may wait for us to use what they are about: it is at most two steps ahead. */
const WAITING_REQUESTS_LIMIT = 16;
/** A receipt that nobody has signed is given up so many steps later. */
const LATE_STEPS = 16;

/** The receipts of one stage in one generation: those it earns and those it counter-signs for its neighbours. */
export class ReceiptBook {
  readonly #ports: ReceiptPorts;
  readonly #steps = new Map<number, Step>();
  /** Asked for and not answered by all, by id. */
  readonly #asked = new Map<string, Asked>();
  #earned: SignedReceipt[] = [];
  #requests: { from: Neighbour; request: ReceiptRequest }[] = [];
  #watchers: (() => void)[] = [];

  constructor(ports: ReceiptPorts) {
    this.#ports = ports;
  }

  /** Notes the digest of a tensor that was sent or, once it has been used, of one that came. */
  note(step: number, microBatch: number, digests: Digests): void {
    const { digests: ofStep } = this.#step(step);
    ofStep.set(microBatch, { ...ofStep.get(microBatch), ...digests });
    this.#answerRequests();
  }

  /** The stage's chain says this of the parameters that `step` is worked with. */
  linked(step: number, link: string): void {
    this.#step(step).link = link;
    this.#ask(step);
  }

  /** The work on one more micro-batch is done. */
  worked(step: number): void {
    this.#step(step).worked += 1;
    this.#ask(step);
  }

  /** A neighbour asks us to counter-sign. We do when we have used exactly what it names; a wrong one gets no answer. */
  asked(from: Neighbour, request: ReceiptRequest): void {
    if (!this.#isOurs(from, request)) return;
    if (this.#requests.length >= WAITING_REQUESTS_LIMIT) this.#requests.shift();
    // It may overtake the tensors that it is about, which have to arrive and be used first.
    this.#requests.push({ from, request });
    this.#answerRequests();
  }

  counterSigned(from: Neighbour, { receiptId, signature }: CounterSignature): void {
    const waiting = this.#asked.get(receiptId);
    const peer = waiting?.body[from] ?? null;
    if (waiting === undefined || peer === null) return;
    if (!verifySession(peer, receiptText(waiting.body), signature)) return;
    waiting.signatures[from] = signature;
    const isWhole = NEIGHBOURS.every(
      (side) => waiting.body[side] === null || waiting.signatures[side] !== undefined,
    );
    // One counter-signature is enough.
    if (isWhole || waiting.isLate) this.#earn(receiptId, waiting);
  }

  /**
   * Takes out the counter-signed receipts when none of steps up to `step` is missing, or when
   * `limit` resolves first; then one counter-signature is enough, and what has none comes with a later step
   * if somebody signs it yet.
   */
  async collect(step: number, limit: Promise<unknown>): Promise<SignedReceipt[]> {
    const over = limit.then(() => true);
    while (this.#misses(step)) {
      const answered = new Promise<boolean>((resolve) => this.#watchers.push(() => resolve(false)));
      if (await Promise.race([over, answered])) break;
    }
    for (const [id, asked] of this.#asked) {
      if (asked.body.step > step) continue;
      if (Object.keys(asked.signatures).length > 0) this.#earn(id, asked);
      else if (asked.body.step > step - LATE_STEPS) asked.isLate = true;
      else this.#asked.delete(id);
    }
    // A neighbour may be one step behind us with its requests, no more.
    for (const old of this.#steps.keys()) if (old < step) this.#steps.delete(old);
    return this.#earned.splice(0);
  }

  #step(step: number): Step {
    const known = this.#steps.get(step);
    if (known !== undefined) return known;
    const fresh: Step = { digests: new Map(), worked: 0, link: null, isAsked: false };
    this.#steps.set(step, fresh);
    return fresh;
  }

  /** Signs the receipt and asks those who used the work, once all of it is done and its parameters are named. */
  #ask(step: number): void {
    const { signer, chain, network, runId, stage, microBatches, tokens, flops, peers, now, send } =
      this.#ports;
    const { link, worked, isAsked } = this.#step(step);
    if (link === null || worked < microBatches || isAsked) return;
    // A stage that is the whole model has no peer to vouch for it.
    if (peers.previous === null && peers.next === null) return;
    this.#step(step).isAsked = true;
    const [x, y, dy, dx] = BORDERS.map((border) => this.#crossed(step, border));
    const body: ReceiptBody = {
      network,
      runId,
      stage,
      step,
      microBatches,
      tokens: tokens * microBatches,
      flops,
      worker: signer.publicKey,
      previous: peers.previous,
      next: peers.next,
      x: x ?? null,
      dy: dy ?? null,
      y: y ?? null,
      dx: dx ?? null,
      link,
      finishedAt: now(),
      chain: chain.next(),
    };
    const text = receiptText(body);
    const workerSignature = signer.sign(text);
    const id = sha256(text);
    chain.signed(id);
    this.#asked.set(id, { body, workerSignature, signatures: {}, isLate: false });
    for (const to of NEIGHBOURS) if (peers[to] !== null) send(to, { type: "receipt", body, workerSignature });
  }

  /** Of all that crossed a border in a step; null while some of it has not. */
  #crossed(step: number, border: keyof Digests): string | null {
    const { microBatches } = this.#ports;
    const ofStep = this.#steps.get(step)?.digests;
    const digests = Array.from({ length: microBatches }, (_, i) => ofStep?.get(i)?.[border]);
    const known = digests.filter((digest) => digest !== undefined);
    return known.length === microBatches ? tensorsDigest(known) : null;
  }

  #earn(id: string, { body, workerSignature, signatures }: Asked): void {
    this.#asked.delete(id);
    const { previous = null, next = null } = signatures;
    this.#earned.push({ body, workerSignature, previousSignature: previous, nextSignature: next });
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  #misses(step: number): boolean {
    return [...this.#asked.values()].some(({ body, isLate }) => body.step <= step && !isLate);
  }

  // SECURITY: only the neighbour itself may ask, about its own stage, and with a size that is the run's.
  #isOurs(from: Neighbour, { body, workerSignature }: ReceiptRequest): boolean {
    const { signer, network, runId, stage, microBatches, tokens, peers } = this.#ports;
    return (
      body.worker === peers[from] &&
      body[from === "next" ? "previous" : "next"] === signer.publicKey &&
      body.network === network &&
      body.runId === runId &&
      body.stage === (from === "next" ? stage + 1 : stage - 1) &&
      body.microBatches === microBatches &&
      body.tokens === tokens * microBatches &&
      verifySession(body.worker, receiptText(body), workerSignature)
    );
  }

  #answerRequests(): void {
    this.#requests = this.#requests.filter(({ from, request: { body } }) => {
      // What we sent is what it took in, and what we used is what it gave.
      const [sent, used] = from === "next" ? (["y", "dy"] as const) : (["dx", "x"] as const);
      const given = this.#crossed(body.step, used);
      const taken = this.#crossed(body.step, sent);
      if (given === null || taken === null) return true;
      const [theirInput, theirOutput] = from === "next" ? [body.x, body.dx] : [body.dy, body.y];
      if (theirInput === taken && theirOutput === given) {
        const text = receiptText(body);
        const signature = this.#ports.signer.sign(text);
        this.#ports.send(from, { type: "counterSignature", receiptId: sha256(text), signature });
      }
      return false;
    });
  }
}
