import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { claimText } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import type { Failure } from "../../src-protocol/failure.ts";
import type { ReceiptBody, SignedReceipt } from "../../src-protocol/receipt.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import { receiptsRoot, sha256, statementId } from "../../src-protocol/signing.ts";
import { auditLedger } from "./audit.ts";
import { bindPayout } from "./bindings.ts";
import { EMISSION, accruedAccount, balance, grantedAccount } from "./book.ts";
import { acceptClaim, account, claimRows, claimable } from "./claims.ts";
import { Ledger, OF_STEP, accruedRao, receiptRows } from "./ledger.ts";
import type { LedgerOptions } from "./ledger.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { TEST_NETWORK, hotkey, receipt, session } from "../test-support/keys.test-support.ts";
import { priceRao } from "./receipts.ts";
import { identify, keepRun, storeRow } from "../stores/run-store.ts";
import { Store } from "../stores/store.ts";

const [HEAD, MIDDLE, TAIL, STRANGER] = [session(0), session(1), session(2), session(9)];
const [ALICE, BOB, CAROL] = [hotkey(0), hotkey(1), hotkey(2)];
const RUN = testRun();
/** Of a micro-batch, by stage: 155 rao each. */
const FLOPS = [155_400_000, 155_400_000, 155_400_000];
const NOW = 1_700_000_000_000;
const OPTIONS = { network: TEST_NETWORK, netuid: 0, asset: "test", now: () => NOW, block: () => 7 } as const;

let store: Store;
let ledger: Ledger;

beforeEach(async () => {
  store = Store.open(temporaryFolder(), () => {});
  await identify(store, TEST_NETWORK, NOW);
  await keepRun(store, RUN, NOW);
  await held(5, 2, 6, [HEAD, MIDDLE, TAIL]);
  ledger = newLedger(0);
  return () => store.close();
});

async function held(
  generation: number,
  resumeStep: number,
  finished: number,
  keys: (typeof HEAD)[],
  elapsedMs = 60_000,
): Promise<void> {
  const hotkeys = [ALICE, BOB, CAROL];
  const holders = keys.map((key, i) => ({
    sessionKey: key.publicKey,
    hotkey: hotkeys[i]?.address ?? ALICE.address,
  }));
  await store.write(() => {
    storeRow(store, RUN.runId, { kind: "generation", generation, resumeStep, holders, at: NOW });
    storeRow(store, RUN.runId, { kind: "finished", generation, step: finished, elapsedMs });
  });
}

function newLedger(generation: number, change: Partial<LedgerOptions> = {}): Ledger {
  return new Ledger(store, {
    ...OPTIONS,
    run: RUN,
    flops: FLOPS,
    raoPerTeraflop: 1_000_000n,
    pipeline: () => ({ generation, elapsedMs: 60_000 }),
    keptFrom: () => 0,
    ...change,
  });
}

const idOf = (one: SignedReceipt) => sha256(receiptText(one.body));
const refusalOf = async (one: SignedReceipt) => {
  const { answer, early } = await ledger.credit([one]);
  return early.length > 0 ? "early" : (answer.refused[0]?.code ?? "stored");
};
const stored = (...receipts: SignedReceipt[]) => ({
  answer: { stored: receipts.map(idOf), refused: [] },
  early: [],
});
/** Of the middle stage, signed by both its peers. */
const middle = (step: number, change: Partial<ReceiptBody> = {}) =>
  receipt(MIDDLE, { previous: HEAD, next: TAIL }, { stage: 1, step, ...change });

