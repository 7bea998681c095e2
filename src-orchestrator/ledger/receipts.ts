import type { Arithmetic } from "../../src-protocol/arithmetic.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { areApartWithin, isWithin, microBatchesOf } from "../../src-protocol/micro-batch-set.ts";
import type { MicroBatchSet } from "../../src-protocol/micro-batch-set.ts";
import { NEIGHBOURS, receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptShare, SignedReceipt } from "../../src-protocol/receipt.ts";
import { verifySession, verifySessionAside } from "../../src-protocol/signing.ts";

/** Why a receipt is refused for good. The code goes back to the node that sent it. */
export type ReceiptRefusal =
  | "other-network"
  | "unknown-run"
  | "unknown-stage"
  | "beyond-run"
  | "wrong-micro-batches"
  | "wrong-tokens"
  | "wrong-flops"
  | "wrong-digests"
  | "own-counter-signature"
  | "no-counter-signature"
  | "forged-worker-signature"
  | "forged-peer-signature"
  | "not-assigned"
  | "not-finished"
  | "not-counted"
  | "peer-not-neighbour"
  | "already-paid";

/** One time that a session held a stage: the steps it can have worked on then. */
export interface Tenure {
  readonly generation: number;
  readonly stage: number;
  readonly hotkey: Ss58Address;
  /** Whom the hotkey is paid to. */
  readonly owner: Ss58Address;
  readonly resumeStep: number;
  /** All stages took the steps below this one. */
  readonly finishedStep: number;
  /** Milliseconds that those steps took. */
  readonly elapsedMs: number;
  /** Its stages had replicas: a step is paid by what it has counted for each. */
  readonly isShared: boolean;
  /** This pipeline is the one at work: what is not finished may still be. */
  readonly isLive: boolean;
}

/**
 * No computer of a class does more in a second, in float32: 64 cores of AVX-512 in `exact`, which is of
 * processors only, a data centre's graphics card in `fast`. SECURITY: who signs for work without
 * doing it is paid for no more than the fastest could have done; audits have to find the rest.
 */
const MOST_FLOPS_PER_SECOND: Readonly<Record<Arithmetic, number>> = { exact: 1e13, fast: 1e14 };

/** The least time that a node can take for so many operations, in milliseconds. */
export function leastStepMs(arithmetic: Arithmetic, flops: number): number {
  return (flops * 1000) / MOST_FLOPS_PER_SECOND[arithmetic];
}

/** What the receipt says by itself, as far as reading is enough. `flops`: the plan's, of a micro-batch of each stage. */
export function formRefusal(
  receipt: SignedReceipt,
  network: string,
  run: RunSpec,
  flops: readonly number[],
): ReceiptRefusal | null {
  const { body } = receipt;
  if (body.network !== network) return "other-network";
  if (body.runId !== run.runId) return "unknown-run";
  if (body.stage >= run.stages || run.stages < 2) return "unknown-stage";
  if (run.steps !== null && body.step >= run.steps) return "beyond-run";
  if (body.share === undefined && body.microBatches !== run.microBatches) return "wrong-micro-batches";
  if (body.tokens !== run.batch * run.sequence * body.microBatches) return "wrong-tokens";
  if (body.flops !== flops[body.stage]) return "wrong-flops";
  if (body.share !== undefined) return shareRefusal(receipt, body.share, run);
  if (receipt.peerSignatures !== undefined) return "wrong-digests";
  const [isHead, isTail] = [body.stage === 0, body.stage === run.stages - 1];
  const isMissing = (value: string | null, isEnd: boolean): boolean => (value === null) !== isEnd;
  if ([body.previous, body.x, body.dx].some((value) => isMissing(value, isHead))) return "wrong-digests";
  if ([body.next, body.y, body.dy].some((value) => isMissing(value, isTail))) return "wrong-digests";
  if (body.worker === body.previous || body.worker === body.next) return "own-counter-signature";
  if (NEIGHBOURS.every((side) => receipt[`${side}Signature`] === null)) return "no-counter-signature";
  return null;
}

