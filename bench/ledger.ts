import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { auditLedger } from "../src-orchestrator/ledger/audit.ts";
import {
  BOOK_OPTIONS,
  bookedLedger,
  claimOf,
  holdStages,
  receiptsOf,
} from "../src-orchestrator/ledger/books.test-support.ts";
import { acceptClaim } from "../src-orchestrator/ledger/claims.ts";
import type { Ledger } from "../src-orchestrator/ledger/ledger.ts";
import { Store } from "../src-orchestrator/stores/store.ts";
import { hotkey } from "../src-orchestrator/test-support/keys.test-support.ts";
import type { Progress } from "./bench.ts";

/** Steps of three stages. */
const STEPS = 600;
const MESSAGE = 32;
const CLAIMS = 120;
const AUDITS = 5;
/** As the store commits them at the most. */
const BATCH = 200;

export interface LedgerResult {
  /** Receipts that were verified, credited and on disk, and rows of the same size that were only written. */
  receiptsPerSecond: number;
  rawReceiptsPerSecond: number;
  receiptsRatio: number;
  claimsPerSecond: number;
  rawClaimsPerSecond: number;
  claimsRatio: number;
  /** Receipts and rows of the book. */
  auditRowsPerSecond: number;
  rawRowsReadPerSecond: number;
  auditRatio: number;
  receipts: number;
  claims: number;
  clean: boolean;
}

/** What the ledger makes of the store under it: durable receipts and claims, and a look through all of it. */
export async function benchLedger(progress: Progress): Promise<LedgerResult> {
  const folder = mkdtempSync(join(tmpdir(), "train-at-home-ledger-"));
  try {
    return await measured(folder, progress);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(folder: string, progress: Progress): Promise<LedgerResult> {
  const store = Store.open(folder, (error) => {
    throw error;
  });
  const raw = new RawStore(join(folder, "raw.db"));
  try {
    const ledger = await bookedLedger(store, folder);
    await store.write(() => store.run("UPDATE generations SET finishedStep = :steps", { steps: STEPS }));
    progress(`${3 * STEPS} receipts are signed …`);
    const receipts = Array.from({ length: STEPS }, (_, step) => receiptsOf(step)).flat();
    const messages = Array.from({ length: Math.ceil(receipts.length / MESSAGE) }, (_, i) =>
      receipts.slice(i * MESSAGE, (i + 1) * MESSAGE),
    );
    progress("… and credited");
    const credited = await seconds(async () => {
      const answers = await Promise.all(messages.map((message) => ledger.credit(message)));
      const stored = answers.reduce((sum, { answer }) => sum + answer.stored.length, 0);
      if (stored !== receipts.length) throw new Error(`${stored} of ${receipts.length} receipts were stored`);
    });
    const bytes = Math.round(Buffer.byteLength(JSON.stringify(receipts)) / receipts.length / 2);
    const rawCredited = await seconds(() => raw.write(receipts.length, bytes));

    progress(`${CLAIMS} claims`);
    const { claimed, count, claimBytes } = await claims(store, ledger);
    const rawClaimed = await seconds(() => raw.write(count, claimBytes));

    progress("the audit");
    let rows = 0;
    let clean = true;
    const audited = await seconds(() => {
      for (let i = 0; i < AUDITS; i++) {
        const report = auditLedger(store);
        rows += report.receipts.kept + report.book.rows;
        clean &&= report.isClean;
      }
    });
    let read = 0;
    const rawRead = await seconds(() => {
      for (let i = 0; i < AUDITS; i++)
        for (const table of ["receipts", "book"]) read += store.all(`SELECT * FROM ${table}`).length;
    });
    const rate = (amount: number, time: number): number => Math.round(amount / time);
    return {
      receiptsPerSecond: rate(receipts.length, credited),
      rawReceiptsPerSecond: rate(receipts.length, rawCredited),
      receiptsRatio: rounded(rawCredited / credited),
      claimsPerSecond: rate(count, claimed),
      rawClaimsPerSecond: rate(count, rawClaimed),
      claimsRatio: rounded(rawClaimed / claimed),
      auditRowsPerSecond: rate(rows, audited),
      rawRowsReadPerSecond: rate(read, rawRead),
      auditRatio: rounded((rawRead / read) * (rows / audited)),
      receipts: receipts.length,
      claims: count,
      clean,
    };
  } finally {
    raw.close();
    store.close();
  }
}

/** As at an epoch's end: many owners at once, each for one step of one stage. */
async function claims(store: Store, ledger: Ledger) {
  const owners = Array.from({ length: CLAIMS }, (_, i) => hotkey(i));
  for (let first = 0; first < CLAIMS; first += 3) {
    const step = STEPS + first / 3;
    await holdStages(store, {
      generation: 100 + first,
      from: step,
      to: step + 1,
      owners: owners.slice(first, first + 3),
    });
    await ledger.credit(receiptsOf(step));
  }
  const requests = await Promise.all(
    owners.map(async (owner) => ({ owner, asked: await claimOf(store, owner) })),
  );
  const claimed = await seconds(() =>
    Promise.all(requests.map(({ owner, asked }) => acceptClaim(store, BOOK_OPTIONS, owner.address, asked))),
  );
  return { claimed, count: owners.length, claimBytes: requests[0]?.asked.claim.text.length ?? 0 };
}

/** The store under the ledger: the same file format, settings and batches, and rows that nobody looks at. */
class RawStore {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    );
  }

  write(rows: number, bytes: number): void {
    const insert = this.#database.prepare("INSERT INTO rows VALUES (NULL, :row)");
    const row = new Uint8Array(bytes).fill(7);
    for (let done = 0; done < rows; done += BATCH) {
      this.#database.exec("BEGIN IMMEDIATE");
      for (let i = done; i < Math.min(rows, done + BATCH); i++) insert.run({ row });
      this.#database.exec("COMMIT");
    }
  }

  close(): void {
    this.#database.close();
  }
}

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function rounded(ratio: number): number {
  return Number(ratio.toPrecision(3));
}
