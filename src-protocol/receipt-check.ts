import { overlaps } from "./micro-batch-set.ts";
import { receiptKey, receiptText, vouchedMicroBatches } from "./receipt.ts";
import type { SignedReceipt } from "./receipt.ts";
import { NEIGHBOURS } from "./receipt.ts";
import type { ExportedReceipt, ReceiptExport } from "./receipt-export.ts";
import { sha256, statementId, verifySession } from "./signing.ts";

export interface ExportFinding {
  readonly where: string;
  readonly message: string;
}

/** What an export proves by itself. */
export interface ExportCheck {
  readonly isGood: boolean;
  readonly receipts: number;
  readonly signatures: number;
  readonly statements: number;
  /** Statements all of whose receipts are in the file, so that their digest could be made again. */
  readonly remade: number;
  /** Of the statements, and of receipts that are in none yet. */
  readonly amountRao: string;
  /** Receipts that a worker has signed between others and that are not in the file: given up, or elsewhere. */
  readonly gaps: number;
  readonly findings: readonly ExportFinding[];
}

const MOST_FINDINGS = 100;

/** Checks ids, every signature, each worker's chain, statements and sums, without asking anybody. */
export function checkExport(file: ReceiptExport): ExportCheck {
  const findings: ExportFinding[] = [];
  const find = (where: string, message: string): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ where, message });
  };
  let signatures = 0;
  const paid = new Map<string, string>();
  const shares = new Map<string, ExportedReceipt[]>();
  const ofStatement = new Map<string, ExportedReceipt[]>();
  for (const one of file.receipts) {
    const { id, receipt } = one;
    const where = `receipt ${id}`;
    const text = receiptText(receipt.body);
    if (sha256(text) !== id) find(where, "is not what its id says: something in it was changed.");
    if (receipt.body.network !== file.network) find(where, `is of the network ${receipt.body.network}.`);
    signatures += 1;
    if (!verifySession(receipt.body.worker, text, receipt.workerSignature))
      find(where, "is not signed by its worker.");
    signatures += peerSignatures(receipt, text, (message) => find(where, message));
    const key = `${receiptKey(receipt.body)}/${receipt.body.worker}`;
    if (paid.has(key)) find(where, `is for the same work as receipt ${paid.get(key)}.`);
    paid.set(key, id);
    const { share, runId, stage, step } = receipt.body;
    if (share !== undefined) {
      const work = `${runId}/${stage}/${step}`;
      const others = shares.get(work) ?? [];
      const twin = others.find(({ receipt: { body } }) =>
        overlaps(body.share?.microBatches ?? "", share.microBatches),
      );
      if (twin !== undefined) find(where, `is for some of the work of receipt ${twin.id}.`);
      shares.set(work, [...others, one]);
    }
    if (!isPricedRight(one)) find(where, "is paid another amount than its operations are worth.");
    if (one.statementId !== null)
      ofStatement.set(one.statementId, [...(ofStatement.get(one.statementId) ?? []), one]);
  }
  const gaps = chains(file.receipts, find);
  const remade = statements(file, ofStatement, find);
  const loose = file.receipts.filter(({ statementId: id }) => id === null);
  const total = [...file.statements, ...loose].reduce((sum, { amountRao }) => sum + BigInt(amountRao), 0n);
  return {
    isGood: findings.length === 0,
    receipts: file.receipts.length,
    signatures,
    statements: file.statements.length,
    remade,
    amountRao: String(total),
    gaps,
    findings,
  };
}

/** How many were looked at; one of somebody else has to be there and right. */
function peerSignatures(receipt: SignedReceipt, text: string, find: (message: string) => void): number {
  let looked = 0;
  for (const side of NEIGHBOURS) {
    const [key, signature] = [receipt.body[side], receipt[`${side}Signature`]];
    if (signature === null) continue;
    looked += 1;
    if (key === null || key === receipt.body.worker) find(`is counter-signed by its own worker.`);
    else if (!verifySession(key, text, signature)) find(`is not signed by the ${side} peer.`);
  }
  for (const [at, { key, side }] of (receipt.body.share?.peers ?? []).entries()) {
    const signature = receipt.peerSignatures?.[at] ?? null;
    if (signature === null) continue;
    looked += 1;
    if (key === receipt.body.worker) find(`is counter-signed by its own worker.`);
    else if (!verifySession(key, text, signature)) find(`is not signed by a ${side} peer.`);
  }
  if (looked === 0) find("is counter-signed by nobody.");
  return looked;
}

