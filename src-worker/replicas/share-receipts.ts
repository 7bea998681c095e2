import type { SessionKey } from "../../src-protocol/keys.ts";
import { microBatchesOf, setOfMicroBatches } from "../../src-protocol/micro-batch-set.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { MOST_SHARE_PEERS, NEIGHBOURS, receiptText } from "../../src-protocol/receipt.ts";
import type {
  Neighbour,
  ReceiptBody,
  ReceiptChain,
  ReceiptShare,
  SignedReceipt,
} from "../../src-protocol/receipt.ts";
import { sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";

type ReceiptRequest = Extract<PeerMessage, { type: "receipt" }>;
type CounterSignature = Extract<PeerMessage, { type: "counterSignature" }>;

/** What crossed the borders of one micro-batch, with whom; digests (SHA-256) of tensors as they were sent. */
export interface Crossed {
  /** Null at the head. */
  readonly previous: Border | null;
  /** Null at the tail, and where the peer has not answered. */
  readonly next: Border | null;
}

interface Border {
  readonly peer: SessionKey;
  readonly taken: string;
  readonly given: string;
}

export interface SharePorts {
  readonly signer: SessionSigner;
  /** Of all that the signer signs. */
  readonly chain: ReceiptChain;
  readonly network: string;
  readonly runId: string;
  readonly stage: number;
  /** In one micro-batch, and the plan's operations for it. */
  readonly tokens: number;
  readonly flops: number;
  readonly send: (to: SessionKey, message: ReceiptRequest | CounterSignature) => void;
  readonly earned: (receipt: SignedReceipt) => void;
  /** Unix milliseconds. */
  readonly now: () => number;
}

interface Asked {
  readonly body: ReceiptBody;
  readonly share: ReceiptShare;
  readonly workerSignature: string;
  readonly signatures: (string | null)[];
}

/** Peers may be one step behind with what they ask. */
const KEPT_STEPS = 3;
/** Requests that wait until this replica has taken their step, too. */
const WAITING_REQUESTS = 2 * MOST_SHARE_PEERS;

/** The receipts of one replica: those it earns and those it counter-signs for its neighbours. */
export class ShareReceipts {
  readonly #ports: SharePorts;
  /** What this replica has counted of the last steps. */
  readonly #steps = new Map<number, ReadonlyMap<number, Crossed>>();
  /** Asked for and not answered by all, by id. */
  readonly #asked = new Map<string, Asked>();
  #requests: { readonly from: SessionKey; readonly request: ReceiptRequest }[] = [];
  #watchers: (() => void)[] = [];

  constructor(ports: SharePorts) {
    this.#ports = ports;
  }

  /** Nothing is waited for. */
  get isQuiet(): boolean {
    return this.#asked.size === 0;
  }

  /**
   * The step is taken, with these micro-batches of ours in it: its receipt is signed, and those who used
   * the work are asked. `link`: of the stage's chain before the step. Gives the receipt's id, null when
   * there is none.
   */
  taken(step: number, link: string, crossed: ReadonlyMap<number, Crossed>): string | null {
    this.#steps.set(step, crossed);
    for (const old of this.#steps.keys()) if (old <= step - KEPT_STEPS) this.#steps.delete(old);
    this.#answerRequests();
    const peers = peersOf(crossed);
    // A stage that is the whole model has no peer to vouch for it.
    if (peers.length === 0) return null;
    const { signer, chain, network, runId, stage, tokens, flops, now, send } = this.#ports;
    const share: ReceiptShare = { microBatches: setOfMicroBatches(crossed.keys()), peers };
    const body: ReceiptBody = {
      network,
      runId,
      stage,
      step,
      microBatches: crossed.size,
      tokens: tokens * crossed.size,
      flops,
      worker: signer.publicKey,
      previous: null,
      next: null,
      x: null,
      dy: null,
      y: null,
      dx: null,
      link,
      finishedAt: now(),
      chain: chain.next(),
      share,
    };
    const text = receiptText(body);
    const id = sha256(text);
    const workerSignature = signer.sign(text);
    chain.signed(id);
    this.#asked.set(id, { body, share, workerSignature, signatures: peers.map(() => null) });
    for (const to of new Set(peers.map(({ key }) => key)))
      send(to, { type: "receipt", body, workerSignature });
    return id;
  }

  /** A peer asks us to counter-sign. We do when we have used exactly what it names; a wrong one gets no answer. */
  asked(from: SessionKey, request: ReceiptRequest): void {
    const { network, runId, tokens, flops } = this.#ports;
    const { body, workerSignature } = request;
    const isRight =
      body.worker === from &&
      body.network === network &&
      body.runId === runId &&
      body.tokens === tokens * body.microBatches &&
      body.share !== undefined &&
      flops > 0;
    // SECURITY: only about its own work, and with a size that is the run's.
    if (!isRight || !verifySession(body.worker, receiptText(body), workerSignature)) return;
    if (this.#requests.length >= WAITING_REQUESTS) this.#requests.shift();
    this.#requests.push({ from, request });
    this.#answerRequests();
  }

  counterSigned(from: SessionKey, { receiptId, signature }: CounterSignature): void {
    const waiting = this.#asked.get(receiptId);
    if (waiting === undefined || !verifySession(from, receiptText(waiting.body), signature)) return;
    for (const [at, { key }] of waiting.share.peers.entries())
      if (key === from) waiting.signatures[at] = signature;
    if (waiting.signatures.every((each) => each !== null)) this.giveUp(receiptId);
  }

  /** There is a link to it (again): what it may not have heard, or we not have heard of it, is asked again. */
  linked(peer: SessionKey): void {
    for (const { body, workerSignature, share, signatures } of this.#asked.values())
      if (share.peers.some(({ key }, at) => key === peer && signatures[at] === null))
        this.#ports.send(peer, { type: "receipt", body, workerSignature });
  }

  /** Waits no longer for who has not answered: with no signature at all the receipt is worth nothing. */
  giveUp(id: string): void {
    const asked = this.#asked.get(id);
    if (!this.#asked.delete(id) || asked === undefined) return;
    const { body, workerSignature, signatures } = asked;
    if (signatures.some((signature) => signature !== null))
      this.#ports.earned({
        body,
        workerSignature,
        previousSignature: null,
        nextSignature: null,
        peerSignatures: signatures,
      });
    if (this.isQuiet) for (const watcher of this.#watchers.splice(0)) watcher();
  }

  giveUpAll(): void {
    for (const id of this.#asked.keys()) this.giveUp(id);
  }

  /** Resolves when nothing is waited for. */
  async quiet(): Promise<void> {
    if (!this.isQuiet) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  #answerRequests(): void {
    const newest = Math.max(-1, ...this.#steps.keys());
    this.#requests = this.#requests.filter(({ from, request: { body } }) => {
      const ours = this.#steps.get(body.step);
      if (ours === undefined) return body.step > newest;
      if (this.#isUsed(from, body, ours)) {
        const text = receiptText(body);
        const signature = this.#ports.signer.sign(text);
        this.#ports.send(from, { type: "counterSignature", receiptId: sha256(text), signature });
      }
      return false;
    });
  }

  /** What it names as taken from us and given to us is what we have given and taken. */
  #isUsed(from: SessionKey, { stage, share }: ReceiptBody, ours: ReadonlyMap<number, Crossed>): boolean {
    const own = this.#ports.signer.publicKey;
    const parts = share?.peers.filter(({ key }) => key === own) ?? [];
    return (
      parts.length > 0 &&
      parts.every(({ side, microBatches, taken, given }) => {
        // We are on that side of it, so it is on the other side of us.
        const isBeside = stage === (side === "next" ? this.#ports.stage - 1 : this.#ports.stage + 1);
        const borders = microBatchesOf(microBatches).map(
          (at) => ours.get(at)?.[side === "next" ? "previous" : "next"] ?? null,
        );
        const known = borders.filter((border) => border !== null);
        return (
          isBeside &&
          known.length === borders.length &&
          known.every(({ peer }) => peer === from) &&
          tensorsDigest(known.map((border) => border.given)) === taken &&
          tensorsDigest(known.map((border) => border.taken)) === given
        );
      })
    );
  }
}

/** Who used the work: a line for each peer of each side, those of `next` first where there are too many. */
function peersOf(crossed: ReadonlyMap<number, Crossed>): ReceiptShare["peers"] {
  const lines = (side: Neighbour): ReceiptShare["peers"] => {
    const parts = new Map<SessionKey, Map<number, Border>>();
    for (const at of [...crossed.keys()].sort((a, b) => a - b)) {
      const border = crossed.get(at)?.[side] ?? null;
      if (border === null) continue;
      parts.set(border.peer, (parts.get(border.peer) ?? new Map<number, Border>()).set(at, border));
    }
    return [...parts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, borders]) => ({
        side,
        key,
        microBatches: setOfMicroBatches(borders.keys()),
        taken: tensorsDigest([...borders.values()].map(({ taken }) => taken)),
        given: tensorsDigest([...borders.values()].map(({ given }) => given)),
      }));
  };
  return NEIGHBOURS.toReversed().flatMap(lines).slice(0, MOST_SHARE_PEERS);
}
