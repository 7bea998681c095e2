import type { Arithmetic } from "../../src-protocol/arithmetic.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { NEIGHBOURS, receiptText } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { verifySession } from "../../src-protocol/signing.ts";

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
  /** This pipeline is the one at work: what is not finished may still be. */
  readonly isLive: boolean;
}

/**
 * No computer of a class does more in a second, in float32: 64 cores of AVX-512 in `exact`, which is of
 * processors only, a data centre's graphics card in `fast`. SECURITY: who signs for work without
 * doing it is paid for no more than the fastest could have done; audits have to find the rest.
 */
const MOST_FLOPS_PER_SECOND: Readonly<Record<Arithmetic, number>> = { exact: 1e13, fast: 1e14 };

/** The least time that a stage can take for a step, in milliseconds. */
export function leastStepMs({ arithmetic, microBatches }: RunSpec, flops: number): number {
  return (flops * microBatches * 1000) / MOST_FLOPS_PER_SECOND[arithmetic];
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
  if (body.microBatches !== run.microBatches) return "wrong-micro-batches";
  if (body.tokens !== run.batch * run.sequence * run.microBatches) return "wrong-tokens";
  if (body.flops !== flops[body.stage]) return "wrong-flops";
  const [isHead, isTail] = [body.stage === 0, body.stage === run.stages - 1];
  const isMissing = (value: string | null, isEnd: boolean): boolean => (value === null) !== isEnd;
  if ([body.previous, body.x, body.dx].some((value) => isMissing(value, isHead))) return "wrong-digests";
  if ([body.next, body.y, body.dy].some((value) => isMissing(value, isTail))) return "wrong-digests";
  if (body.worker === body.previous || body.worker === body.next) return "own-counter-signature";
  if (NEIGHBOURS.every((side) => receipt[`${side}Signature`] === null)) return "no-counter-signature";
  return null;
}

/** That all who signed signed exactly this text: dear, so it comes last. */
export function signatureRefusal({ body, workerSignature, ...signed }: SignedReceipt): ReceiptRefusal | null {
  const text = receiptText(body);
  if (!verifySession(body.worker, text, workerSignature)) return "forged-worker-signature";
  for (const side of NEIGHBOURS) {
    const [key, signature] = [body[side], signed[`${side}Signature`]];
    if (signature !== null && (key === null || !verifySession(key, text, signature)))
      return "forged-peer-signature";
  }
  return null;
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
  const held = tenures(worker).filter((at) => at.stage === stage && step >= at.resumeStep);
  if (held.length === 0) return { refusal: "not-assigned" };
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

/** Steps below this one count: finished, and in no less time than they take. */
function paidBelow({ resumeStep, finishedStep, elapsedMs }: Tenure, leastMs: number): number {
  return Math.min(finishedStep, leastMs === 0 ? Infinity : resumeStep + Math.floor(elapsedMs / leastMs));
}

const FLOPS_PER_TERAFLOP = 1_000_000_000_000n;

/** Pay for one step of a stage, in whole rao, rounded down: FLOPs are the plan's, never the receipt's. */
export function priceRao(flops: number, microBatches: number, raoPerTeraflop: bigint): bigint {
  return (BigInt(flops) * BigInt(microBatches) * raoPerTeraflop) / FLOPS_PER_TERAFLOP;
}
