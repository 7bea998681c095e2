import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { auditRequest } from "../../src-protocol/ledger-audit.ts";
import type { AuditMessage, AuditReport, AuditRequest } from "../../src-protocol/ledger-audit.ts";
import { ready } from "../../src-protocol/sr25519.ts";
import { DATABASE_FILE, Store } from "../stores/store.ts";
import { HEAD_FILE, lookAtLedger } from "./open-ledger.ts";

/** A child of `tah ledger audit`: looks a ledger through that no orchestrator has open, on a copy. */
function tell(message: AuditMessage, then: () => void): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
}

if (process.send === undefined) {
  process.stderr.write("This is started by `tah ledger audit` and not by hand.\n");
  process.exit(1);
}
process.on("disconnect", () => process.exit(1));
process.once("message", (words) => {
  const leave = (): void => process.exit(0);
  Promise.resolve(words)
    .then(async (given) => {
      await ready();
      return audit(auditRequest.parse(given));
    })
    .then(
      (report) => tell({ type: "report", report }, leave),
      (error: unknown) => tell({ type: "failed", ...failureBody(error) }, leave),
    );
});

function audit({ folder, signatures }: AuditRequest): AuditReport {
  if (!existsSync(join(folder, DATABASE_FILE)))
    throw new Failure(
      "ledger-missing",
      `There is no ledger in ${folder}. Name the data folder of the network with --home.`,
    );
  const copy = mkdtempSync(join(tmpdir(), "train-at-home-audit-"));
  try {
    for (const file of [DATABASE_FILE, `${DATABASE_FILE}-wal`, HEAD_FILE])
      if (existsSync(join(folder, file))) copyFileSync(join(folder, file), join(copy, file));
    const store = Store.open(copy, () => undefined);
    try {
      return lookAtLedger(store, copy, signatures);
    } finally {
      store.close();
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
