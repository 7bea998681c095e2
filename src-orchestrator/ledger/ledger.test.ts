import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { claimText } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import type { Failure } from "../../src-protocol/failure.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import { receiptsRoot, sha256 } from "../../src-protocol/signing.ts";
import { account, bindPayout, claimRows, claimable, grantClaim } from "./claims.ts";
import {
  EMISSION,
  Ledger,
  accruedAccount,
  balance,
  grantedAccount,
  isBalanced,
  receiptRows,
  transfer,
} from "./ledger.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { TEST_NETWORK, hotkey, receipt, session } from "../test-support/keys.test-support.ts";
import { priceRao } from "./receipts.ts";
import { keepRun, storeRow } from "../stores/run-store.ts";
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
  await keepRun(store, RUN, NOW);
  await held(5, 2, 6, [HEAD, MIDDLE, TAIL]);
  ledger = newLedger(0);
  return () => store.close();
});

async function held(
  generation: number,
  resumeStep: number,
  granted: number,
  keys: (typeof HEAD)[],
): Promise<void> {
  const hotkeys = [ALICE, BOB, CAROL];
  const holders = keys.map((key, i) => ({
    sessionKey: key.publicKey,
    hotkey: hotkeys[i]?.address ?? ALICE.address,
  }));
  await store.write(() => {
    storeRow(store, RUN.runId, { kind: "generation", generation, resumeStep, holders, at: NOW });
    storeRow(store, RUN.runId, { kind: "granted", generation, step: granted });
  });
}

function newLedger(firstGeneration: number): Ledger {
  return new Ledger(store, {
    ...OPTIONS,
    run: RUN,
    flops: FLOPS,
    raoPerTeraflop: 1_000_000n,
    firstGeneration,
  });
}

const idOf = (one: SignedReceipt) => sha256(receiptText(one.body));
const refusalOf = async (one: SignedReceipt) => (await ledger.credit([one])).refused[0]?.code ?? "stored";

