import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkExport } from "../../src-protocol/receipt-check.ts";
import { NODE_MESSAGE_LIMIT_BYTES } from "../../src-protocol/control.ts";
import { receiptText, signedReceipt } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { identify, keepRun, storeRow } from "../stores/run-store.ts";
import { Store } from "../stores/store.ts";
import { TEST_NETWORK, hotkey, receipt, session, shareReceipt } from "../test-support/keys.test-support.ts";
import { auditLedger } from "./audit.ts";
import { BOOK_NOW, BOOK_OPTIONS } from "./books.test-support.ts";
import { claimable } from "./claims.ts";
import { evidence } from "./evidence.ts";
import { Ledger, accruedRao } from "./ledger.ts";
import { openLedger } from "./open-ledger.ts";
import { formRefusal, priceRao } from "./receipts.ts";

/**
 * Three stages of two replicas each that have shared the four micro-batches of each step: on every stage the
 * first replica counted 0 and 1, the second 2 and 3. Every computer has an owner of its own, but the second
 * of the last stage, which is that of the second of the middle one.
 */
const RUN = testRun({ steps: 10_000, microBatches: 4 });
const FLOPS = 155_400_000;
const RATE = 1_000_000n;
const REPLICAS = [0, 1, 2].map((stage) => [session(10 + 2 * stage), session(11 + 2 * stage)] as const);
const [[HEAD, HEAD_2], [MIDDLE, MIDDLE_2], [TAIL, TAIL_2]] = REPLICAS as unknown as [
  [SessionSigner, SessionSigner],
  [SessionSigner, SessionSigner],
  [SessionSigner, SessionSigner],
];
const OWNER_OF = new Map(
  [HEAD, HEAD_2, MIDDLE, MIDDLE_2, TAIL].map((key, i) => [key, hotkey(20 + i)] as const),
).set(TAIL_2, hotkey(23));
const ONE = priceRao(FLOPS, 1, RATE);

let folder: string;
let store: Store;
let ledger: Ledger;
let live = { generation: 5, elapsedMs: 60_000 };
let restorable = 0;

async function finish(step: number, generation = 5, counted = halves): Promise<void> {
  await store.write(() => {
    const stages = REPLICAS.map((keys) =>
      keys.map(({ publicKey }, i) => ({ replica: publicKey, microBatches: counted[i] ?? [] })),
    );
    storeRow(store, RUN.runId, { kind: "shares", generation, step, stages });
    storeRow(store, RUN.runId, { kind: "finished", generation, step: step + 1, elapsedMs: 60_000 });
  });
}

const halves: readonly (readonly number[])[] = [
  [0, 1],
  [2, 3],
];