describe("a receipt", () => {
  test("is paid by the plan's FLOPs to the worker's hotkey, from the emission, when it is added up", async () => {
    const one = middle(3);
    expect(await ledger.credit([one])).toEqual(stored(one));
    // 3 · (2·(4·256² + 3·256·704) + 4·16·256) FLOPs for each of 64 tokens, at 10⁶ rao a teraflop.
    expect(accruedRao(store, BOB.address)).toBe(310n);
    expect(receiptRows(store, BOB.address, 10)).toMatchObject([
      { id: idOf(one), amountRao: "310", claimId: null },
    ]);
    await claimable(store, BOB.address, OPTIONS);
    expect(balance(store, accruedAccount(BOB.address))).toBe(310n);
    expect(balance(store, EMISSION)).toBe(-310n);
    expect(accruedRao(store, BOB.address)).toBe(310n);
    expect(auditLedger(store).findings).toEqual([]);
  });

  test("sent again is answered again and paid once", async () => {
    const one = middle(3);
    await ledger.credit([one, one]);
    expect(await ledger.credit([one])).toEqual(stored(one));
    expect(account(store, BOB.address, OPTIONS)).toMatchObject({ accruedRao: "310", receipts: 1 });
  });

  test("for work that was redone after a recovery is paid once, also when it is added up already", async () => {
    await ledger.credit([middle(3)]);
    const again = middle(3, { finishedAt: 2_000 });
    expect(await refusalOf(again)).toBe("already-paid");
    await claimable(store, BOB.address, OPTIONS);
    await store.write(() => store.run("DELETE FROM receipts"));
    expect(await refusalOf(again)).toBe("already-paid");
    expect(accruedRao(store, BOB.address)).toBe(310n);
  });

  test("is counter-signed by the stages before and behind it, or by one of them", async () => {
    expect(await refusalOf(receipt(HEAD, { next: MIDDLE }, { stage: 0, step: 2 }))).toBe("stored");
    expect(await refusalOf(receipt(TAIL, { previous: MIDDLE }, { stage: 2, step: 2 }))).toBe("stored");
    expect(await refusalOf({ ...middle(2), nextSignature: null })).toBe("stored");
    expect(await refusalOf({ ...middle(3), previousSignature: null })).toBe("stored");
    expect(await refusalOf({ ...middle(4), previousSignature: null, nextSignature: null })).toBe(
      "no-counter-signature",
    );
    expect(await refusalOf(receipt(HEAD, { next: TAIL }, { stage: 0, step: 3 }))).toBe("peer-not-neighbour");
    expect(await refusalOf(receipt(MIDDLE, { previous: TAIL, next: HEAD }, { stage: 1, step: 5 }))).toBe(
      "peer-not-neighbour",
    );
  });

  test("with a forged signature is refused", async () => {
    const good = middle(3);
    const other = receipt(STRANGER, { previous: STRANGER, next: STRANGER }, { stage: 1, step: 3 });
    expect(await refusalOf({ ...good, workerSignature: other.workerSignature })).toBe(
      "forged-worker-signature",
    );
    for (const side of ["previousSignature", "nextSignature"])
      expect(await refusalOf({ ...good, [side]: good.workerSignature })).toBe("forged-peer-signature");
    expect(await refusalOf({ ...good, body: { ...good.body, step: 4 } })).toBe("forged-worker-signature");
  });

  test.each([
    ["other-network", middle(3, { network: "elsewhere" })],
    ["unknown-run", middle(3, { runId: "another" })],
    ["unknown-stage", middle(3, { stage: 3 })],
    ["wrong-micro-batches", middle(3, { microBatches: 3 })],
    ["beyond-run", middle(12)],
    ["wrong-tokens", middle(3, { tokens: 65 })],
    ["wrong-flops", middle(3, { flops: 1 })],
    ["wrong-digests", middle(3, { x: null })],
    ["wrong-digests", receipt(MIDDLE, { previous: HEAD }, { stage: 1, step: 3 })],
    ["own-counter-signature", receipt(MIDDLE, { previous: MIDDLE, next: TAIL }, { stage: 1, step: 3 })],
    ["not-assigned", receipt(STRANGER, { previous: HEAD, next: TAIL }, { stage: 1, step: 3 })],
    ["not-assigned", receipt(TAIL, { previous: HEAD, next: MIDDLE }, { stage: 1, step: 3 })],
    ["not-assigned", middle(1)],
    ["not-finished", middle(7)],
    ["peer-not-neighbour", receipt(MIDDLE, { previous: STRANGER, next: TAIL }, { stage: 1, step: 3 })],
  ])("is refused with %s", async (code, one) => {
    expect(await ledger.credit([one])).toEqual({
      answer: { stored: [], refused: [{ id: idOf(one), code }] },
      early: [],
    });
    expect(accruedRao(store, BOB.address)).toBe(0n);
  });

  test("for a step that is not finished waits while its pipeline is at work", async () => {
    ledger = newLedger(5);
    expect(await refusalOf(middle(7))).toBe("early");
    await store.write(() =>
      storeRow(store, RUN.runId, {
        kind: "finished",
        generation: 5,
        step: 8,
        elapsedMs: 60_000,
      }),
    );
    expect(await refusalOf(middle(7))).toBe("stored");
    expect(await refusalOf(middle(8))).toBe("early");
  });

  test("F5: of a ring that computes nothing is paid no faster than the fastest computer computes", async () => {
    // Steps of 10 petaflop in class fast take 100 s at the least; the ring says it has done 4 in a minute.
    const large = FLOPS.map(() => 5e15);
    let elapsedMs = 60_000;
    ledger = newLedger(5, { flops: large, pipeline: () => ({ generation: 5, elapsedMs }) });
    expect(await refusalOf(middle(2, { flops: 5e15 }))).toBe("early");
    elapsedMs = 100_000;
    expect(await refusalOf(middle(2, { flops: 5e15 }))).toBe("stored");
    expect(await refusalOf(middle(3, { flops: 5e15 }))).toBe("early");
    // Once the pipeline is another one, its time is over.
    ledger = newLedger(6, { flops: large });
    expect(await refusalOf(middle(3, { flops: 5e15 }))).toBe("not-finished");
  });

  test("of two nodes that were neighbours in different pipelines is refused", async () => {
    await held(6, 4, 8, [HEAD, STRANGER, TAIL]);
    const of = (previous: typeof HEAD) => receipt(STRANGER, { previous, next: TAIL }, { stage: 1, step: 4 });
    expect(await refusalOf(of(MIDDLE))).toBe("peer-not-neighbour");
    expect(await refusalOf(of(HEAD))).toBe("stored");
  });

  test("of two machines of one owner side by side is refused, unless somebody else signs too", async () => {
    const other = session(10);
    await store.write(() => {
      const holders = [HEAD, STRANGER, other].map((key, i) => ({
        sessionKey: key.publicKey,
        hotkey: (i === 2 ? BOB : ALICE).address,
      }));
      storeRow(store, RUN.runId, { kind: "generation", generation: 8, resumeStep: 2, holders, at: NOW });
      storeRow(store, RUN.runId, { kind: "finished", generation: 8, step: 4, elapsedMs: 60_000 });
    });
    expect(await refusalOf(receipt(HEAD, { next: STRANGER }, { stage: 0, step: 2 }))).toBe(
      "own-counter-signature",
    );
    const between = receipt(STRANGER, { previous: HEAD, next: other }, { stage: 1, step: 2 });
    expect(await refusalOf({ ...between, nextSignature: null })).toBe("own-counter-signature");
    expect(await refusalOf(between)).toBe("stored");
  });

  test("of two hotkeys that are paid to one coldkey is refused", async () => {
    const head = (step: number) => receipt(HEAD, { next: MIDDLE }, { stage: 0, step });
    await bindPayout(store, ALICE.address, CAROL.address);
    expect(await refusalOf(head(3))).toBe("stored");
    await bindPayout(store, BOB.address, CAROL.address);
    expect(await refusalOf(head(4))).toBe("own-counter-signature");
  });
});