function shareRefusal(
  { body, previousSignature, nextSignature, peerSignatures = [] }: SignedReceipt,
  { microBatches, peers }: ReceiptShare,
  run: RunSpec,
): ReceiptRefusal | null {
  const numbers = microBatchesOf(microBatches);
  if (numbers.length !== body.microBatches || (numbers.at(-1) ?? 0) >= run.microBatches)
    return "wrong-micro-batches";
  const ofWhole = [body.previous, body.next, body.x, body.dy, body.y, body.dx];
  if ([...ofWhole, previousSignature, nextSignature].some((value) => value !== null)) return "wrong-digests";
  const ends = { previous: body.stage === 0, next: body.stage === run.stages - 1 };
  if (peers.some(({ key }) => key === body.worker)) return "own-counter-signature";
  for (const side of NEIGHBOURS) {
    const its = peers.filter((peer) => peer.side === side);
    if (ends[side] && its.length > 0) return "wrong-digests";
    if (new Set(its.map(({ key }) => key)).size < its.length) return "wrong-digests";
    // SECURITY: whoever sends it may have no part in the run, so it is little work, however many are named.
    if (
      !areApartWithin(
        its.map((peer) => peer.microBatches),
        numbers,
      )
    )
      return "wrong-digests";
  }
  if (peerSignatures.length !== peers.length) return "wrong-digests";
  return peerSignatures.every((signature) => signature === null) ? "no-counter-signature" : null;
}

interface GivenSignature {
  readonly key: SessionKey | null;
  readonly signature: string;
  readonly ifForged: ReceiptRefusal;
}

function signaturesOf({ body, workerSignature, ...signed }: SignedReceipt): GivenSignature[] {
  const by = (key: SessionKey | null, signature: string | null): GivenSignature[] =>
    signature === null ? [] : [{ key, signature, ifForged: "forged-peer-signature" }];
  return [
    { key: body.worker, signature: workerSignature, ifForged: "forged-worker-signature" },
    ...NEIGHBOURS.flatMap((side) => by(body[side], signed[`${side}Signature`])),
    ...(body.share?.peers ?? []).flatMap(({ key }, at) => by(key, signed.peerSignatures?.[at] ?? null)),
  ];
}

/** That all who signed signed exactly this text: dear, so it comes last. */
export function signatureRefusal(receipt: SignedReceipt): ReceiptRefusal | null {
  const text = receiptText(receipt.body);
  const forged = signaturesOf(receipt).find(
    ({ key, signature }) => key === null || !verifySession(key, text, signature),
  );
  return forged?.ifForged ?? null;
}

/**
 * The same on other threads, so that heartbeats go between and the book is written meanwhile.
 *
 * @param text of the receipt: `receiptText`
 */
export async function signatureRefusalAside(
  receipt: SignedReceipt,
  text: string,
): Promise<ReceiptRefusal | null> {
  const given = signaturesOf(receipt);
  const right = await Promise.all(
    given.map(({ key, signature }) => key !== null && verifySessionAside(key, text, signature)),
  );
  return given[right.indexOf(false)]?.ifForged ?? null;
}

export type Tenant =
  | { readonly hotkey: Ss58Address }
  | { readonly refusal: ReceiptRefusal }
  /** The step is not finished yet, or not as much time has passed as it takes at least. */
  | "early";

/**
 * Whom the receipt pays: worker and peers must have been neighbours in one pipeline that finished this
 * step, and one who signed must be of another owner.
 *
 * @param leastMs that the stage takes for a step: see `leastStepMs`
 */
export function tenant(
  { body, ...signed }: SignedReceipt,
  leastMs: number,
  tenures: (key: SessionKey) => readonly Tenure[],
): Tenant {
  const { stage, step, worker } = body;
  const all = tenures(worker).filter((at) => at.stage === stage && step >= at.resumeStep);
  if (all.length === 0) return { refusal: "not-assigned" };
  // SECURITY: one of many replicas could claim what all of them did.
  const held = all.filter(({ isShared }) => !isShared);
  if (held.length === 0) return { refusal: "not-counted" };
  const done = held.filter((at) => step < paidBelow(at, leastMs));
  if (done.length === 0) return held.some(({ isLive }) => isLive) ? "early" : { refusal: "not-finished" };
  const sides = NEIGHBOURS.filter((side) => body[side] !== null);
  for (const at of done) {
    const peers = sides.map((side) => ({
      signature: signed[`${side}Signature`],
      tenure: tenures(body[side] ?? worker).find(
        (other) =>
          other.generation === at.generation && other.stage === (side === "next" ? stage + 1 : stage - 1),
      ),
    }));
    if (peers.some(({ tenure }) => tenure === undefined)) continue;
    // SECURITY: one owner with two machines side by side could sign for work that nobody did.
    const isVouched = peers.some(
      ({ signature, tenure }) =>
        signature !== null && tenure?.owner !== at.owner && tenure?.hotkey !== at.hotkey,
    );
    return isVouched ? { hotkey: at.hotkey } : { refusal: "own-counter-signature" };
  }
  return { refusal: "peer-not-neighbour" };
}

