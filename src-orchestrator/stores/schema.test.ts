import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { sha256, statementId } from "../../src-protocol/signing.ts";
import { account, claimRows, claimable } from "../ledger/claims.ts";
import { auditLedger } from "../ledger/audit.ts";
import { openLedger } from "../ledger/open-ledger.ts";
import { sealOf } from "../ledger/seals.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { TEST_NETWORK, hotkey, receipt, session } from "../test-support/keys.test-support.ts";
import { MIGRATIONS } from "./schema.ts";
import { DATABASE_FILE, Store } from "./store.ts";

/** The schema in which a receipt was one micro-batch's. */
const BEFORE_STATEMENTS = 4;
const OPTIONS = { asset: "test", netuid: 0, now: () => 9, block: () => 9 } as const;
const [ALICE, BOB] = [hotkey(0).address, hotkey(1).address];

/** Alice worked on 4 micro-batches of steps 0, 1, 2 and 5 and has claimed step 0; Bob on stage 1, one micro-batch. */
function oldDatabase(folder: string): void {
  const database = new DatabaseSync(join(folder, DATABASE_FILE));
  for (const sql of MIGRATIONS.slice(0, BEFORE_STATEMENTS)) database.exec(sql);
  database.exec(`
    PRAGMA user_version = ${BEFORE_STATEMENTS};
    INSERT INTO generations VALUES ('r', 1, 0, 9, 1);
    INSERT INTO hotkeys VALUES (1, '${ALICE}', 16, NULL), (2, '${BOB}', 1, NULL);
    INSERT INTO claims VALUES ('c', 1, 'text', 'signature', 40, 'test', '${ALICE}', 4, 5);`);
  const receipt = database.prepare(
    `INSERT INTO receipts VALUES (NULL, :id, 'r', :stage, :step, :microBatch, 32, x'00', x'00', NULL, x'00', 1, x'00', x'00',
      :hotkey, 10, 7, 5, :claimId)`,
  );
  const pay = (transfer: number, account: string): void =>
    database.exec(`INSERT INTO transfers VALUES (${transfer}, 'receipts', 'id', 5);
      INSERT INTO entries VALUES (${transfer}, 'emission', -10), (${transfer}, '${account}', 10);`);
  let transfer = 0;
  for (const step of [0, 1, 2, 5]) {
    for (let microBatch = 0; microBatch < 4; microBatch++) {
      const id = Buffer.from(sha256(`${step} ${microBatch}`), "hex");
      receipt.run({ id, stage: 0, step, microBatch, hotkey: 1, claimId: step === 0 ? "c" : null });
      pay(++transfer, `accrued:${ALICE}`);
    }
  }
  receipt.run({
    id: Buffer.from(sha256("bob"), "hex"),
    stage: 1,
    step: 5,
    microBatch: 3,
    hotkey: 2,
    claimId: null,
  });
  pay(++transfer, `accrued:${BOB}`);
  database.exec(`
    INSERT INTO transfers VALUES (100, 'claim', 'c', 5);
    INSERT INTO entries VALUES (100, 'accrued:${ALICE}', -40), (100, 'granted:${ALICE}', 40);
    INSERT INTO balances SELECT account, sum(amountRao) FROM entries GROUP BY account;`);
  database.close();
}