async function assign(generation: number): Promise<void> {
  await store.write(() => {
    storeRow(store, RUN.runId, {
      kind: "generation",
      generation,
      resumeStep: 0,
      at: BOOK_NOW,
      holders: [],
      isShared: true,
    });
    for (const [stage, keys] of REPLICAS.entries())
      for (const key of keys)
        storeRow(store, RUN.runId, {
          kind: "replica",
          generation,
          stage,
          sessionKey: key.publicKey,
          hotkey: OWNER_OF.get(key)?.address ?? hotkey(0).address,
        });
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah shares "));
  store = Store.open(folder, () => {});
  live = { generation: 5, elapsedMs: 60_000 };
  restorable = 0;
  await identify(store, TEST_NETWORK, BOOK_NOW);
  await keepRun(store, RUN, BOOK_NOW);
  openLedger(store, folder, RUN.runId);
  await assign(5);
  ledger = new Ledger(store, {
    ...BOOK_OPTIONS,
    run: RUN,
    flops: [FLOPS, FLOPS, FLOPS],
    raoPerTeraflop: RATE,
    pipeline: () => live,
    keptFrom: () => restorable,
  });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const middle = (step: number, numbers: readonly number[] = [0, 1], by = MIDDLE): SignedReceipt =>
  shareReceipt(
    by,
    [
      { side: "previous", peer: by === MIDDLE ? HEAD : HEAD_2, microBatches: numbers },
      { side: "next", peer: by === MIDDLE ? TAIL : TAIL_2, microBatches: numbers },
    ],
    { stage: 1, step },
  );

async function answer(one: SignedReceipt): Promise<string> {
  const { answer: said, early } = await ledger.credit([one]);
  return early.length > 0 ? "early" : (said.refused[0]?.code ?? "paid");
}

const earned = (key: SessionSigner): bigint =>
  accruedRao(store, OWNER_OF.get(key)?.address ?? hotkey(0).address);

describe("replicas of a stage", () => {
  test("are paid each for what the step has counted for them, together what one holder would get", async () => {
    await finish(0);
    expect([await answer(middle(0)), await answer(middle(0, [2, 3], MIDDLE_2))]).toEqual(["paid", "paid"]);
    expect(earned(MIDDLE)).toBe(2n * ONE);
    expect(earned(MIDDLE) + earned(MIDDLE_2)).toBe(4n * ONE);
    expect(4n * ONE).toBeLessThanOrEqual(priceRao(FLOPS, RUN.microBatches, RATE));
    expect(await answer(middle(0))).toBe("paid");
    expect(earned(MIDDLE)).toBe(2n * ONE);
    expect(auditLedger(store, { signatures: true }).findings).toEqual([]);
  });

  test("are added up into one statement over steps in which they had nothing to do, and take the proofs home", async () => {
    const idle = [[], [0, 1, 2, 3]];
    for (const step of [0, 1, 2]) await finish(step, 5, step === 1 ? idle : halves);
    for (const step of [0, 2]) expect(await answer(middle(step))).toBe("paid");
    const { address } = OWNER_OF.get(MIDDLE) ?? hotkey(0);
    expect((await claimable(store, address, BOOK_OPTIONS)).statementIds).toHaveLength(1);
    expect(store.all("SELECT fromStep, toStep, receipts FROM statements")).toEqual([
      { fromStep: 0n, toStep: 2n, receipts: 2n },
    ]);
    const { receipts, statements } = evidence(store, TEST_NETWORK, address, {
      afterReceipt: 0,
      afterStatement: 0,
    });
    const file = {
      schema: "train-at-home/receipts-export/v1",
      network: TEST_NETWORK,
      hotkey: address,
      asset: "test",
      exportedAt: 0,
      receipts,
      statements,
    } as const;
    const check = checkExport(file);
    expect(check.findings.filter(({ message }) => !message.includes("chain"))).toEqual([]);
    expect([check.remade, check.amountRao]).toEqual([1, String(4n * ONE)]);
    expect(auditLedger(store, { signatures: true }).findings).toEqual([]);
  });

  test("are paid once for work that is done again after the run went back", async () => {
    await finish(0);
    expect(await answer(middle(0))).toBe("paid");
    await assign(6);
    live = { generation: 6, elapsedMs: 60_000 };
    await finish(0, 6, [
      [0, 2],
      [1, 3],
    ]);
    expect(await answer(middle(0, [0, 2]))).toBe("already-paid");
    // What nobody was paid for is paid to who did it first.
    expect(await answer(middle(0, [2, 3], MIDDLE_2))).toBe("paid");
    expect(earned(MIDDLE) + earned(MIDDLE_2)).toBe(4n * ONE);
  });

  test("are not paid for a step again that statements have", async () => {
    for (const step of [0, 1]) await finish(step);
    for (const step of [0, 1]) expect(await answer(middle(step))).toBe("paid");
    await claimable(store, OWNER_OF.get(MIDDLE)?.address ?? hotkey(0).address, BOOK_OPTIONS);
    await assign(6);
    live = { generation: 6, elapsedMs: 60_000 };
    await finish(1, 6, [[3], [0, 1, 2]]);
    expect(await answer(middle(1, [3]))).toBe("not-counted");
  });
});

describe("what is not paid", () => {
  test("a share again, signed in another text after its receipt was added up and deleted", async () => {
    restorable = 512;
    await Promise.all(Array.from({ length: 512 }, (_, step) => finish(step)));
    const all = Array.from({ length: 512 }, (_, step) => middle(step));
    expect((await ledger.credit(all)).answer.stored).toHaveLength(512);
    expect(store.get("SELECT 1 FROM receipts WHERE step = 0")).toBeNull();
    const before = earned(MIDDLE);
    const again = shareReceipt(MIDDLE, [{ side: "next", peer: TAIL, microBatches: [0, 1] }], {
      stage: 1,
      step: 0,
      finishedAt: BOOK_NOW + 1,
    });
    expect(await answer(again)).toBe("already-paid");
    expect(earned(MIDDLE)).toBe(before);
    // Who was not paid for it yet still is.
    expect(await answer(middle(0, [2, 3], MIDDLE_2))).toBe("paid");
    expect(auditLedger(store, { signatures: true }).findings).toEqual([]);
  });

  test("a micro-batch that another replica has computed", async () => {
    await finish(0);
    expect(await answer(middle(0, [0, 1, 2]))).toBe("not-counted");
    expect(await answer(middle(0, [2, 3]))).toBe("not-counted");
    expect(earned(MIDDLE)).toBe(0n);
  });

  test("the same micro-batch, claimed by two", async () => {
    await finish(0);
    expect(await answer(middle(0, [2, 3], MIDDLE_2))).toBe("paid");
    expect(await answer(middle(0, [2, 3]))).toBe("already-paid");
    expect(earned(MIDDLE)).toBe(0n);
  });

  test("a step that was not committed", async () => {
    expect(await answer(middle(0))).toBe("early");
    await finish(0);
    expect(await answer(middle(0))).toBe("paid");
    expect(await answer(middle(1))).toBe("early");
    live = { generation: 6, elapsedMs: 60_000 };
    expect(await answer(middle(1))).toBe("not-counted");
    expect(
      await answer(
        shareReceipt(session(40), [{ side: "next", peer: TAIL, microBatches: [2] }], { stage: 1, step: 0 }),
      ),
    ).toBe("not-assigned");
  });

  test("what only oneself has signed", async () => {
    await finish(0);
    const own = shareReceipt(MIDDLE, [{ side: "next", peer: MIDDLE, microBatches: [0, 1] }], {
      stage: 1,
      step: 0,
    });
    expect(await answer(own)).toBe("own-counter-signature");
  });

  test("what only another computer of the same owner has signed; of a part that somebody else has used, that part", async () => {
    await finish(0);
    const next = { side: "next", peer: TAIL_2, microBatches: [2, 3] } as const;
    expect(await answer(shareReceipt(MIDDLE_2, [next], { stage: 1, step: 0 }))).toBe("own-counter-signature");
    const part = { side: "previous", peer: HEAD_2, microBatches: [3] } as const;
    const partly = shareReceipt(MIDDLE_2, [part, next], { stage: 1, step: 0 }, [2, 3]);
    expect((await ledger.credit([partly])).answer.partly).toMatchObject([{ code: "own-counter-signature" }]);
    expect(earned(MIDDLE_2)).toBe(ONE);
    expect(auditLedger(store, { signatures: true }).findings).toEqual([]);
  });

  test("what a peer has signed that had no part in it", async () => {
    await finish(0);
    const of = (peer: SessionSigner, numbers: readonly number[]) =>
      shareReceipt(MIDDLE, [{ side: "next", peer, microBatches: numbers }], { stage: 1, step: 0 }, [0, 1]);
    expect(await answer(of(TAIL_2, [0, 1]))).toBe("peer-not-neighbour");
    expect(await answer(of(HEAD, [0, 1]))).toBe("peer-not-neighbour");
    expect(await answer(of(session(40), [0, 1]))).toBe("peer-not-neighbour");
  });

  test("a share that says of itself what cannot be", async () => {
    await finish(0);
    const parts = [{ side: "next", peer: TAIL, microBatches: [0, 1] }] as const;
    const at = { stage: 1, step: 0 };
    expect(await answer(shareReceipt(MIDDLE, parts, { ...at, flops: 1 }))).toBe("wrong-flops");
    expect(await answer(shareReceipt(MIDDLE, parts, at, [0]))).toBe("wrong-digests");
    expect(await answer(shareReceipt(MIDDLE, [...parts, ...parts], at, [0, 1]))).toBe("wrong-digests");
    expect(await answer(shareReceipt(MIDDLE, parts, at, [0, 1, 4]))).toBe("wrong-micro-batches");
    expect(await answer(shareReceipt(MIDDLE, [{ ...parts[0], isSilent: true }], at))).toBe(
      "no-counter-signature",
    );
    const forged = middle(0);
    expect(await answer({ ...forged, peerSignatures: [null, forged.workerSignature] })).toBe(
      "forged-peer-signature",
    );
  });

  test("a share of dozens of peers and thousands of micro-batches, which is refused for little more than it takes to read", () => {
    const many = 16_384;
    const all = Array.from({ length: many }, (_, at) => at);
    const run = testRun({ steps: 10_000, microBatches: many });
    const peers = Array.from({ length: 64 }, (_, at) => ({
      side: "next" as const,
      peer: session(100 + at),
      microBatches: all.slice((at * many) / 64, ((at + 1) * many) / 64),
      isSilent: true,
    }));
    const text = JSON.stringify(shareReceipt(MIDDLE, peers, { stage: 1, step: 0 }, all));
    expect(text.length).toBeLessThan(NODE_MESSAGE_LIMIT_BYTES);
    const fastest = (work: () => unknown): number =>
      Math.min(
        ...Array.from({ length: 9 }, () => {
          const from = performance.now();
          work();
          return performance.now() - from;
        }),
      );
    const one = signedReceipt.parse(JSON.parse(text));
    const look = (): unknown => formRefusal(one, TEST_NETWORK, run, [FLOPS, FLOPS, FLOPS]);
    expect(look()).toBe("no-counter-signature");
    expect(fastest(look) / fastest(() => signedReceipt.parse(JSON.parse(text)))).toBeLessThan(8);
  });

  test("a whole stage's receipt, where the stage has replicas", async () => {
    await finish(0);
    const all = { stage: 1, step: 0, microBatches: 4, tokens: 128 };
    expect(await answer(receipt(MIDDLE, { previous: HEAD, next: TAIL }, all))).toBe("not-counted");
  });

  test("more work than the fastest could have done in the time", async () => {
    live = { generation: 5, elapsedMs: 0.001 };
    await finish(0);
    expect(await answer(middle(0))).toBe("early");
  });
});

test("a change to a share that was paid is found", async () => {
  await finish(0);
  const one = middle(0);
  await answer(one);
  await store.write(() => {
    store.run("DROP TRIGGER receiptsStay");
    store.run("UPDATE receipts SET share = replace(share, :from, :to)", {
      from: sha256("taken"),
      to: sha256("other"),
    });
  });
  expect(auditLedger(store).findings).toMatchObject([
    { code: "receipt-changed", where: `receipt ${sha256(receiptText(one.body))}` },
  ]);
});
