import { z } from "zod";
import { ed25519Signature, sessionKey } from "../../src-protocol/keys.ts";
import { receiptShare } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";

/**
 * Receipts are chained in the order of their numbers. Those that are added up are deleted one day;
 * then `pruned` keeps where the chain stood before and after them, so that it still holds.
 */
export interface SealHead {
  readonly number: bigint;
  readonly seal: string;
}

const UNBROKEN: SealHead = { number: 0n, seal: "" };

export function sealHead(store: Store): SealHead {
  const kept = store.get("SELECT number, seal FROM receipts ORDER BY number DESC LIMIT 1");
  const gone = store.get(
    "SELECT toNumber AS number, after AS seal FROM pruned ORDER BY fromNumber DESC LIMIT 1",
  );
  const heads = [kept, gone].flatMap((row) =>
    row === null || row.seal === null ? [] : [{ number: bigintOf(row.number), seal: hexOf(row.seal) }],
  );
  return heads.reduce((newest, head) => (head.number > newest.number ? head : newest), UNBROKEN);
}

/** All of a receipt that its id does not cover. */
export interface Sealed {
  readonly id: string;
  readonly workerSignature: string;
  readonly previousSignature: string | null;
  readonly nextSignature: string | null;
  /** Of a share; absent for a whole stage's receipt. */
  readonly peerSignatures?: readonly (string | null)[] | undefined;
  readonly hotkey: string;
  readonly amountRao: bigint;
  readonly raoPerTeraflop: bigint | null;
  readonly block: number;
  readonly creditedAt: number;
}

export function sealOf(before: string, receipt: Sealed): string {
  const { id, workerSignature, previousSignature, nextSignature, hotkey } = receipt;
  const { amountRao, raoPerTeraflop, block, creditedAt, peerSignatures } = receipt;
  return sha256(
    [
      "Train at Home receipt seal v1",
      before,
      id,
      workerSignature,
      previousSignature ?? "-",
      nextSignature ?? "-",
      hotkey,
      amountRao,
      raoPerTeraflop ?? "-",
      block,
      creditedAt,
      ...(peerSignatures ?? []).map((signature) => signature ?? "-"),
    ].join("\n"),
  );
}

/** `row` is of `receipts`, joined with its hotkey's `address`. */
export function sealedOf(row: StoredRow): Sealed {
  return {
    id: hexOf(row.id),
    workerSignature: hexOf(row.workerSignature),
    previousSignature: orNull(row.previousSignature, hexOf),
    nextSignature: orNull(row.nextSignature, hexOf),
    peerSignatures: orNull(row.share, shareOf)?.peerSignatures,
    hotkey: textOf(row.address),
    amountRao: bigintOf(row.amountRao),
    raoPerTeraflop: orNull(row.raoPerTeraflop, bigintOf),
    block: numberOf(row.block),
    creditedAt: numberOf(row.creditedAt),
  };
}

/** The column that a share's receipt has beside those of a whole stage's. */
const storedShare = z.strictObject({
  share: receiptShare,
  peerSignatures: z.array(ed25519Signature.nullable()),
});

export function shareText({ body, peerSignatures = [] }: SignedReceipt): string | null {
  return body.share === undefined ? null : JSON.stringify({ share: body.share, peerSignatures });
}

function shareOf(value: StoredRow[string] | undefined): z.infer<typeof storedShare> {
  return storedShare.parse(JSON.parse(textOf(value)));
}

const perhapsKey = sessionKey.nullable();

/** The receipt as it was signed, out of its columns. */
export function receiptOf(row: StoredRow, network: string): SignedReceipt {
  const sequence = orNull(row.sequence, numberOf);
  const shared = orNull(row.share, shareOf);
  return {
    body: {
      network,
      runId: textOf(row.runId),
      stage: numberOf(row.stage),
      step: numberOf(row.step),
      microBatches: numberOf(row.microBatches),
      tokens: numberOf(row.tokens),
      flops: numberOf(row.flops),
      worker: sessionKey.parse(hexOf(row.worker)),
      previous: perhapsKey.parse(orNull(row.previous, hexOf)),
      next: perhapsKey.parse(orNull(row.next, hexOf)),
      x: orNull(row.x, hexOf),
      dy: orNull(row.dy, hexOf),
      y: orNull(row.y, hexOf),
      dx: orNull(row.dx, hexOf),
      link: hexOf(row.link),
      finishedAt: numberOf(row.finishedAt),
      ...(sequence !== null && { chain: { sequence, before: orNull(row.before, hexOf) } }),
      ...(shared !== null && { share: shared.share }),
    },
    workerSignature: hexOf(row.workerSignature),
    previousSignature: orNull(row.previousSignature, hexOf),
    nextSignature: orNull(row.nextSignature, hexOf),
    ...(shared !== null && { peerSignatures: shared.peerSignatures }),
  };
}

/** Deletes receipts of steps below the bound that are in a statement, and keeps their part of the chain; inside `store.write` only. */
export function prune(store: Store, runId: string, below: number): void {
  const which = "statement IS NOT NULL AND (runId != :runId OR step < :below)";
  const doomed = store.all(`SELECT number, seal FROM receipts WHERE ${which} ORDER BY number`, {
    runId,
    below,
  });
  if (doomed.length === 0) return;
  let range: Range | null = null;
  const ranges: Range[] = [];
  for (const row of doomed) {
    const number = bigintOf(row.number);
    const seal = hexOf(row.seal);
    if (range?.to === number - 1n) {
      range.to = number;
      range.after = seal;
    } else {
      range = { from: number, to: number, before: sealAt(store, number - 1n), after: seal };
      ranges.push(range);
    }
  }
  store.run(`DELETE FROM receipts WHERE ${which}`, { runId, below });
  for (const { from, to, before, after } of ranges)
    store.run("INSERT INTO pruned VALUES (:from, :to, :before, :after)", {
      from,
      to,
      before: Buffer.from(before, "hex"),
      after: Buffer.from(after, "hex"),
    });
  joinRanges(store);
}

interface Range {
  readonly from: bigint;
  to: bigint;
  readonly before: string;
  after: string;
}

function sealAt(store: Store, number: bigint): string {
  const row =
    store.get("SELECT seal FROM receipts WHERE number = :number", { number }) ??
    store.get("SELECT after AS seal FROM pruned WHERE toNumber = :number", { number });
  return row === null ? "" : hexOf(row.seal);
}

/** Neighbouring ranges become one: of a long run's receipts a single row is left. */
function joinRanges(store: Store): void {
  const rows = store.all("SELECT fromNumber, toNumber, after FROM pruned ORDER BY fromNumber");
  let first: bigint | null = null;
  let last: StoredRow | null = null;
  for (const row of rows) {
    if (first !== null && last !== null && bigintOf(last.toNumber) + 1n === bigintOf(row.fromNumber)) {
      store.run("DELETE FROM pruned WHERE fromNumber = :from", { from: bigintOf(row.fromNumber) });
      store.run("UPDATE pruned SET toNumber = :to, after = :after WHERE fromNumber = :first", {
        first,
        to: bigintOf(row.toNumber),
        after: Buffer.from(hexOf(row.after), "hex"),
      });
    } else first = bigintOf(row.fromNumber);
    last = row;
  }
}
