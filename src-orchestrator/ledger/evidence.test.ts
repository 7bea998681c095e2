import { expect, test } from "vitest";
import { checkExport, exportCsv } from "../../src-protocol/receipt-check.ts";
import { receiptExport } from "../../src-protocol/receipt-export.ts";
import type { ReceiptExport } from "../../src-protocol/receipt-export.ts";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { TEST_NETWORK } from "../test-support/keys.test-support.ts";
import { OWNERS, bookedLedger, claimAll, receiptsOf } from "./books.test-support.ts";
import { evidence } from "./evidence.ts";

const [, , CAROL] = OWNERS;

/** All pages of the tail's owner, who has claimed four of six receipts. */
async function exported(): Promise<ReceiptExport> {
  const folder = temporaryFolder();
  const store = Store.open(folder, () => {});
  const ledger = await bookedLedger(store, folder);
  for (let step = 0; step < 4; step++) await ledger.credit(receiptsOf(step));
  await claimAll(store, CAROL);
  for (let step = 4; step < 6; step++) await ledger.credit(receiptsOf(step));
  const page = evidence(store, TEST_NETWORK, CAROL.address, { afterReceipt: 0, afterStatement: 0 });
  expect(page.next).toBeNull();
  store.close();
  return receiptExport.parse({
    schema: "train-at-home/receipts-export/v1",
    network: TEST_NETWORK,
    hotkey: CAROL.address,
    asset: "test",
    exportedAt: 1,
    receipts: page.receipts,
    statements: page.statements,
  });
}

type Change = (file: ReceiptExport) => void;

test("an export is checked offline: ids, signatures, statements and sums; and each change in it is found", async () => {
  const sound = await exported();
  const expected = { receipts: 6, signatures: 12, statements: 1, remade: 1, amountRao: "1860", gaps: 0 };
  expect(checkExport(sound)).toMatchObject({ ...expected, isGood: true, findings: [] });
  const other = sound.receipts[1]?.receipt.workerSignature ?? "";
  const changes: [string, Change][] = [
    ["id says", ({ receipts: [one] }) => one && (one.receipt.body.tokens += 1)],
    ["not signed by its worker", ({ receipts: [one] }) => one && (one.receipt.workerSignature = other)],
    ["by the previous peer", ({ receipts: [one] }) => one && (one.receipt.previousSignature = other)],
    ["by nobody", ({ receipts: [one] }) => one && (one.receipt.previousSignature = null)],
    ["another amount", ({ receipts: [one] }) => one && (one.amountRao = "311")],
    ["sum of its receipts", ({ statements: [one] }) => one && (one.amountRao = "1")],
    ["more receipts than it counts", ({ statements: [one] }) => one && (one.receipts = 3)],
    ["not in the file", (file) => file.statements.splice(0)],
    [
      "does not follow",
      ({ receipts: [, , one] }) =>
        one?.receipt.body.chain && (one.receipt.body.chain.before = "0".repeat(64)),
    ],
    ["same work", (file) => file.receipts.push(structuredClone(file.receipts[0]) as never)],
  ];
  for (const [message, change] of changes) {
    const copy = structuredClone(sound);
    change(copy);
    const { findings } = checkExport(copy);
    expect(findings.map((finding) => finding.message).join("\n")).toContain(message);
  }
});

test("a receipt that is missing in a worker's chain is counted", async () => {
  const file = await exported();
  file.receipts.splice(4, 1);
  expect(checkExport(file).gaps).toBe(1);
});

test("the table for spreadsheets has a line for each receipt, and no formula in it", async () => {
  const file = await exported();
  const [one] = file.receipts;
  if (one !== undefined) one.receipt.body.runId = '=cmd|" /C calc"!A0';
  const lines = exportCsv(file).trimEnd().split("\r\n");
  expect(lines).toHaveLength(7);
  expect(lines[1]).toContain(`,"'=cmd|"" /C calc""!A0",2,0,2,64,`);
});
