import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { z } from "zod";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { sha256 } from "../../src-protocol/signing.ts";

/**
 * How far the ledger had come, in a file beside the database: when the write-ahead log is lost, or an
 * older copy is put back, the database alone would not know that something is missing.
 */
export const ledgerHead = z.strictObject({
  book: z.strictObject({ number: z.int().nonnegative(), hash: z.union([sha256Hex, z.literal("")]) }),
  receipts: z.strictObject({ number: z.int().nonnegative(), seal: z.union([sha256Hex, z.literal("")]) }),
  /** Of the pipeline that was the last to finish a step: receipts rest on it. */
  finished: z
    .strictObject({
      runId: z.string(),
      generation: z.int().nonnegative(),
      step: z.int().nonnegative(),
      elapsedMs: z.number().nonnegative(),
    })
    .nullable(),
});
export type LedgerHead = z.infer<typeof ledgerHead>;

const SLOT_BYTES = 1024;

/** Two slots, written in turn and never flushed: it is as new as the last commit when the process is killed. */
export class HeadFile {
  readonly #file: number;
  #turn = 0;

  /** Forgets what was there: read it first. */
  constructor(path: string) {
    this.#file = openSync(path, "w", 0o600);
  }

  write(head: LedgerHead): void {
    const said = { turn: (this.#turn += 1), head };
    const text = JSON.stringify({ ...said, sum: sumOf(said) });
    writeSync(this.#file, text.padEnd(SLOT_BYTES - 1).concat("\n"), (this.#turn % 2) * SLOT_BYTES);
  }

  close(): void {
    closeSync(this.#file);
  }
}

const slot = z.strictObject({ turn: z.int().positive(), head: ledgerHead, sum: sha256Hex });

/** The newest slot that can be read; null: there is none. */
export function readHead(path: string): LedgerHead | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return null;
  }
  const slots = text.split("\n").flatMap((line) => {
    try {
      const { sum, ...said } = slot.parse(JSON.parse(line));
      return sumOf(said) === sum ? [said] : [];
    } catch {
      return [];
    }
  });
  return slots.sort((a, b) => b.turn - a.turn)[0]?.head ?? null;
}

function sumOf(said: { turn: number; head: LedgerHead }): string {
  return sha256(JSON.stringify(said));
}
