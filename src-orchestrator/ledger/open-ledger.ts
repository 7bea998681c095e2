import { join } from "node:path";
import { plural } from "../../src-protocol/amounts.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { bigintOf, hexOf, numberOf, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import type { AuditFinding, AuditReport } from "../../src-protocol/ledger-audit.ts";
import { auditLedger, isDerived, restoreDerived } from "./audit.ts";
import { bindingReference, bookHead, enter } from "./book.ts";
import { HeadFile, readHead } from "./head-file.ts";
import type { LedgerHead } from "./head-file.ts";
import { sealHead, sealOf, sealedOf } from "./seals.ts";

export const HEAD_FILE = "ledger.head";

/** What the owner is told of the ledger at the start: it goes on all the same. */
export type LedgerNotice = Failure;

/**
 * Looks the whole ledger through before anything rests on it, and from then on notes beside the database
 * how far it has come.
 *
 * @throws Failure `ledger-damaged`: what money rests on is not what was booked
 */
export function openLedger(store: Store, folder: string, runId: string): readonly LedgerNotice[] {
  const path = join(folder, HEAD_FILE);
  const notices: LedgerNotice[] = [];
  const last = readHead(path);
  writeNow(store, () => bookOfBefore(store));
  if (last !== null) {
    const lost = compare(store, last);
    if (lost !== null) notices.push(lost);
  }
  const { findings, found } = auditLedger(store);
  const damage = findings.find((finding) => !isDerived(finding));
  if (damage !== undefined) throw damaged(store.path, damage.message, found);
  const [first] = findings;
  if (first !== undefined) {
    writeNow(store, () => restoreDerived(store));
    notices.push(
      new Failure(
        "ledger-balances-mended",
        `${first.message} The book itself is sound, so balances and counts were made anew from it; nothing is lost.`,
      ),
    );
  }
  const file = new HeadFile(path);
  const note = (): void => {
    try {
      file.write(headOf(store, runId));
    } catch {
      // It says less then; the database is the truth.
    }
  };
  note();
  store.onCommit(note);
  return notices;
}

/** The same look without an opening: what is missing since the last head is a finding, too. */
export function lookAtLedger(store: Store, folder: string, signatures: boolean): AuditReport {
  const last = readHead(join(folder, HEAD_FILE));
  writeNow(store, () => bookOfBefore(store));
  const report = auditLedger(store, { signatures });
  const lost = last === null ? null : missing(store, last);
  if (lost === null) return report;
  const found: AuditFinding = { code: lost.code, where: HEAD_FILE, message: lost.message };
  return { ...report, isClean: false, findings: [found, ...report.findings], found: report.found + 1 };
}

function writeNow(store: Store, work: () => void): void {
  let failure: unknown = null;
  store.write(work).catch((error: unknown) => (failure = error));
  store.flush();
  if (failure !== null) throw failure;
}

function headOf(store: Store, runId: string): LedgerHead {
  const book = bookHead(store);
  const receipts = sealHead(store);
  const row = store.get(
    "SELECT generation, finishedStep, elapsedMs FROM generations WHERE runId = :runId ORDER BY generation DESC LIMIT 1",
    { runId },
  );
  return {
    book: { number: Number(book.number), hash: book.hash },
    receipts: { number: Number(receipts.number), seal: receipts.seal },
    finished:
      row === null
        ? null
        : {
            runId,
            generation: numberOf(row.generation),
            step: numberOf(row.finishedStep),
            elapsedMs: numberOf(row.elapsedMs),
          },
  };
}

interface Missing {
  readonly code: "book-row-changed" | "receipt-missing";
  readonly message: string;
}

