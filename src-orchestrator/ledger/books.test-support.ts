import { randomUUID } from "node:crypto";
import { claimText } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import type { ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { receiptsRoot, sha256 } from "../../src-protocol/signing.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { identify, keepRun, storeRow } from "../stores/run-store.ts";
import type { Store } from "../stores/store.ts";
import { TEST_NETWORK, hotkey, receipt, session } from "../test-support/keys.test-support.ts";
import type { TestHotkey } from "../test-support/keys.test-support.ts";
import { acceptClaim, claimable } from "./claims.ts";
import type { ClaimRequest } from "./claims.ts";
import { Ledger } from "./ledger.ts";
import { openLedger } from "./open-ledger.ts";

export const BOOK_RUN = testRun({ steps: 10_000 });
export const BOOK_NOW = 1_700_000_000_000;
export const BOOK_OPTIONS = {
  network: TEST_NETWORK,
  netuid: 0,
  asset: "test",
  now: () => BOOK_NOW,
  block: () => 7,
} as const;
const BOOK_RATE = 1_000_000n;
const KEYS = [session(0), session(1), session(2)] as const;
export const OWNERS = [hotkey(0), hotkey(1), hotkey(2)] as const;

/** A ledger with a pipeline of three owners that has finished 10,000 steps. */
export async function bookedLedger(
  store: Store,
  folder: string,
  keptFrom = (): number => 0,
): Promise<Ledger> {
  await identify(store, TEST_NETWORK, BOOK_NOW);
  await keepRun(store, BOOK_RUN, BOOK_NOW);
  openLedger(store, folder, BOOK_RUN.runId);
  await holdStages(store);
  return ledgerOn(store, keptFrom);
}

/** What three owners earned for so many steps, in the store of an orchestrator that has nothing else to do. */
export async function earnSteps(
  store: Store,
  steps: number,
  { block = 0, raoPerTeraflop = BOOK_RATE } = {},
): Promise<void> {
  await holdStages(store);
  const ledger = ledgerOn(store, undefined, block, raoPerTeraflop);
  for (let step = 0; step < steps; step++) await ledger.credit(receiptsOf(step));
}

/** The three session keys work for these owners, and finish these steps. */
export async function holdStages(
  store: Store,
  {
    generation = 5,
    from = 0,
    to = 10_000,
    owners = OWNERS,
  }: { generation?: number; from?: number; to?: number; owners?: readonly TestHotkey[] } = {},
): Promise<void> {
  const holders = KEYS.map(({ publicKey }, i) => ({
    sessionKey: publicKey,
    hotkey: owners[i]?.address ?? OWNERS[0].address,
  }));
  await store.write(() => {
    storeRow(store, BOOK_RUN.runId, {
      kind: "generation",
      generation,
      resumeStep: from,
      holders,
      at: BOOK_NOW,
    });
    storeRow(store, BOOK_RUN.runId, { kind: "finished", generation, step: to, elapsedMs: 60_000 });
  });
}

export function ledgerOn(
  store: Store,
  keptFrom = (): number => 0,
  block = BOOK_OPTIONS.block(),
  raoPerTeraflop = BOOK_RATE,
): Ledger {
  return new Ledger(store, {
    ...BOOK_OPTIONS,
    block: () => block,
    run: BOOK_RUN,
    flops: [155_400_000, 155_400_000, 155_400_000],
    raoPerTeraflop,
    pipeline: () => ({ generation: 5, elapsedMs: 60_000 }),
    keptFrom,
  });
}

/** Receipts of all three stages, signed by all neighbours. */
export function receiptsOf(step: number) {
  const [head, middle, tail] = KEYS;
  return [
    receipt(head, { next: middle }, { stage: 0, step }),
    receipt(middle, { previous: head, next: tail }, { stage: 1, step }),
    chained(step, (chain) => receipt(tail, { previous: middle }, { stage: 2, step, chain })),
  ];
}

const tails = new Map<number, SignedReceipt>();

/** The tail's receipts follow one another, as a worker's do. */
function chained(
  step: number,
  make: (chain: NonNullable<ReceiptBody["chain"]>) => SignedReceipt,
): SignedReceipt {
  const before = tails.get(step - 1);
  const made = make({
    sequence: step,
    before: before === undefined ? null : sha256(receiptText(before.body)),
  });
  tails.set(step, made);
  return made;
}

/** A signed claim of all that an owner can claim now. */
export async function claimOf(
  store: Store,
  owner: TestHotkey,
  change: Partial<ClaimBody> = {},
): Promise<ClaimRequest> {
  const { amountRao, statementIds, epochFrom, epochTo } = await claimable(store, owner.address, BOOK_OPTIONS);
  const text = claimText({
    schema: "train-at-home/claim/v1",
    network: TEST_NETWORK,
    netuid: 0,
    claimId: randomUUID(),
    hotkey: owner.address,
    payoutColdkey: owner.address,
    epochFrom,
    epochTo,
    amountRao,
    asset: "test",
    receiptsRoot: receiptsRoot(statementIds),
    nonce: sha256(randomUUID()),
    issuedAt: BOOK_NOW,
    expiresAt: BOOK_NOW + 60_000,
    ...change,
  });
  return { claim: { text, signature: owner.sign(text) }, statementIds };
}

export async function claimAll(store: Store, owner: TestHotkey): Promise<string> {
  const asked = await claimOf(store, owner);
  return (await acceptClaim(store, BOOK_OPTIONS, owner.address, asked)).claimId;
}
