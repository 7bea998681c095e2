import { copyFile, open, readFile, rename, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import { RECEIPTS_PER_MESSAGE } from "../../src-protocol/control.ts";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { receiptText, signedReceipt } from "../../src-protocol/receipt.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { diskFailure } from "../stage/disk-failure.ts";

const SCHEMA = "train-at-home/receipts/v1";

const line = z.union([
  /** The first line, so that a file that holds nothing is told from one that was emptied. */
  z.strictObject({ schema: z.literal(SCHEMA) }),
  z.strictObject({ earned: signedReceipt }),
  z.strictObject({ answered: z.array(sha256Hex) }),
]);
type Line = z.infer<typeof line>;

/** Rewritten when this many answered receipts lie in the file. */
const COMPACT_AFTER = 4096;

/**
 * Receipts that the orchestrator has not confirmed yet, in an append-only file of JSON lines: one
 * that is in here survives a kill.
 */
export class ReceiptOutbox {
  readonly #path: string;
  readonly #waiting: Map<string, SignedReceipt>;
  #file: FileHandle;
  #answered = 0;
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, waiting: Map<string, SignedReceipt>, file: FileHandle) {
    this.#path = path;
    this.#waiting = waiting;
    this.#file = file;
  }

  /**
   * `hasWorked`: this node has trained before, so a file has to be there. `report` hears of receipts that
   * cannot be read any more.
   */
  static async open(
    path: string,
    hasWorked = false,
    report: (failure: Failure) => void = () => {},
  ): Promise<ReceiptOutbox> {
    try {
      const { waiting, damaged, isEmptied, exists } = await read(path);
      if (isEmptied || (!exists && hasWorked)) report(emptied(path, exists));
      if (damaged > 0) report(unreadable(path, damaged));
      await rewrite(path, waiting);
      return new ReceiptOutbox(path, waiting, await open(path, "a", 0o600));
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  /** Resolves when the receipts are on disk; rejects with a disk Failure. */
  async add(receipts: readonly SignedReceipt[]): Promise<void> {
    if (receipts.length === 0) return;
    for (const receipt of receipts) this.#waiting.set(receiptId(receipt), receipt);
    await this.#append(receipts.map((earned) => ({ earned })));
  }

  /** The orchestrator has them, or has refused them for good. */
  async answered(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => this.#waiting.delete(id));
    if (known.length === 0) return;
    this.#answered += known.length;
    await this.#append([{ answered: known }]);
    if (this.#answered >= COMPACT_AFTER) await this.#compact();
  }

  /** All that waits, oldest first, in batches that fit a control message. */
  batches(): SignedReceipt[][] {
    return inBatches([...this.#waiting.values()]);
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  #append(lines: readonly Line[]): Promise<void> {
    return this.#inTurn(async () => {
      await this.#file.appendFile(lines.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
      // Pay is worth a flush: a receipt outlives a power cut too.
      await this.#file.datasync();
    });
  }

  #compact(): Promise<void> {
    return this.#inTurn(async () => {
      this.#answered = 0;
      await this.#file.close();
      await rewrite(this.#path, this.#waiting);
      this.#file = await open(this.#path, "a", 0o600);
    });
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#last.catch(() => undefined).then(action);
    this.#last = done;
    return done.catch((error: unknown) => {
      throw diskFailure(error, this.#path);
    });
  }
}

export function receiptId({ body }: Pick<SignedReceipt, "body">): string {
  return sha256(receiptText(body));
}

export function inBatches(receipts: readonly SignedReceipt[]): SignedReceipt[][] {
  const batches: SignedReceipt[][] = [];
  for (let i = 0; i < receipts.length; i += RECEIPTS_PER_MESSAGE)
    batches.push(receipts.slice(i, i + RECEIPTS_PER_MESSAGE));
  return batches;
}

interface Outbox {
  readonly waiting: Map<string, SignedReceipt>;
  readonly damaged: number;
  readonly exists: boolean;
  /** There is a file, and not even its first line is in it. */
  readonly isEmptied: boolean;
}

async function read(path: string): Promise<Outbox> {
  const found = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  const text = found ?? "";
  const waiting = new Map<string, SignedReceipt>();
  // After the last newline stands nothing, or the line that a kill cut short: it was not counted.
  const lines = text.split("\n").slice(0, -1);
  let damaged = 0;
  for (const entry of lines) {
    const parsed = parse(entry);
    if (parsed === null) damaged += 1;
    else if ("schema" in parsed) continue;
    else if ("earned" in parsed) waiting.set(receiptId(parsed.earned), parsed.earned);
    else for (const id of parsed.answered) waiting.delete(id);
  }
  if (damaged > 0) await copyFile(path, `${path}.${Date.now()}.corrupt`);
  const exists = found !== null;
  return { waiting, damaged, exists, isEmptied: exists && lines.length === 0 };
}

function emptied(path: string, exists: boolean): Failure {
  return new Failure(
    "receipts-lost",
    `${path} ${exists ? "is empty" : "is missing"}, though this computer has trained: receipts that waited in it for the network's answer are lost, and their steps may stay unpaid. What was confirmed before is safe.`,
  );
}

function unreadable(path: string, lines: number): Failure {
  return new Failure(
    "receipts-damaged",
    `${lines} line${lines === 1 ? "" : "s"} of ${path} cannot be read, so what stood there may stay unpaid. A copy was kept beside it, and the others are used.`,
  );
}

function parse(text: string): Line | null {
  try {
    return line.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

async function rewrite(path: string, waiting: ReadonlyMap<string, SignedReceipt>): Promise<void> {
  const temporary = `${path}.writing`;
  const text = [{ schema: SCHEMA }, ...[...waiting.values()].map((earned) => ({ earned }))]
    .map((entry) => `${JSON.stringify(entry)}\n`)
    .join("");
  await writeFile(temporary, text, { mode: 0o600, flush: true });
  await rename(temporary, path);
}