describe("a receipt", () => {
  test("is paid by the plan's FLOPs to the worker's hotkey, from the emission", async () => {
    const one = receipt(MIDDLE, HEAD, { stage: 1, step: 3 });
    expect(await ledger.credit([one])).toEqual({ stored: [idOf(one)], refused: [] });
    // 3 · (2·(4·256² + 3·256·704) + 4·16·256) FLOPs for each of 32 tokens, at 10⁶ rao a teraflop.
    expect(balance(store, accruedAccount(BOB.address))).toBe(155n);
    expect(balance(store, EMISSION)).toBe(-155n);
    expect(isBalanced(store)).toBe(true);
    expect(receiptRows(store, BOB.address, 10)).toMatchObject([
      { id: idOf(one), amountRao: "155", claimId: null },
    ]);
  });

  test("sent again is answered again and paid once", async () => {
    const one = receipt(MIDDLE, HEAD, { stage: 1, step: 3 });
    await ledger.credit([one, one]);
    expect(await ledger.credit([one])).toEqual({ stored: [idOf(one)], refused: [] });
    expect(account(store, BOB.address, "test")).toMatchObject({ accruedRao: "155", receipts: 1 });
  });

  test("for work that was redone after a recovery is paid once", async () => {
    await ledger.credit([receipt(MIDDLE, HEAD, { stage: 1, step: 3 })]);
    expect(await refusalOf(receipt(MIDDLE, HEAD, { stage: 1, step: 3, finishedAt: 2_000 }))).toBe(
      "already-paid",
    );
    expect(balance(store, accruedAccount(BOB.address))).toBe(155n);
  });

  test("of the head is counter-signed by the next stage, of the others by the previous one", async () => {
    expect(await refusalOf(receipt(HEAD, MIDDLE, { stage: 0, step: 2 }))).toBe("stored");
    expect(await refusalOf(receipt(TAIL, MIDDLE, { stage: 2, step: 2 }))).toBe("stored");
    expect(await refusalOf(receipt(MIDDLE, TAIL, { stage: 1, step: 2 }))).toBe("consumer-not-neighbour");
    expect(await refusalOf(receipt(HEAD, TAIL, { stage: 0, step: 3 }))).toBe("consumer-not-neighbour");
  });

  test("with a forged signature is refused", async () => {
    const good = receipt(MIDDLE, HEAD, { stage: 1, step: 3 });
    const other = receipt(STRANGER, STRANGER, { stage: 1, step: 3 });
    expect(await refusalOf({ ...good, workerSignature: other.workerSignature })).toBe(
      "forged-worker-signature",
    );
    expect(await refusalOf({ ...good, consumerSignature: good.workerSignature })).toBe(
      "forged-consumer-signature",
    );
    expect(await refusalOf({ ...good, body: { ...good.body, step: 4 } })).toBe("forged-worker-signature");
  });

  test.each([
    ["other-network", receipt(MIDDLE, HEAD, { stage: 1, step: 3, network: "elsewhere" })],
    ["unknown-run", receipt(MIDDLE, HEAD, { stage: 1, step: 3, runId: "another" })],
    ["unknown-stage", receipt(MIDDLE, HEAD, { stage: 3, step: 3 })],
    ["unknown-micro-batch", receipt(MIDDLE, HEAD, { stage: 1, step: 3, microBatch: 2 })],
    ["beyond-run", receipt(MIDDLE, HEAD, { stage: 1, step: 12 })],
    ["wrong-tokens", receipt(MIDDLE, HEAD, { stage: 1, step: 3, tokens: 33 })],
    ["wrong-input", receipt(MIDDLE, HEAD, { stage: 1, step: 3, inputSha256: null })],
    ["own-counter-signature", receipt(MIDDLE, MIDDLE, { stage: 1, step: 3 })],
    ["not-assigned", receipt(STRANGER, HEAD, { stage: 1, step: 3 })],
    ["not-assigned", receipt(TAIL, HEAD, { stage: 1, step: 3 })],
    ["not-assigned", receipt(MIDDLE, HEAD, { stage: 1, step: 1 })],
    ["not-assigned", receipt(MIDDLE, HEAD, { stage: 1, step: 9 })],
    ["consumer-not-neighbour", receipt(MIDDLE, STRANGER, { stage: 1, step: 3 })],
  ])("is refused with %s", async (code, one) => {
    expect(await ledger.credit([one])).toEqual({ stored: [], refused: [{ id: idOf(one), code }] });
    expect(balance(store, EMISSION)).toBe(0n);
  });

  test("for a step that was not granted is refused, and after a crash not beyond what may have been", async () => {
    const ahead = (step: number) => receipt(MIDDLE, HEAD, { stage: 1, step });
    expect(await refusalOf(ahead(7))).toBe("not-assigned");
    ledger = newLedger(1_000_000);
    expect(await refusalOf(ahead(8))).toBe("stored");
    expect(await refusalOf(ahead(9))).toBe("not-assigned");
  });

  test("before anything was granted is refused", async () => {
    const holders = [HEAD, STRANGER].map((key, i) => ({
      sessionKey: key.publicKey,
      hotkey: (i === 0 ? ALICE : BOB).address,
    }));
    await store.write(() =>
      storeRow(store, RUN.runId, { kind: "generation", generation: 9, resumeStep: 4, holders, at: NOW }),
    );
    expect(await refusalOf(receipt(STRANGER, HEAD, { stage: 1, step: 4 }))).toBe("not-assigned");
  });

  test("of two nodes that were neighbours in different pipelines is refused", async () => {
    await held(6, 4, 8, [HEAD, STRANGER, TAIL]);
    expect(await refusalOf(receipt(STRANGER, MIDDLE, { stage: 1, step: 4 }))).toBe("consumer-not-neighbour");
    expect(await refusalOf(receipt(STRANGER, HEAD, { stage: 1, step: 4 }))).toBe("stored");
  });

  test("of two machines of one owner side by side is refused", async () => {
    await store.write(() => {
      const holders = [STRANGER, HEAD].map((key) => ({ sessionKey: key.publicKey, hotkey: ALICE.address }));
      storeRow(store, RUN.runId, { kind: "generation", generation: 8, resumeStep: 2, holders, at: NOW });
      storeRow(store, RUN.runId, { kind: "granted", generation: 8, step: 4 });
    });
    expect(await refusalOf(receipt(HEAD, STRANGER, { stage: 1, step: 2 }))).toBe("own-counter-signature");
  });

  test("of two hotkeys that are paid to one coldkey is refused", async () => {
    await bindPayout(store, ALICE.address, CAROL.address);
    expect(await refusalOf(receipt(MIDDLE, HEAD, { stage: 1, step: 3 }))).toBe("stored");
    await bindPayout(store, BOB.address, CAROL.address);
    expect(await refusalOf(receipt(MIDDLE, HEAD, { stage: 1, step: 4 }))).toBe("own-counter-signature");
  });
});

test("the price is rounded down and exact beyond 2⁵³", () => {
  expect(priceRao(1, 999_999_999_999n)).toBe(0n);
  expect(priceRao(2 ** 62, 12_345_678n)).toBe((2n ** 62n * 12_345_678n) / 1_000_000_000_000n);
});

test("a balance that is not the sum of its entries is found", async () => {
  await ledger.credit([receipt(MIDDLE, HEAD, { stage: 1, step: 3 })]);
  await store.write(() =>
    store.run("UPDATE balances SET rao = rao + 1 WHERE account = :a", { a: accruedAccount(BOB.address) }),
  );
  expect(isBalanced(store)).toBe(false);
});

test("a transfer that does not sum to zero is a defect", async () => {
  await expect(store.write(() => transfer(store, "claim", "x", [["a", 1n]], NOW))).rejects.toThrow(
    "sum to zero",
  );
});