/** What is not there any more, or is another than it was; null: nothing. */
function missing(store: Store, { book, receipts }: LedgerHead): Missing | null {
  const [rows, seals] = [Number(bookHead(store).number), Number(sealHead(store).number)];
  const row = store.get("SELECT hash FROM book WHERE number = :number", { number: book.number });
  const receipt = store.get("SELECT seal FROM receipts WHERE number = :number", { number: receipts.number });
  if (row !== null && hexOf(row.hash) !== book.hash)
    return {
      code: "book-row-changed",
      message: `Row ${book.number} of the book is another one than when it was last open.`,
    };
  if (receipt !== null && hexOf(receipt.seal) !== receipts.seal)
    return {
      code: "book-row-changed",
      message: `Receipt ${receipts.number} is another one than when it was last open.`,
    };
  const lost = { rows: Math.max(0, book.number - rows), receipts: Math.max(0, receipts.number - seals) };
  if (lost.rows === 0 && lost.receipts === 0) return null;
  const parts = [
    lost.receipts > 0 ? plural(lost.receipts, "receipt") : "",
    lost.rows > 0 ? plural(lost.rows, "row") : "",
  ].filter((part) => part !== "");
  return {
    code: "receipt-missing",
    message: `The ledger has ${parts.join(" and ")} fewer than when it was last open: its write-ahead log is gone, or an older copy was put back.`,
  };
}

/** Null: nothing is missing. */
function compare(store: Store, head: LedgerHead): LedgerNotice | null {
  const lost = missing(store, head);
  if (lost === null) return null;
  if (lost.code === "book-row-changed") throw damaged(store.path, lost.message, 1);
  const { finished } = head;
  // What the lost receipts rest on is lost with them: who sends them again is to be believed.
  if (finished !== null)
    writeNow(store, () => {
      store.run(
        `UPDATE generations SET finishedStep = max(finishedStep, :step), elapsedMs = max(elapsedMs, :elapsedMs)
         WHERE runId = :runId AND generation = :generation`,
        { ...finished, elapsedMs: Math.round(finished.elapsedMs) },
      );
    });
  return new Failure(
    "ledger-rows-lost",
    `${lost.message} Computers that still have those receipts send them again, and are paid once.`,
  );
}

function damaged(path: string, what: string, found: number): Failure {
  return new Failure(
    "ledger-damaged",
    `${what} ${found > 1 ? `(${plural(found, "finding")} in all.) ` : ""}The ledger in ${path} was left as it is, and nothing is paid by it: put a copy of it back, or move it away to begin a new one. \`tah ledger audit\` lists what is wrong.`,
  );
}

/** Of a database from before the book: it is written from statements, claims and bindings, and receipts are sealed. */
function bookOfBefore(store: Store): void {
  if (store.get("SELECT 1 FROM meta WHERE key = 'book'") !== null) return;
  store.run("DELETE FROM balances");
  for (const row of store.all(
    "SELECT h.address, b.generation, b.at FROM bindings b JOIN hotkeys h ON h.number = b.hotkey ORDER BY b.hotkey, b.generation",
  ))
    enter(
      store,
      "binding",
      bindingReference(textOf(row.address), numberOf(row.generation)),
      numberOf(row.at),
    );
  for (const row of store.all("SELECT id, at FROM statements ORDER BY number"))
    enter(store, "statement", hexOf(row.id), numberOf(row.at));
  for (const row of store.all("SELECT claimId, at FROM claims ORDER BY at, claimId"))
    enter(store, "claim", textOf(row.claimId), numberOf(row.at));
  sealOld(store);
  store.run("INSERT INTO meta VALUES ('book', :rows)", { rows: String(bookHead(store).number) });
}

/** Receipts of before keep their numbers; gaps that deleted ones have left are named. */
function sealOld(store: Store): void {
  let [number, seal] = [0n, ""];
  for (const row of store.all(
    "SELECT r.*, h.address FROM receipts r JOIN hotkeys h ON h.number = r.hotkey ORDER BY r.number",
  )) {
    const at = bigintOf(row.number);
    if (at > number + 1n) {
      const bytes = Buffer.from(seal, "hex");
      store.run("INSERT INTO pruned VALUES (:from, :to, :seal, :seal)", {
        from: number + 1n,
        to: at - 1n,
        seal: bytes,
      });
    }
    [number, seal] = [at, sealOf(seal, sealedOf(row))];
    store.run("UPDATE receipts SET seal = :seal WHERE number = :number", {
      seal: Buffer.from(seal, "hex"),
      number,
    });
  }
}
