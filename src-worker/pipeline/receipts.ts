import type { SessionKey } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";

type ReceiptRequest = Extract<PeerMessage, { type: "receipt" }>;
type CounterSignature = Extract<PeerMessage, { type: "counterSignature" }>;

export type Neighbour = "previous" | "next";

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
  readonly network: string;
  readonly runId: string;
  readonly stage: number;
  /** In one micro-batch. */
  readonly tokens: number;
  readonly peers: Readonly<Record<Neighbour, SessionKey | null>>;
  readonly send: (to: Neighbour, message: ReceiptRequest | CounterSignature) => void;
  readonly now: () => number;
}

/** Requests of one peer that may wait for us to use what they are about. */
const WAITING_REQUESTS_LIMIT = 4096;

/** The receipts of one stage in one generation: those it earns and those it counter-signs for its neighbours. */
export class ReceiptBook {
  readonly #ports: ReceiptPorts;
  readonly #digests = new Map<number, Map<number, Digests>>();
  /** Asked for and not answered, by id. */
  readonly #asked = new Map<string, { body: ReceiptBody; workerSignature: string }>();
  #earned: SignedReceipt[] = [];
  #requests: { from: Neighbour; request: ReceiptRequest }[] = [];
  #watchers: (() => void)[] = [];

  constructor(ports: ReceiptPorts) {
    this.#ports = ports;
  }

  /** Notes the digest of a tensor that was sent or, once it has been used, of one that came. */
  note(step: number, microBatch: number, digests: Digests): void {
    const ofStep = this.#digests.get(step) ?? new Map<number, Digests>();
    this.#digests.set(step, ofStep);
    ofStep.set(microBatch, { ...ofStep.get(microBatch), ...digests });
    this.#answerRequests();
  }

  /** The work on a micro-batch is done: signs its receipt and asks the consumer of the output. */
  worked(step: number, microBatch: number): void {
    const { signer, network, runId, stage, tokens, peers, now } = this.#ports;
    const { x, y, dx } = this.#digests.get(step)?.get(microBatch) ?? {};
    const isHead = stage === 0;
    const to: Neighbour = isHead ? "next" : "previous";
    const consumer = peers[to];
    const outputSha256 = isHead ? y : dx;
    // A stage that is the whole model has no peer to vouch for it.
    if (consumer === null || outputSha256 === undefined) return;
    const body: ReceiptBody = {
      network,
      runId,
      stage,
      step,
      microBatch,
      tokens,
      worker: signer.publicKey,
      consumer,
      inputSha256: isHead ? null : (x ?? null),
      outputSha256,
      finishedAt: now(),
    };
    const text = receiptText(body);
    const workerSignature = signer.sign(text);
    this.#asked.set(sha256(text), { body, workerSignature });
    this.#ports.send(to, { type: "receipt", body, workerSignature });
  }

  /** A neighbour asks us to counter-sign. We do when we have used exactly what it names; a wrong one gets no answer. */
  asked(from: Neighbour, request: ReceiptRequest): void {
    if (!this.#isOurs(from, request)) return;
    if (this.#requests.length >= WAITING_REQUESTS_LIMIT) this.#requests.shift();
    // It may overtake the tensor it is about, which has to arrive and be used first.
    this.#requests.push({ from, request });
    this.#answerRequests();
  }

  counterSigned({ receiptId, consumerSignature }: CounterSignature): void {
    const waiting = this.#asked.get(receiptId);
    if (waiting === undefined) return;
    if (!verifySession(waiting.body.consumer, receiptText(waiting.body), consumerSignature)) return;
    this.#asked.delete(receiptId);
    this.#earned.push({ ...waiting, consumerSignature });
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  /**
   * Takes out the counter-signed receipts when none of steps up to `step` is missing, or when
   * `limit` resolves first; then what is missing is given up.
   */
  async collect(step: number, limit: Promise<unknown>): Promise<SignedReceipt[]> {
    const over = limit.then(() => true);
    while (this.#misses(step)) {
      const answered = new Promise<boolean>((resolve) => this.#watchers.push(() => resolve(false)));
      if (await Promise.race([over, answered])) break;
    }
    for (const [id, { body }] of this.#asked) if (body.step <= step) this.#asked.delete(id);
    // A neighbour may be one step behind us with its requests, no more.
    for (const old of this.#digests.keys()) if (old < step) this.#digests.delete(old);
    return this.#earned.splice(0);
  }

  #misses(step: number): boolean {
    return [...this.#asked.values()].some(({ body }) => body.step <= step);
  }

  // SECURITY: only the neighbour itself may ask, about its own stage, and with a size that is the run's.
  #isOurs(from: Neighbour, { body, workerSignature }: ReceiptRequest): boolean {
    const { signer, network, runId, stage, tokens, peers } = this.#ports;
    return (
      body.worker === peers[from] &&
      body.consumer === signer.publicKey &&
      body.network === network &&
      body.runId === runId &&
      body.stage === (from === "next" ? stage + 1 : stage - 1) &&
      // The head's gradient leaves nobody: it alone asks the stage after it.
      (from === "next" || body.stage === 0) &&
      body.tokens === tokens &&
      verifySession(body.worker, receiptText(body), workerSignature)
    );
  }

  #answerRequests(): void {
    this.#requests = this.#requests.filter(({ from, request: { body } }) => {
      const digests = this.#digests.get(body.step)?.get(body.microBatch);
      const used = from === "next" ? digests?.dy : digests?.x;
      if (used === undefined) return true;
      const input = from === "next" ? digests?.y : null;
      if (body.outputSha256 === used && body.inputSha256 === (input ?? null)) {
        const text = receiptText(body);
        const consumerSignature = this.#ports.signer.sign(text);
        this.#ports.send(from, { type: "counterSignature", receiptId: sha256(text), consumerSignature });
      }
      return false;
    });
  }
}