describe("a statement", () => {
  const RUN_OF_2000 = testRun({ steps: 2_000 });

  async function credited(steps: readonly number[], keptFrom = 0): Promise<void> {
    await held(5, 0, 2_000, [HEAD, MIDDLE, TAIL]).catch(() => undefined);
    await store.write(() =>
      storeRow(store, RUN.runId, { kind: "finished", generation: 5, step: 2_000, elapsedMs: 60_000 }),
    );
    await store.write(() => store.run("UPDATE generations SET resumeStep = 0"));
    ledger = newLedger(5, { run: RUN_OF_2000, keptFrom: () => keptFrom });
    await ledger.credit(steps.map((step) => middle(step)));
  }
  const count = (table: string) => Number(store.get(`SELECT count(*) AS n FROM ${table}`)?.n);

  test("adds up receipts of steps without a gap, and is named by a chain of their ids", async () => {
    await credited([0, 1, 2, 4]);
    const { statementIds, amountRao } = await claimable(store, BOB.address, OPTIONS);
    expect(statementIds).toEqual([
      statementId([0, 1, 2].map((step) => idOf(middle(step)))),
      statementId([idOf(middle(4))]),
    ]);
    expect(amountRao).toBe("1240");
    const row = store.get("SELECT * FROM statements ORDER BY number");
    expect(row).toMatchObject({ fromStep: 0n, toStep: 2n, receipts: 3n, claimId: null });
    expect(Buffer.from(row?.link as Uint8Array).toString("hex")).toBe(middle(2).body.link);
    expect(auditLedger(store).findings).toEqual([]);
  });

  test("keeps what was earned when its receipts are deleted, and they when a step can still be gone back to", async () => {
    await credited(
      Array.from({ length: 512 }, (_, step) => step),
      500,
    );
    expect(count("statements")).toBe(1);
    expect(count("receipts")).toBe(12);
    expect(accruedRao(store, BOB.address)).toBe(512n * 310n);
    expect(await refusalOf(middle(3, { finishedAt: 2 }))).toBe("already-paid");
    expect(auditLedger(store).findings).toEqual([]);
  });

  test("is made at last also of a computer that is gone, so that its receipts go", async () => {
    await credited([]);
    await ledger.credit([receipt(HEAD, { next: MIDDLE }, { stage: 0, step: 7 })]);
    await credited(
      Array.from({ length: 512 }, (_, step) => 1_200 + step),
      1_711,
    );
    expect(count("receipts")).toBe(1);
    expect(accruedRao(store, ALICE.address)).toBe(310n);
    expect(auditLedger(store).findings).toEqual([]);
  });
});