describe("a claim", () => {
  beforeEach(async () => {
    await ledger.credit([2, 3, 4].map((step) => receipt(MIDDLE, HEAD, { stage: 1, step })));
  });

  function request(change: Partial<ClaimBody> = {}, receiptIds = claimable(store, BOB.address).receiptIds) {
    const body: ClaimBody = {
      schema: "train-at-home/claim/v1",
      network: TEST_NETWORK,
      netuid: 0,
      claimId: randomUUID(),
      hotkey: BOB.address,
      payoutColdkey: BOB.address,
      epochFrom: 7,
      epochTo: 7,
      amountRao: "465",
      asset: "test",
      receiptsRoot: receiptsRoot(receiptIds),
      nonce: sha256(randomUUID()),
      issuedAt: NOW,
      expiresAt: NOW + 60_000,
      ...change,
    };
    const text = claimText(body);
    return { claim: { text, signature: BOB.sign(text) }, receiptIds };
  }

  const grant = (asked: ReturnType<typeof request>, by = BOB) =>
    grantClaim(store, OPTIONS, by.address, asked);
  const refusal = (asked: ReturnType<typeof request>, by = BOB) =>
    grant(asked, by).then(
      () => "granted",
      (error: Failure) => error.code,
    );

  test("of everything that accrued is granted to the hotkey's own address", async () => {
    expect(claimable(store, BOB.address)).toMatchObject({ amountRao: "465", epochFrom: 7, epochTo: 7 });
    const row = await grant(request());
    expect(row).toMatchObject({
      amountRao: "465",
      receipts: 3,
      status: "granted",
      payoutColdkey: BOB.address,
    });
    expect(account(store, BOB.address, "test")).toMatchObject({ accruedRao: "0", claimedRao: "465" });
    expect(balance(store, grantedAccount(BOB.address))).toBe(465n);
    expect(isBalanced(store)).toBe(true);
    expect(claimRows(store, BOB.address, 10)).toEqual([row]);
    expect(claimable(store, BOB.address).receiptIds).toEqual([]);
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
    expect(await grantClaim(store, later, BOB.address, asked)).toEqual(first);
    expect(balance(store, grantedAccount(BOB.address))).toBe(465n);
  });

  test("for a part is granted when it names that part", async () => {
    const ids = claimable(store, BOB.address).receiptIds.slice(0, 1);
    expect(await refusal(request({ amountRao: "155" }, ids))).toBe("granted");
    expect(account(store, BOB.address, "test")).toMatchObject({ accruedRao: "310", claimedRao: "155" });
  });

  test("with another text but a used id is refused", async () => {
    const first = claimable(store, BOB.address).receiptIds.slice(0, 1);
    const claimId = randomUUID();
    await grant(request({ claimId, amountRao: "155" }, first));
    expect(await refusal(request({ claimId, amountRao: "310" }))).toBe("claim-id-used");
  });

  test("replayed under a new id is refused", async () => {
    const asked = request();
    await grant(asked);
    expect(await refusal(request({}, asked.receiptIds))).toBe("claim-receipt-claimed");
  });

  test("with a used nonce is refused", async () => {
    const ids = claimable(store, BOB.address).receiptIds;
    const nonce = sha256("once");
    await grant(request({ nonce, amountRao: "155" }, ids.slice(0, 1)));
    expect(await refusal(request({ nonce, amountRao: "155" }, ids.slice(1, 2)))).toBe("claim-nonce-used");
  });

  test("with a bound payout address is paid there and nowhere else", async () => {
    await bindPayout(store, BOB.address, CAROL.address);
    expect(await refusal(request())).toBe("claim-wrong-destination");
    expect(await refusal(request({ payoutColdkey: CAROL.address }))).toBe("granted");
    expect(balance(store, grantedAccount(CAROL.address))).toBe(465n);
  });

  test("is refused for each thing that is wrong with it, and nothing moves", async () => {
    const good = request();
    const ids = good.receiptIds;
    const twice = [ids[0] ?? "", ids[0] ?? ""];
    const refused: [string, ReturnType<typeof request>][] = [
      ["claim-forged", { ...good, claim: { ...good.claim, signature: CAROL.sign(good.claim.text) } }],
      ["claim-malformed", { ...good, claim: { ...good.claim, text: `${good.claim.text} ` } }],
      ["claim-other-network", request({ network: "elsewhere" })],
      ["claim-other-network", request({ netuid: 9 })],
      ["claim-other-network", request({ asset: "tao" })],
      ["claim-above-accrued", request({ amountRao: "466" })],
      ["claim-above-accrued", request({ amountRao: "99999999999999999999" })],
      ["claim-below-receipts", request({ amountRao: "464" })],
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
    const others = receipt(HEAD, MIDDLE, { stage: 0, step: 2 });
    await ledger.credit([others]);
    expect(await refusal(request({}, [idOf(others)]))).toBe("claim-unknown-receipt");
    expect(account(store, BOB.address, "test")).toMatchObject({ accruedRao: "465", claimedRao: "0" });
    expect(isBalanced(store)).toBe(true);
  });
});
