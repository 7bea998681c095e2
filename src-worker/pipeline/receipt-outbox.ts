import { copyFile, open, readFile, rename, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import { NODE_MESSAGE_LIMIT_BYTES, RECEIPTS_PER_MESSAGE } from "../../src-protocol/control.ts";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { receiptText, signedReceipt } from "../../src-protocol/receipt.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { diskFailure } from "../disk/disk-failure.ts";

const SCHEMA = "train-at-home/receipts/v1";

const line = z.union([
  /** The first line, so that a file that holds nothing is told from one that was emptied. */
  z.strictObject({ schema: z.literal(SCHEMA) }),
  z.strictObject({ earned: signedReceipt }),
  /** Of a step that may not be finished. */
  z.strictObject({ signed: signedReceipt }),
  /** Such a one is earned, as it stands above. */
  z.strictObject({ due: z.array(sha256Hex) }),
  /** The orchestrator has them, as safe as its write-ahead log is. */
  z.strictObject({ stored: z.array(sha256Hex) }),
  /** Nobody will ask for these again. */
  z.strictObject({ answered: z.array(sha256Hex) }),
]);
type Line = z.infer<typeof line>;

/** Rewritten when this many answered receipts lie in the file. */
const COMPACT_AFTER = 4096;
/** More are not kept for an orchestrator that never says that they are safe. */
const MOST_KEPT = 8192;

/**
 * Receipts that the orchestrator may still ask for, in an append-only file of JSON lines: one that is in
 * here survives a kill. Those that wait for an answer, and those that it has stored and not yet called
 * safe: it could lose them with its write-ahead log. All are sent again with each connection.
 */
export class ReceiptOutbox {
  readonly #path: string;
  readonly #waiting: Map<string, SignedReceipt>;
  /** Stored, and not safe yet. */
  readonly #kept: Map<string, SignedReceipt>;
  /** Signed, and not known to be earned. */
  readonly #open: Map<string, SignedReceipt>;
  #file: FileHandle;
  #answered = 0;
  #last: Promise<void> = Promise.resolve();
  /** The flush under way, and the one after it: that serves all that is written before it begins. */
  #flush: Promise<void> = Promise.resolve();
  #nextFlush: Promise<void> | null = null;
  #compaction: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    { waiting, kept, open: signed }: Pick<Outbox, "waiting" | "kept" | "open">,
    file: FileHandle,
  ) {
    this.#path = path;
    this.#waiting = waiting;
    this.#kept = kept;
    this.#open = signed;
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
      const found = await read(path);
      const { damaged, isEmptied, exists } = found;
      if (isEmptied || (!exists && hasWorked)) report(emptied(path, exists));
      if (damaged > 0) report(unreadable(path, damaged));
      await rewrite(path, found);
      return new ReceiptOutbox(path, found, await open(path, "a", 0o600));
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  /** Resolves when the receipts are on disk; rejects with a disk Failure. */
  async add(receipts: readonly SignedReceipt[]): Promise<void> {
    if (receipts.length === 0) return;
    const lines = receipts.map((receipt): Line => {
      const id = receiptId(receipt);
      const before = this.#open.get(id);
      this.#open.delete(id);
      this.#waiting.set(id, receipt);
      return before !== undefined && isSame(before, receipt) ? { due: [id] } : { earned: receipt };
    });
    await this.#append(lines);
    // Pay is worth a flush: a receipt outlives a power cut too. What answers say is only said again.
    await this.#flushed();
  }

  /** On disk, though its step may not be finished yet: a process that is killed finds it in `open`. */
  async keep(receipt: SignedReceipt): Promise<void> {
    this.#open.set(receiptId(receipt), receipt);
    await this.#append([{ signed: receipt }]);
  }

  /** Kept, and neither earned nor answered. */
  get open(): SignedReceipt[] {
    return [...this.#open.values()];
  }

  /** The orchestrator has them on its disk. They are kept until it says that they are safe there. */
  async stored(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => {
      const receipt = this.#waiting.get(id);
      if (receipt === undefined) return false;
      this.#waiting.delete(id);
      this.#kept.set(id, receipt);
      return true;
    });
    if (known.length > 0) await this.#append([{ stored: known }]);
    const tooMany = this.#kept.size - MOST_KEPT;
    if (tooMany > 0) await this.answered([...this.#kept.keys()].slice(0, tooMany));
  }

  /** All that was stored so far is safe. */
  safe(): Promise<void> {
    return this.answered([...this.#kept.keys()]);
  }

  /** Nobody asks for them again: they are safe, or were refused for good. */
  async answered(ids: readonly string[]): Promise<void> {
    const known = ids.filter(
      (id) => this.#waiting.delete(id) || this.#kept.delete(id) || this.#open.delete(id),
    );
    if (known.length === 0) return;
    this.#answered += known.length;
    await this.#append([{ answered: known }]);
    if (this.#answered >= COMPACT_AFTER) await this.#compact();
  }

  /** All that may be asked for, oldest first, in batches that fit a control message. */
  batches(): SignedReceipt[][] {
    return inBatches([...this.#kept.values(), ...this.#waiting.values()]);
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#flush.catch(() => undefined);
    await this.#file.close();
  }

  /** Beside a flush: a slow disk keeps no receipt where a kill would take it. */
  #append(lines: readonly Line[]): Promise<void> {
    const text = lines.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    return this.#inTurn(() => this.#file.appendFile(text));
  }

  #flushed(): Promise<void> {
    this.#nextFlush ??= this.#flush
      .catch(() => undefined)
      .then(async () => {
        this.#nextFlush = null;
        await this.#compaction.catch(() => undefined);
        await this.#file.datasync();
      });
    this.#flush = this.#nextFlush;
    return this.#flush.catch((error: unknown) => {
      throw diskFailure(error, this.#path);
    });
  }

  #compact(): Promise<void> {
    return this.#inTurn(() => (this.#compaction = this.#rewritten()));
  }

  async #rewritten(): Promise<void> {
    this.#answered = 0;
    await this.#file.close();
    await rewrite(this.#path, { waiting: this.#waiting, kept: this.#kept, open: this.#open });
    this.#file = await open(this.#path, "a", 0o600);
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

/** A share's receipt names all who used it, and may be long: fewer of them fit into a message. */
const BATCH_BYTES = NODE_MESSAGE_LIMIT_BYTES * 0.75;

export function inBatches(receipts: readonly SignedReceipt[]): SignedReceipt[][] {
  const batches: SignedReceipt[][] = [];
  let room = 0;
  for (const receipt of receipts) {
    const bytes = JSON.stringify(receipt).length;
    const last = batches.at(-1);
    if (last === undefined || last.length === RECEIPTS_PER_MESSAGE || bytes > room) {
      batches.push([receipt]);
      room = BATCH_BYTES - bytes;
    } else {
      last.push(receipt);
      room -= bytes;
    }
  }
  return batches;
}

interface Outbox {
  readonly waiting: Map<string, SignedReceipt>;
  readonly kept: Map<string, SignedReceipt>;
  readonly open: Map<string, SignedReceipt>;
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
  const kept = new Map<string, SignedReceipt>();
  const signed = new Map<string, SignedReceipt>();
  // After the last newline stands nothing, or the line that a kill cut short: it was not counted.
  const lines = text.split("\n").slice(0, -1);
  let damaged = 0;
  for (const entry of lines) {
    const parsed = parse(entry);
    if (parsed === null) damaged += 1;
    else if ("schema" in parsed) continue;
    else if ("signed" in parsed) signed.set(receiptId(parsed.signed), parsed.signed);
    else if ("earned" in parsed) {
      const id = receiptId(parsed.earned);
      signed.delete(id);
      waiting.set(id, parsed.earned);
    } else if ("due" in parsed)
      for (const id of parsed.due) {
        const receipt = signed.get(id);
        if (receipt !== undefined) waiting.set(id, receipt);
        signed.delete(id);
      }
    else if ("stored" in parsed)
      for (const id of parsed.stored) {
        const receipt = waiting.get(id);
        if (receipt !== undefined) kept.set(id, receipt);
        waiting.delete(id);
      }
    else
      for (const id of parsed.answered) {
        waiting.delete(id);
        kept.delete(id);
        signed.delete(id);
      }
  }
  if (damaged > 0) await copyFile(path, `${path}.${Date.now()}.corrupt`);
  const exists = found !== null;
  return { waiting, kept, open: signed, damaged, exists, isEmptied: exists && lines.length === 0 };
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

/** The body is: they have the same id. */
function isSame(one: SignedReceipt, other: SignedReceipt): boolean {
  const signatures = ({ peerSignatures = [] }: SignedReceipt): string => peerSignatures.join();
  return signatures(one) === signatures(other);
}

function parse(text: string): Line | null {
  try {
    return line.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

async function rewrite(
  path: string,
  {
    waiting,
    kept,
    open: signed,
  }: Readonly<Record<"waiting" | "kept" | "open", ReadonlyMap<string, SignedReceipt>>>,
): Promise<void> {
  const temporary = `${path}.writing`;
  const lines: Line[] = [
    { schema: SCHEMA },
    ...[...kept.values(), ...waiting.values()].map((earned) => ({ earned })),
    ...(kept.size === 0 ? [] : [{ stored: [...kept.keys()] }]),
    ...[...signed.values()].map((each) => ({ signed: each })),
  ];
  const text = lines.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  await writeFile(temporary, text, { mode: 0o600, flush: true });
  await rename(temporary, path);
}
