import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { DATABASE_FILE, Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { auditLedger } from "./audit.ts";
import { accruedAccount, paidAccount } from "./book.ts";
import {
  BOOK_OPTIONS,
  BOOK_RUN,
  OWNERS,
  bookedLedger,
  claimAll,
  ledgerOn,
  receiptsOf,
} from "./books.test-support.ts";
import { HEAD_FILE, openLedger } from "./open-ledger.ts";
import { payTestUnits } from "./payments.ts";

const [ALICE, BOB, CAROL] = OWNERS;

/** Six steps of three owners; Alice has claimed four and was paid, Bob has claimed and was not. */
async function fill(folder: string): Promise<void> {
  const store = Store.open(folder, () => {});
  const ledger = await bookedLedger(store, folder);
  for (let step = 0; step < 4; step++) await ledger.credit(receiptsOf(step));
  await claimAll(store, ALICE);
  await payTestUnits(store, BOOK_OPTIONS);
  await claimAll(store, BOB);
  for (let step = 4; step < 6; step++) await ledger.credit(receiptsOf(step));
  store.close();
}

let original: string;
beforeAll(async () => {
  original = mkdtempSync(join(tmpdir(), "tah-ledger-"));
  await fill(original);
});
afterAll(() => rmSync(original, { recursive: true, force: true }));

function filled(): string {
  const folder = temporaryFolder();
  copyLedger(original, folder);
  return folder;
}

/** Without the write-ahead log, as after its loss. */
function copyLedger(from: string, to: string): void {
  for (const file of [DATABASE_FILE, HEAD_FILE]) copyFileSync(join(from, file), join(to, file));
}

/** As somebody does who opens the database with another program. */
function tamper(folder: string, sql: string): void {
  const database = new DatabaseSync(join(folder, DATABASE_FILE));
  for (const { name } of database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all())
    database.exec(`DROP TRIGGER ${String(name)}`);
  database.exec(`PRAGMA foreign_keys = OFF; ${sql}`);
  database.close();
}

function reopened(folder: string, look: (store: Store) => void): void {
  const store = Store.open(folder, () => {});
  try {
    look(store);
  } finally {
    store.close();
  }
}

function codeAtStart(folder: string): string {
  try {
    let code = "started";
    reopened(folder, (store) => {
      code = openLedger(store, folder, BOOK_RUN.runId)[0]?.code ?? "started";
    });
    return code;
  } catch (error) {
    return error instanceof Failure ? error.code : String(error);
  }
}

describe("an audit", () => {
  test("recomputes every balance from receipts, statements, claims and payments", async () => {
    const store = Store.open(filled(), () => {});
    const report = auditLedger(store, { signatures: true });
    expect(report).toMatchObject({
      isClean: true,
      book: { rows: 5 },
      receipts: { kept: 18, pruned: 0, loose: 10 },
      statements: 2,
      claims: 2,
      payments: 1,
      signatures: 20,
    });
    expect(Object.fromEntries(report.accounts.map(({ account, rao }) => [account, rao]))).toEqual({
      emission: "-2480",
      [paidAccount(ALICE.address)]: "1240",
      [`granted:${BOB.address}`]: "1240",
    });
    store.close();
  });

  test.each([
    ["a statement that pays more", "UPDATE statements SET amountRao = amountRao + 1 WHERE number = 1"],
    ["a statement of somebody else", "UPDATE statements SET hotkey = 3 WHERE number = 2"],
    [
      "a statement without its row",
      "INSERT INTO statements SELECT NULL, x'aa', runId, stage, hotkey, 90, 91, receipts, link, amountRao, fromBlock, toBlock, at, NULL FROM statements LIMIT 1",
    ],
    ["a receipt's pay", "UPDATE receipts SET amountRao = 9999 WHERE step = 5 AND stage = 1"],
    [
      "a receipt's pay, with the price",
      "UPDATE receipts SET amountRao = amountRao * 2, raoPerTeraflop = raoPerTeraflop * 2 WHERE step = 5 AND stage = 1",
    ],
    ["a receipt's owner", "UPDATE receipts SET hotkey = 2 WHERE step = 5 AND stage = 0"],
    ["a receipt's digest", "UPDATE receipts SET y = x'00' WHERE step = 2 AND stage = 0"],
    [
      "a receipt's signature",
      "UPDATE receipts SET workerSignature = zeroblob(64) WHERE step = 2 AND stage = 0",
    ],
    ["a receipt that was taken out", "DELETE FROM receipts WHERE step = 4 AND stage = 0"],
    ["a payment of more", "UPDATE payments SET creditedRao = creditedRao + 1"],
    ["a payment that was taken out", "DELETE FROM payments"],
    [
      "a claim to another address",
      "UPDATE claims SET payoutColdkey = (SELECT address FROM hotkeys WHERE number = 3)",
    ],
    [
      "a claim's row that was taken out",
      "DELETE FROM postings WHERE book = 2; DELETE FROM book WHERE number = 2",
    ],
    ["a posting", "UPDATE postings SET amountRao = amountRao + 1 WHERE account = 'emission'"],
    ["a row's time", "UPDATE book SET at = at + 1 WHERE number = 1"],
  ])("finds %s, and the network does not start by it", async (_, sql) => {
    const folder = filled();
    tamper(folder, sql);
    reopened(folder, (open) => {
      const report = auditLedger(open);
      expect(report.isClean).toBe(false);
      expect(report.findings[0]?.message).toMatch(/\.$/);
    });
    expect(codeAtStart(folder)).toBe("ledger-damaged");
  });

  test("finds a whole chain that was made anew, by the head that was noted beside it", async () => {
    const folder = filled();
    // Whoever can write the database can also chain it anew; the payment becomes a row of before.
    tamper(
      folder,
      `DELETE FROM book; DELETE FROM postings; DELETE FROM payments; DELETE FROM meta WHERE key = 'book';
       INSERT INTO bindings VALUES (2, 1, (SELECT address FROM hotkeys WHERE number = 3), NULL, NULL, 0)`,
    );
    expect(codeAtStart(folder)).toBe("ledger-damaged");
  });

  test("of balances that do not fit their rows makes them anew, and says so", async () => {
    const folder = filled();
    tamper(folder, "UPDATE balances SET rao = rao + 5; UPDATE hotkeys SET receipts = 1");
    expect(codeAtStart(folder)).toBe("ledger-balances-mended");
    expect(codeAtStart(folder)).toBe("started");
  });

  test("F13: no flipped bit in what money rests on starts unnoticed", async () => {
    const folder = filled();
    const path = join(folder, DATABASE_FILE);
    const sound = readFileSync(path);
    const money = moneyOf(path);
    const unnoticed: number[] = [];
    let flips = 0;
    // A fixed walk over the file, so that a failure comes again.
    for (let at = 101; at < sound.length; at += 3_999) {
      const flipped = Buffer.from(sound);
      flipped[at] = (sound[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path, flipped);
      rmSync(`${path}-wal`, { force: true });
      flips += 1;
      if (codeAtStart(folder) === "started" && moneyOf(path) !== money) unnoticed.push(at);
    }
    expect(flips).toBeGreaterThan(40);
    expect(unnoticed).toEqual([]);
  }, 60_000);
});

/** All that money rests on, read by another program. */
function moneyOf(path: string): string {
  const database = new DatabaseSync(path);
  try {
    const tables = [
      "book",
      "postings",
      "balances",
      "statements",
      "claims",
      "payments",
      "receipts",
      "hotkeys",
    ];
    return JSON.stringify(
      tables.map((table) => {
        const query = database.prepare(`SELECT * FROM ${table}`);
        query.setReadBigInts(true);
        return query.all();
      }),
      (_, value: unknown) => (typeof value === "bigint" ? String(value) : value),
    );
  } finally {
    database.close();
  }
}

describe("receipts that were added up and deleted", () => {
  test("leave a chain that still audits, in one row", async () => {
    const folder = temporaryFolder();
    const store = Store.open(folder, () => {});
    const ledger = await bookedLedger(store, folder, () => 508);
    await ledger.credit(Array.from({ length: 513 }, (_, step) => receiptsOf(step)).flat());
    const report = auditLedger(store);
    expect(report.findings).toEqual([]);
    expect(report.receipts).toMatchObject({ kept: 15, pruned: 1524, loose: 3 });
    expect(store.all("SELECT fromNumber, toNumber FROM pruned")).toEqual([
      { fromNumber: 1n, toNumber: 1524n },
    ]);
    store.close();
    expect(codeAtStart(folder)).toBe("started");
    tamper(folder, "UPDATE pruned SET after = zeroblob(32)");
    expect(codeAtStart(folder)).toBe("ledger-damaged");
  });
});

describe("F6, F13: a write-ahead log that is lost", () => {
  test("is noticed, and its receipts are paid once when they come again", async () => {
    const folder = temporaryFolder();
    const store = Store.open(folder, () => {});
    const ledger = await bookedLedger(store, folder);
    await ledger.credit(receiptsOf(0));
    store.makeSafe();
    await ledger.credit(receiptsOf(1));
    // Killed: database and head are there, the log is not.
    const killed = temporaryFolder();
    copyLedger(folder, killed);
    store.close();
    expect(existsSync(join(killed, `${DATABASE_FILE}-wal`))).toBe(false);
    const again = Store.open(killed, () => {});
    const [notice] = openLedger(again, killed, BOOK_RUN.runId);
    expect(notice).toMatchObject({ code: "ledger-rows-lost" });
    expect(notice?.message).toContain("3 receipts fewer");
    // Workers send all that was not called safe, and more.
    const next = ledgerOn(again);
    const { answer } = await next.credit([...receiptsOf(0), ...receiptsOf(1)]);
    expect(answer).toMatchObject({ stored: { length: 6 }, refused: [] });
    expect(auditLedger(again)).toMatchObject({ isClean: true, receipts: { kept: 6 } });
    expect(accruedAccount(ALICE.address)).toContain(ALICE.address);
    again.close();
    expect(codeAtStart(killed)).toBe("started");
  });

  test("takes no claim with it: a claim is answered when it is safe", async () => {
    const folder = filled();
    const store = Store.open(folder, () => {});
    openLedger(store, folder, BOOK_RUN.runId);
    await claimAll(store, CAROL);
    const killed = temporaryFolder();
    copyLedger(folder, killed);
    store.close();
    reopened(killed, (open) => {
      expect(open.all("SELECT count(*) AS n FROM claims")).toEqual([{ n: 3n }]);
    });
  });

  test("takes what finished steps rest on with it, and the head gives that back", async () => {
    const folder = filled();
    const store = Store.open(folder, () => {});
    openLedger(store, folder, BOOK_RUN.runId);
    await store.write(() => store.run("UPDATE generations SET finishedStep = 12000, elapsedMs = 70000"));
    const killed = temporaryFolder();
    await ledgerOn(store).credit(receiptsOf(7));
    copyLedger(folder, killed);
    store.close();
    reopened(killed, (open) => {
      expect(openLedger(open, killed, BOOK_RUN.runId)[0]?.code).toBe("ledger-rows-lost");
      expect(open.get("SELECT finishedStep, elapsedMs FROM generations")).toEqual({
        finishedStep: 12_000n,
        elapsedMs: 70_000n,
      });
    });
  });
});
