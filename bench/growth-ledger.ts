import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HEAD_FILE, lookAtLedger } from "../src-orchestrator/ledger/open-ledger.ts";
import { DATABASE_FILE, Store } from "../src-orchestrator/stores/store.ts";
import { numberOf, textOf } from "../src-orchestrator/stores/store.ts";

export interface LedgerSize {
  /** Of pages in use; those of deleted rows are used again. */
  readonly bytes: number;
  /** Of tables with their indexes. */
  readonly tables: ReadonlyMap<string, number>;
  /** `tah ledger audit --signatures` has found nothing. */
  readonly isClean: boolean;
  readonly receipts: { readonly kept: number; readonly pruned: number };
}

/** A copy of the ledger at work, as a kill would leave it: its process stands still while it is made. */
export function lookAtCopy(network: string, orchestrator: number): LedgerSize {
  const folder = mkdtempSync(join(tmpdir(), "train-at-home-growth-"));
  try {
    process.kill(orchestrator, "SIGSTOP");
    try {
      for (const name of [DATABASE_FILE, `${DATABASE_FILE}-wal`, HEAD_FILE])
        if (existsSync(join(network, name))) copyFileSync(join(network, name), join(folder, name));
    } finally {
      process.kill(orchestrator, "SIGCONT");
    }
    const store = Store.open(folder, (error) => {
      throw error;
    });
    try {
      const { isClean, receipts } = lookAtLedger(store, folder, true);
      return { ...sizesOf(store), isClean, receipts };
    } finally {
      store.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function sizesOf(store: Store): Pick<LedgerSize, "bytes" | "tables"> {
  const tables = new Map(
    store
      .all(
        `SELECT s.tbl_name AS name, sum(d.pgsize) AS bytes FROM dbstat d
         JOIN sqlite_schema s ON s.name = d.name GROUP BY s.tbl_name ORDER BY bytes DESC`,
      )
      .map((row) => [textOf(row.name), numberOf(row.bytes)]),
  );
  return { bytes: [...tables.values()].reduce((sum, bytes) => sum + bytes, 0), tables };
}
