import { canonicalJson } from "../../src-protocol/canonical.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { NODE_MESSAGE_LIMIT_BYTES } from "../../src-protocol/control.ts";
import { microBatchesOf, setOfMicroBatches } from "../../src-protocol/micro-batch-set.ts";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import { MOST_SHARE_PEERS, receiptText } from "../../src-protocol/receipt.ts";
import type {
  Neighbour,
  ReceiptBody,
  ReceiptChain,
  ReceiptShare,
  SignedReceipt,
} from "../../src-protocol/receipt.ts";
import { sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { afterAwake } from "../pipeline/awake-timer.ts";
import { UsedWork } from "./used-work.ts";
import type { Border, CounterSignature, Crossed, ReceiptRequest, WorkPlace } from "./used-work.ts";

export interface SharePorts {
  readonly signer: SessionSigner;
  /** Of all that the signer signs. */
  readonly chain: ReceiptChain;
  readonly network: string;
  /** What is lost with a link is asked for again. */
  readonly send: (to: SessionKey, message: ReceiptRequest | CounterSignature) => void;
  /** On disk, with the signatures that are there: its step may be finished any moment now, or be opened again. */
  readonly keep: (receipt: SignedReceipt) => Promise<void>;
  /** What was kept is worth nothing. */
  readonly forget: (id: string) => void;
  /** `isSure`: its step was taken; else only the network knows whether it was. Never rejects. */
  readonly earned: (receipt: SignedReceipt, isSure: boolean) => Promise<void>;
  /** Unix milliseconds. */
  readonly now: () => number;
}

interface Own {
  readonly body: ReceiptBody;
  readonly share: ReceiptShare;
  readonly workerSignature: string;
  readonly signatures: (string | null)[];
  /** `open`: its step may be opened again. `due`: its peers are waited for; `late`: not any more, but they may still sign. */
  phase: "open" | "due" | "late";
  isSure: boolean;
  /** Those who are waited for have signed, or have taken too long. */
  readonly sealed: PromiseWithResolvers<void>;
  endWait: () => void;
}

/** A step's end waits so long for a peer's signature, once: who let it wait, or was lost, is not waited for before it has signed again. */
const SEALED_WITHIN_MS = 1_000;
/** Of a step that was taken: peers are asked so often, so long after one another, before what one of them has not signed is unpaid. */
const ASKS = 3;
const ASK_AGAIN_MS = 2_000;
/** Of peers of a stage there are never so many. */
const MOST_SLOW = 256;
/** Of those that nobody has signed; and of steps so far back nothing is paid any more. */
const MOST_LATE = 256;
const LATE_STEPS = 2_000;
/** A receipt is a message, to peers and with their signatures to the network. Of that its lines have what its set and the rest leave. */
const LINES_BYTES = NODE_MESSAGE_LIMIT_BYTES - MOST_MICRO_BATCHES / 4 - 2_048;
/** With what is between them. */
const SIGNATURE_BYTES = 132;

/**
 * The receipts of a replica, over all its generations. It signs one when all of a step is counted and asks those
 * who used the work, so that their signatures are here and on disk before anybody takes the step: whoever is lost
 * after that has been paid for it, and so has whoever worked with it.
 */
export class ShareReceipts {
  readonly #ports: SharePorts;
  readonly #used: UsedWork;
  /** By id. */
  readonly #own = new Map<string, Own>();
  readonly #slow = new Set<SessionKey>();
  readonly #storing = new Set<Promise<void>>();
  #watchers: (() => void)[] = [];

  constructor(ports: SharePorts) {
    this.#ports = ports;
    this.#used = new UsedWork(ports.signer, ports.network, ports.send);
  }

  /** Signed by a process before this one, and not known to be earned: its peers are asked when they are linked. */
  restore(receipts: readonly SignedReceipt[]): void {
    for (const { body, workerSignature, peerSignatures = [] } of receipts) {
      if (body.share === undefined) continue;
      const { share } = body;
      const signatures = share.peers.map((_, at) => peerSignatures[at] ?? null);
      const id = sha256(receiptText(body));
      this.#own.set(id, { body, share, workerSignature, signatures, ...fresh() });
      this.#due(id, false);
    }
  }

  /**
   * All of the step is counted, these micro-batches of it here: the receipt is signed, and those who used the
   * work are asked. Resolves when it is on disk with their signatures, or with those that came in time. What was
   * said of the same step before is void. `link`: of the stage's chain before the step.
   */
  async counted(place: WorkPlace, link: string, crossed: ReadonlyMap<number, Crossed>): Promise<void> {
    this.#used.counted(place, crossed);
    const peers = peersOf(crossed);
    const share: ReceiptShare = { microBatches: setOfMicroBatches(crossed.keys()), peers };
    const text = canonicalJson(share);
    let same: string | null = null;
    for (const [id, { phase, body, share: its }] of this.#own) {
      if (phase !== "open") continue;
      const isSame = body.step === place.step && body.stage === place.stage && body.runId === place.runId;
      if (isSame && body.link === link && canonicalJson(its) === text) same = id;
      else this.#void(id);
    }
    // A stage that is the whole model has no peer to vouch for it.
    if (peers.length === 0) return;
    const id = same ?? this.#signed(place, link, crossed.size, share);
    const own = this.#own.get(id);
    if (own === undefined) return;
    this.#ask(own);
    this.#look(own);
    await own.sealed.promise;
    if (this.#own.get(id) === own) await this.#ports.keep(receiptOf(own));
  }

  /** Nothing of the step is opened again any more. */
  taken(step: number): void {
    this.#used.taken(step);
    for (const [id, { phase, body }] of this.#own)
      if (phase === "open" && body.step === step) this.#due(id, true);
      else if (phase === "late" && body.step < step - LATE_STEPS) this.#void(id);
  }

  /** The work has ended, and whether the step was taken is not known here: the network knows. */
  left(): void {
    for (const [id, { phase }] of this.#own) if (phase === "open") this.#due(id, false);
  }

  asked(from: SessionKey, request: ReceiptRequest): void {
    this.#used.asked(from, request);
  }

  counterSigned(from: SessionKey, { receiptId, signature }: CounterSignature): void {
    const own = this.#own.get(receiptId);
    if (own === undefined || !verifySession(from, receiptText(own.body), signature)) return;
    this.#slow.delete(from);
    for (const [at, { key }] of own.share.peers.entries()) if (key === from) own.signatures[at] = signature;
    if (own.phase === "open") return this.#look(own);
    if (isWhole(own)) return this.#earn(receiptId, own);
    if (own.phase === "late") this.#await(receiptId, own, ASKS);
  }

  /** Others do its part of the step now: it may be dead, and nobody waits for what it may still sign. */
  lost(peer: SessionKey): void {
    this.#notWaitedFor(peer);
    for (const own of this.#own.values()) if (own.phase === "open") this.#look(own);
  }

  /** There is a link to it (again): what it may not have heard, or we not have heard of it, is asked again. */
  linked(peer: SessionKey): void {
    for (const own of this.#own.values()) this.#ask(own, peer);
  }

  /** Resolves when nobody is waited for, after so long at most; what somebody has signed is earned and stored then. */
  async settle(withinMs: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const end = afterAwake(withinMs, over.resolve);
    while (this.#isWaiting) {
      const moved = new Promise<boolean>((resolve) => this.#watchers.push(() => resolve(false)));
      if (await Promise.race([over.promise.then(() => true), moved])) break;
    }
    end();
    for (const [id, own] of this.#own) if (own.phase === "due") this.#giveUp(id, own);
    await Promise.all(this.#storing);
  }

  get #isWaiting(): boolean {
    return [...this.#own.values()].some(({ phase }) => phase === "due");
  }

  #signed(place: WorkPlace, link: string, microBatches: number, share: ReceiptShare): string {
    const { signer, chain, network, now } = this.#ports;
    const { runId, stage, step, tokens, flops } = place;
    const body: ReceiptBody = {
      network,
      runId,
      stage,
      step,
      microBatches,
      tokens: tokens * microBatches,
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
    const own: Own = {
      body,
      share,
      workerSignature: signer.sign(text),
      signatures: share.peers.map(() => null),
      ...fresh(),
    };
    chain.signed(id);
    this.#own.set(id, own);
    own.endWait = afterAwake(SEALED_WITHIN_MS, () => {
      for (const key of lacking(own)) this.#notWaitedFor(key);
      own.sealed.resolve();
    });
    return id;
  }

  /** Those who have not signed; `only`: nobody else. */
  #ask(own: Own, only: SessionKey | null = null): void {
    const { body, workerSignature } = own;
    for (const to of lacking(own))
      if (only === null || to === only) this.#ports.send(to, { type: "receipt", body, workerSignature });
  }

  #notWaitedFor(peer: SessionKey): void {
    this.#slow.add(peer);
    // Whoever is killed is another one each time.
    for (const oldest of [...this.#slow].slice(0, -MOST_SLOW)) this.#slow.delete(oldest);
  }

  #look(own: Own): void {
    if (![...lacking(own)].every((key) => this.#slow.has(key))) return;
    own.endWait();
    own.sealed.resolve();
  }

  #void(id: string): void {
    const own = this.#own.get(id);
    this.#own.delete(id);
    own?.endWait();
    own?.sealed.resolve();
    this.#ports.forget(id);
  }

  #due(id: string, isSure: boolean): void {
    const own = this.#own.get(id);
    if (own === undefined) return;
    own.isSure = isSure;
    own.endWait();
    own.sealed.resolve();
    if (isWhole(own)) this.#earn(id, own);
    else this.#await(id, own, ASKS);
  }

  #await(id: string, own: Own, asks: number): void {
    own.phase = "due";
    own.endWait();
    own.endWait = afterAwake(ASK_AGAIN_MS, () => {
      if (asks === 1) return this.#giveUp(id, own);
      this.#ask(own);
      this.#await(id, own, asks - 1);
    });
  }

  /** Waits no longer for who has not answered. What nobody has signed stays: one of them may be away for long. */
  #giveUp(id: string, own: Own): void {
    own.endWait();
    if (own.signatures.some((signature) => signature !== null)) return this.#earn(id, own);
    own.phase = "late";
    const late = [...this.#own].filter(([, { phase }]) => phase === "late");
    for (const [old] of late.slice(0, -MOST_LATE)) this.#void(old);
    this.#moved();
  }

  #earn(id: string, own: Own): void {
    own.endWait();
    this.#own.delete(id);
    const stored = this.#ports.earned(receiptOf(own), own.isSure).finally(() => this.#storing.delete(stored));
    this.#storing.add(stored);
    this.#moved();
  }

  #moved(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

function fresh(): Pick<Own, "phase" | "isSure" | "sealed" | "endWait"> {
  return { phase: "open", isSure: false, sealed: Promise.withResolvers(), endWait: () => undefined };
}

function isWhole({ signatures }: Own): boolean {
  return signatures.every((signature) => signature !== null);
}

function lacking({ share, signatures }: Own): Set<SessionKey> {
  return new Set(share.peers.flatMap(({ key }, at) => (signatures[at] === null ? [key] : [])));
}

function receiptOf({ body, workerSignature, signatures }: Own): SignedReceipt {
  return {
    body,
    workerSignature,
    previousSignature: null,
    nextSignature: null,
    peerSignatures: [...signatures],
  };
}

/** Who used the work: a line for each peer of each side, as many of them as a receipt can have. */
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
  const [previous, next] = [lines("previous"), lines("next")];
  const all = [...next, ...previous];
  const first = fitting(all);
  if (first.size === all.length) return all;
  // One computer that does what dozens do beside it has long lines. Each side alone may vouch for all of it.
  const second = fitting([...previous, ...next]);
  const most = usedOf(second) > usedOf(first) ? second : first;
  return all.filter((line) => most.has(line));
}

type Line = ReceiptShare["peers"][number];

/** In this order. */
function fitting(lines: readonly Line[]): ReadonlySet<Line> {
  const fits = new Set<Line>();
  let room = LINES_BYTES;
  for (const line of lines) {
    const bytes = JSON.stringify(line).length + SIGNATURE_BYTES;
    if (bytes > room || fits.size === MOST_SHARE_PEERS) continue;
    fits.add(line);
    room -= bytes;
  }
  return fits;
}

/** So many micro-batches somebody of them has used. */
function usedOf(lines: ReadonlySet<Line>): number {
  return new Set([...lines].flatMap(({ microBatches }) => microBatchesOf(microBatches))).size;
}