function isPricedRight({ receipt, amountRao, raoPerTeraflop }: ExportedReceipt): boolean {
  if (raoPerTeraflop === null) return true;
  const operations = BigInt(receipt.body.flops) * BigInt(vouchedMicroBatches(receipt));
  return (operations * BigInt(raoPerTeraflop)) / 1_000_000_000_000n === BigInt(amountRao);
}

type Find = (where: string, message: string) => void;

/** Each worker's receipts follow one another; how many are missing in between. */
function chains(receipts: readonly ExportedReceipt[], find: Find): number {
  const workers = new Map<string, Map<number, ExportedReceipt>>();
  for (const one of receipts) {
    const { worker, chain } = one.receipt.body;
    if (chain === undefined) continue;
    const known = workers.get(worker) ?? new Map<number, ExportedReceipt>();
    const twin = known.get(chain.sequence);
    if (twin !== undefined)
      find(`receipt ${one.id}`, `has the place of receipt ${twin.id} in its worker's chain.`);
    known.set(chain.sequence, one);
    workers.set(worker, known);
  }
  let gaps = 0;
  for (const known of workers.values()) {
    const places = [...known.keys()].sort((a, b) => a - b);
    gaps += (places.at(-1) ?? 0) - (places[0] ?? 0) + 1 - places.length;
    for (const place of places) {
      const before = known.get(place - 1);
      const one = known.get(place);
      if (before !== undefined && one?.receipt.body.chain?.before !== before.id)
        find(`receipt ${one?.id}`, "does not follow the receipt before it in its worker's chain.");
    }
  }
  return gaps;
}

function statements(
  { statements: all }: ReceiptExport,
  ofStatement: ReadonlyMap<string, readonly ExportedReceipt[]>,
  find: Find,
): number {
  let remade = 0;
  const known = new Set(all.map(({ id }) => id));
  for (const id of ofStatement.keys())
    if (!known.has(id)) find(`statement ${id}`, "is named by receipts, and is not in the file.");
  for (const { id, receipts: count, amountRao, runId, stage, fromStep, toStep } of all) {
    const receipts = [...(ofStatement.get(id) ?? [])].sort(
      (a, b) => a.receipt.body.step - b.receipt.body.step,
    );
    const isOther = ({ receipt: { body } }: ExportedReceipt): boolean =>
      body.runId !== runId || body.stage !== stage || body.step < fromStep || body.step > toStep;
    if (receipts.some(isOther)) find(`statement ${id}`, "has receipts of other work than its own.");
    if (receipts.length < count) continue;
    if (receipts.length > count) find(`statement ${id}`, "has more receipts than it counts.");
    remade += 1;
    const sum = receipts.reduce((total, one) => total + BigInt(one.amountRao), 0n);
    if (statementId(receipts.map((one) => one.id)) !== id)
      find(`statement ${id}`, "is not the chain of its receipts.");
    if (sum !== BigInt(amountRao)) find(`statement ${id}`, "is not the sum of its receipts.");
  }
  return remade;
}

const COLUMNS = [
  "id",
  "runId",
  "stage",
  "step",
  "microBatches",
  "tokens",
  "flops",
  "amountRao",
  "asset",
  "block",
  "creditedAt",
  "statementId",
  "worker",
  "previous",
  "next",
  "workerSignature",
  "previousSignature",
  "nextSignature",
] as const;

/** One line a receipt, for spreadsheets (RFC 4180). Verified is the JSON. */
export function exportCsv({ receipts, asset }: ReceiptExport): string {
  const lines = receipts.map(({ receipt: { body, ...signatures }, ...paid }) => {
    const row: Record<string, unknown> = { ...body, ...signatures, ...paid, asset };
    return COLUMNS.map((name) => csvField(name === "creditedAt" ? iso(paid.creditedAt) : row[name])).join(
      ",",
    );
  });
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function csvField(value: unknown): string {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  // SECURITY: a spreadsheet takes a field that begins so for a formula.
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
