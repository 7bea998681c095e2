import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { verifySession } from "../../src-protocol/signing.ts";

/** Why a receipt is refused for good. The code goes back to the node that sent it. */
export type ReceiptRefusal =
  | "other-network"
  | "unknown-run"
  | "unknown-stage"
  | "unknown-micro-batch"
  | "beyond-run"
  | "wrong-tokens"
  | "wrong-input"
  | "own-counter-signature"
  | "forged-worker-signature"
  | "forged-consumer-signature"
  | "not-assigned"
  | "consumer-not-neighbour"
  | "already-paid";

/** One time that a session held a stage: the steps it can have worked on then. */
export interface Tenure {
  readonly generation: number;
  readonly stage: number;
  readonly hotkey: Ss58Address;
  /** Whom the hotkey is paid to. */
  readonly owner: Ss58Address;
  readonly resumeStep: number;
  /** Below `resumeStep` when nothing was granted. */
  readonly grantedStep: number;
  /** The orchestrator has started again since. */
  readonly ofEarlierLife: boolean;
}

/**
 * After a crash the stored mark of the last grant can be behind by the grants of the last commit:
 * two, because grants go one step ahead. SECURITY: while the orchestrator lives, the mark is exact,
 * so nothing is paid for a step that was not granted.
 */
const GRANT_LAG_STEPS = 2;

/** What the receipt says by itself, as far as reading is enough. */
export function formRefusal({ body }: SignedReceipt, network: string, run: RunSpec): ReceiptRefusal | null {
  if (body.network !== network) return "other-network";
  if (body.runId !== run.runId) return "unknown-run";
  if (body.stage >= run.stages || run.stages < 2) return "unknown-stage";
  if (body.microBatch >= run.microBatches) return "unknown-micro-batch";
  if (run.steps !== null && body.step >= run.steps) return "beyond-run";
  if (body.tokens !== run.batch * run.sequence) return "wrong-tokens";
  if ((body.inputSha256 === null) !== (body.stage === 0)) return "wrong-input";
  if (body.worker === body.consumer) return "own-counter-signature";
  return null;
}

/** That both signed exactly this text: dear, so it comes last. */
export function signatureRefusal({
  body,
  workerSignature,
  consumerSignature,
}: SignedReceipt): ReceiptRefusal | null {
  const text = receiptText(body);
  if (!verifySession(body.worker, text, workerSignature)) return "forged-worker-signature";
  if (!verifySession(body.consumer, text, consumerSignature)) return "forged-consumer-signature";
  return null;
}

export type Tenant = { readonly hotkey: Ss58Address } | { readonly refusal: ReceiptRefusal };

/** Whom the receipt pays: worker and consumer must have been neighbours in one pipeline that was granted this step. */
export function tenant(
  { stage, step, worker, consumer }: SignedReceipt["body"],
  tenures: (key: SessionKey) => readonly Tenure[],
): Tenant {
  const couldWork = (at: Tenure): boolean =>
    step >= at.resumeStep && step <= at.grantedStep + (at.ofEarlierLife ? GRANT_LAG_STEPS : 0);
  const mine = tenures(worker).filter((at) => at.stage === stage && couldWork(at));
  if (mine.length === 0) return { refusal: "not-assigned" };
  const neighbour = stage === 0 ? 1 : stage - 1;
  const theirs = tenures(consumer).filter((at) => at.stage === neighbour);
  for (const at of mine) {
    const other = theirs.find(({ generation }) => generation === at.generation);
    if (other === undefined) continue;
    // SECURITY: one owner with two machines side by side could sign for work that nobody did.
    return other.owner === at.owner || other.hotkey === at.hotkey
      ? { refusal: "own-counter-signature" }
      : { hotkey: at.hotkey };
  }
  return { refusal: "consumer-not-neighbour" };
}

const FLOPS_PER_TERAFLOP = 1_000_000_000_000n;

/** Pay for one micro-batch of a stage, in whole rao, rounded down: FLOPs are the plan's, never the receipt's. */
export function priceRao(flops: number, raoPerTeraflop: bigint): bigint {
  return (BigInt(flops) * raoPerTeraflop) / FLOPS_PER_TERAFLOP;
}