test("a step's receipts are found by an index, however many there are", () => {
  const step = { runId: RUN.runId, stage: 0, step: 3 };
  const plan = store.all(`EXPLAIN QUERY PLAN ${OF_STEP}`, step).map(({ detail }) => String(detail));
  expect(plan.filter((line) => line.startsWith("SEARCH"))).toHaveLength(2);
  expect(plan.filter((line) => line.startsWith("SCAN"))).toEqual([]);
});

test("the price is rounded down and exact beyond 2⁵³", () => {
  expect(priceRao(1, 1, 999_999_999_999n)).toBe(0n);
  expect(priceRao(2 ** 62, 1, 12_345_678n)).toBe((2n ** 62n * 12_345_678n) / 1_000_000_000_000n);
});

test("a balance that is not the sum of its entries is found", async () => {
  await ledger.credit([middle(3)]);
  await claimable(store, BOB.address, OPTIONS);
  await store.write(() =>
    store.run("UPDATE balances SET rao = rao + 1 WHERE account = :a", { a: accruedAccount(BOB.address) }),
  );
  expect(auditLedger(store).findings).toMatchObject([
    { code: "balance-wrong", where: accruedAccount(BOB.address) },
  ]);
});

describe("a claim", () => {
  let statements: readonly string[];

  beforeEach(async () => {
    // Two statements: of steps 2 and 3, and of step 5.
    await ledger.credit([2, 3, 5].map((step) => middle(step)));
    statements = (await claimable(store, BOB.address, OPTIONS)).statementIds;
  });

  function request(change: Partial<ClaimBody> = {}, statementIds = [...statements]) {
    const body: ClaimBody = {
      schema: "train-at-home/claim/v1",
      network: TEST_NETWORK,
      netuid: 0,
      claimId: randomUUID(),
      hotkey: BOB.address,
      payoutColdkey: BOB.address,
      epochFrom: 7,
      epochTo: 7,
      amountRao: "930",
      asset: "test",
      receiptsRoot: receiptsRoot(statementIds),
      nonce: sha256(randomUUID()),
      issuedAt: NOW,
      expiresAt: NOW + 60_000,
      ...change,
    };
    const text = claimText(body);
    return { claim: { text, signature: BOB.sign(text) }, statementIds };
  }

  const grant = (asked: ReturnType<typeof request>, by = BOB) =>
    acceptClaim(store, OPTIONS, by.address, asked);
  const refusal = (asked: ReturnType<typeof request>, by = BOB) =>
    grant(asked, by).then(
      () => "granted",
      (error: Failure) => error.code,
    );

  test("of everything that accrued is granted to the hotkey's own address", async () => {
    expect(await claimable(store, BOB.address, OPTIONS)).toMatchObject({
      amountRao: "930",
      epochFrom: 7,
      epochTo: 7,
    });
    const row = await grant(request());
    expect(row).toMatchObject({
      amountRao: "930",
      receipts: 3,
      status: "accepted",
      payoutColdkey: BOB.address,
    });
    expect(account(store, BOB.address, OPTIONS)).toMatchObject({ accruedRao: "0", claimedRao: "930" });
    expect(balance(store, grantedAccount(BOB.address))).toBe(930n);
    expect(auditLedger(store).findings).toEqual([]);
    expect(claimRows(store, BOB.address, 10)).toEqual([row]);
    expect((await claimable(store, BOB.address, OPTIONS)).statementIds).toEqual([]);
  });

  test("signed by a browser wallet, inside <Bytes>, is granted", async () => {
    const asked = request();
    asked.claim.signature = BOB.sign(`<Bytes>${asked.claim.text}</Bytes>`);
    expect(await refusal(asked)).toBe("granted");
  });

  test("sent again gets the same answer and nothing twice, even after it expired", async () => {
    const asked = request();
    const first = await grant(asked);
    const later = { ...OPTIONS, now: () => NOW + 3_600_000 };
    expect(await acceptClaim(store, later, BOB.address, asked)).toEqual(first);
    expect(balance(store, grantedAccount(BOB.address))).toBe(930n);
  });

  test("for a part is granted when it names that part", async () => {
    const ids = statements.slice(0, 1);
    expect(await refusal(request({ amountRao: "620" }, ids))).toBe("granted");
    expect(account(store, BOB.address, OPTIONS)).toMatchObject({ accruedRao: "310", claimedRao: "620" });
  });

  test("with another text but a used id is refused", async () => {
    const first = statements.slice(0, 1);
    const claimId = randomUUID();
    await grant(request({ claimId, amountRao: "620" }, first));
    expect(await refusal(request({ claimId, amountRao: "310" }))).toBe("claim-id-used");
  });

  test("replayed under a new id is refused", async () => {
    const asked = request();
    await grant(asked);
    expect(await refusal(request({}, asked.statementIds))).toBe("claim-receipt-claimed");
  });

  test("with a used nonce is refused", async () => {
    const ids = statements;
    const nonce = sha256("once");
    await grant(request({ nonce, amountRao: "620" }, ids.slice(0, 1)));
    expect(await refusal(request({ nonce, amountRao: "310" }, ids.slice(1, 2)))).toBe("claim-nonce-used");
  });

  test("with a bound payout address is paid there and nowhere else", async () => {
    await bindPayout(store, BOB.address, CAROL.address);
    expect(await refusal(request())).toBe("claim-wrong-destination");
    expect(await refusal(request({ payoutColdkey: CAROL.address }))).toBe("granted");
    expect(balance(store, grantedAccount(CAROL.address))).toBe(930n);
  });

  test("is refused for each thing that is wrong with it, and nothing moves", async () => {
    const good = request();
    const ids = good.statementIds;
    const twice = [ids[0] ?? "", ids[0] ?? ""];
    const refused: [string, ReturnType<typeof request>][] = [
      ["claim-forged", { ...good, claim: { ...good.claim, signature: CAROL.sign(good.claim.text) } }],
      ["claim-malformed", { ...good, claim: { ...good.claim, text: `${good.claim.text} ` } }],
      ["claim-other-network", request({ network: "elsewhere" })],
      ["claim-other-network", request({ netuid: 9 })],
      ["claim-other-network", request({ asset: "tao" })],
      ["claim-above-accrued", request({ amountRao: "931" })],
      ["claim-above-accrued", request({ amountRao: "99999999999999999999" })],
      ["claim-below-receipts", request({ amountRao: "929" })],
      ["claim-wrong-destination", request({ payoutColdkey: CAROL.address })],
      ["claim-expired", request({ issuedAt: NOW - 10_000, expiresAt: NOW - 1 })],
      ["claim-not-yet", request({ issuedAt: NOW + 60_000, expiresAt: NOW + 90_000 })],
      ["claim-lasts-too-long", request({ expiresAt: NOW + 25 * 3_600_000 })],
      ["claim-wrong-root", request({ receiptsRoot: sha256("x") })],
      ["claim-bad-receipts", request({}, [])],
      ["claim-bad-receipts", request({}, twice)],
      ["claim-unknown-receipt", request({}, [sha256("x")])],
      ["claim-wrong-epoch", request({ epochFrom: 8, epochTo: 8 })],
      ["claim-wrong-epoch", request({ epochTo: 6, epochFrom: 6 })],
    ];
    for (const [code, asked] of refused) expect(await refusal(asked)).toBe(code);
    expect(await refusal(good, ALICE)).toBe("claim-other-hotkey");
    await ledger.credit([receipt(HEAD, { next: MIDDLE }, { stage: 0, step: 2 })]);
    const others = await claimable(store, ALICE.address, OPTIONS);
    expect(await refusal(request({}, others.statementIds))).toBe("claim-unknown-receipt");
    expect(account(store, BOB.address, OPTIONS)).toMatchObject({ accruedRao: "930", claimedRao: "0" });
    expect(auditLedger(store).findings).toEqual([]);
  });
});