/** What the committed step has counted for one replica of a stage. */
export interface CountedShare {
  readonly generation: number;
  readonly stage: number;
  readonly worker: SessionKey;
  readonly microBatches: MicroBatchSet;
}

/**
 * Whom a share pays, and with which of its counter-signatures: those of peers of other owners, for whom the
 * same step has counted on their stage what they say they have used. `hasOwn`: a signature of the same owner does not.
 *
 * @param leastMs that the node takes for its share: see `leastStepMs`
 * @param counted of this step, on this stage and those beside it
 */
export function shareTenant(
  { body, peerSignatures = [] }: SignedReceipt,
  leastMs: number,
  counted: readonly CountedShare[],
  tenures: (key: SessionKey) => readonly Tenure[],
):
  | Exclude<Tenant, { hotkey: unknown }>
  | { readonly hotkey: Ss58Address; readonly signatures: Vouches; readonly hasOwn: boolean } {
  const { stage, step, worker, share } = body;
  const rows = counted.filter((row) => row.stage === stage && row.worker === worker);
  if (rows.length === 0) {
    const held = tenures(worker).filter((at) => at.stage === stage && step >= at.resumeStep);
    if (held.length === 0) return { refusal: "not-assigned" };
    return held.some(({ isLive, finishedStep }) => isLive && step >= finishedStep)
      ? "early"
      : { refusal: "not-counted" };
  }
  const own = rows.filter(({ microBatches }) => microBatches === share?.microBatches);
  let refusal: ReceiptRefusal = own.length === 0 ? "not-counted" : "not-assigned";
  for (const { generation } of own) {
    const at = tenures(worker).find((tenure) => tenure.generation === generation);
    if (at === undefined) continue;
    const isTooSoon = step >= paidBelow({ ...at, finishedStep: Infinity }, leastMs);
    if (isTooSoon && at.isLive) return "early";
    refusal = isTooSoon ? "not-finished" : "peer-not-neighbour";
    if (isTooSoon) continue;
    let hasOwn = false;
    const signatures = (share?.peers ?? []).map((peer, index) => {
      const used = counted.find(
        (row) =>
          row.generation === generation &&
          row.worker === peer.key &&
          row.stage === (peer.side === "next" ? stage + 1 : stage - 1),
      );
      const its = tenures(peer.key).find((tenure) => tenure.generation === generation);
      const signature = peerSignatures[index] ?? null;
      if (used === undefined || its === undefined || signature === null) return null;
      if (!isWithin(peer.microBatches, used.microBatches)) return null;
      // SECURITY: as for `tenant`: who owns both could sign for work that nobody did.
      const isOwn = its.owner === at.owner || its.hotkey === at.hotkey;
      hasOwn ||= isOwn;
      return isOwn ? null : signature;
    });
    if (signatures.some((signature) => signature !== null)) return { hotkey: at.hotkey, signatures, hasOwn };
    if (hasOwn) refusal = "own-counter-signature";
  }
  return { refusal };
}

export type Vouches = readonly (string | null)[];

/** Steps below this one count: finished, and in no less time than they take. */
function paidBelow({ resumeStep, finishedStep, elapsedMs }: Tenure, leastMs: number): number {
  return Math.min(finishedStep, leastMs === 0 ? Infinity : resumeStep + Math.floor(elapsedMs / leastMs));
}

const FLOPS_PER_TERAFLOP = 1_000_000_000_000n;

/** Pay for one step of a stage, in whole rao, rounded down: FLOPs are the plan's, never the receipt's. */
export function priceRao(flops: number, microBatches: number, raoPerTeraflop: bigint): bigint {
  return (BigInt(flops) * BigInt(microBatches) * raoPerTeraflop) / FLOPS_PER_TERAFLOP;
}