test("receipts of single micro-batches become statements: nothing that was earned or claimed is lost", async () => {
  const folder = temporaryFolder();
  oldDatabase(folder);
  const store = Store.open(folder, () => {});
  openLedger(store, folder, "r");
  try {
    expect(account(store, ALICE, OPTIONS)).toMatchObject({
      accruedRao: "120",
      claimedRao: "40",
      receipts: 16,
    });
    expect(account(store, BOB, OPTIONS)).toMatchObject({ accruedRao: "10", claimedRao: "0", receipts: 1 });
    expect(auditLedger(store).findings).toEqual([]);
    expect(
      store.all(
        "SELECT fromStep, toStep, receipts, claimId FROM statements WHERE hotkey = 1 ORDER BY number",
      ),
    ).toEqual([
      { fromStep: 0n, toStep: 0n, receipts: 4n, claimId: "c" },
      { fromStep: 1n, toStep: 2n, receipts: 8n, claimId: null },
      { fromStep: 5n, toStep: 5n, receipts: 4n, claimId: null },
    ]);
    const ids = (step: number) => [0, 1, 2, 3].map((microBatch) => sha256(`${step} ${microBatch}`));
    expect(await claimable(store, ALICE, OPTIONS)).toEqual({
      amountRao: "120",
      statementIds: [statementId([...ids(1), ...ids(2)]), statementId(ids(5))],
      epochFrom: 7,
      epochTo: 7,
      later: null,
    });
    expect(claimRows(store, ALICE, 9)).toMatchObject([{ claimId: "c", amountRao: "40", receipts: 4 }]);
    expect(store.all("SELECT kind, count(*) AS n FROM book GROUP BY kind ORDER BY kind")).toEqual([
      { kind: "claim", n: 1n },
      { kind: "statement", n: 4n },
    ]);
    for (const table of ["book", "postings", "claims"])
      await expect(store.write(() => store.run(`DELETE FROM ${table}`))).rejects.toThrow("append-only");
  } finally {
    store.close();
  }
});

/** The schema in which a step of a stage had one receipt, and the one before its chain. */
const BEFORE_SHARES = 6;

test("receipts of whole stages stay as they were sealed when replicas begin to have their own", async () => {
  const folder = temporaryFolder();
  const database = new DatabaseSync(join(folder, DATABASE_FILE));
  database.aggregate("chain", { start: "", step: (chain: string, _id) => chain });
  for (const sql of MIGRATIONS.slice(0, BEFORE_SHARES)) database.exec(sql);
  database.exec(`
    PRAGMA user_version = ${BEFORE_SHARES};
    INSERT INTO meta VALUES ('network', '${TEST_NETWORK}'), ('book', '0');
    INSERT INTO hotkeys VALUES (1, '${ALICE}', 2, NULL);
    INSERT INTO generations VALUES ('test', 1, 0, 1, 9, 9), ('test', 2, 0, 1, 9, 9);
    INSERT INTO assignments VALUES ('a', 'test', 1, 0, '${ALICE}'), ('b', 'test', 1, 1, '${BOB}'),
      ('a', 'test', 2, 0, '${ALICE}'), ('b', 'test', 2, 0, '${BOB}');`);
  const insert = database.prepare(
    `INSERT INTO receipts VALUES (:number, :id, 'test', 0, :step, 2, 64, :flops, :worker, NULL, :next, NULL, :dy, :y, NULL, :link, 1000,
      :workerSignature, NULL, :nextSignature, 1, 310, 7, 5, NULL, NULL, NULL, 1000000, :seal)`,
  );
  const bytes = (hex: string | null): Buffer => Buffer.from(hex ?? "", "hex");
  let seal = "";
  for (const step of [0, 1]) {
    const { body, ...signed } = receipt(session(0), { next: session(1) }, { stage: 0, step });
    const id = sha256(receiptText(body));
    seal = sealOf(seal, {
      ...signed,
      id,
      hotkey: ALICE,
      amountRao: 310n,
      raoPerTeraflop: 1_000_000n,
      block: 7,
      creditedAt: 5,
    });
    insert.run({
      number: step + 1,
      step,
      flops: body.flops,
      id: bytes(id),
      worker: bytes(body.worker),
      next: bytes(body.next),
      dy: bytes(body.dy),
      y: bytes(body.y),
      link: bytes(body.link),
      workerSignature: bytes(signed.workerSignature),
      nextSignature: bytes(signed.nextSignature),
      seal: bytes(seal),
    });
  }
  database.close();
  const store = Store.open(folder, () => {});
  try {
    openLedger(store, folder, "test");
    expect(auditLedger(store, { signatures: true })).toMatchObject({
      isClean: true,
      receipts: { kept: 2, seal },
    });
    expect(store.all("SELECT isShared FROM generations ORDER BY generation")).toEqual([
      { isShared: 0n },
      { isShared: 1n },
    ]);
    await expect(store.write(() => store.run("UPDATE receipts SET amountRao = 1"))).rejects.toThrow(
      "append-only",
    );
  } finally {
    store.close();
  }
});
