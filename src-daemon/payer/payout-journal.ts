import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { z } from "zod";
import { chainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { raoText } from "../../src-protocol/units.ts";
import type { SignedAction } from "../chain/chain-sending.ts";

/** What one claim gets of what was signed. */
const share = z.strictObject({ claimId: z.string(), to: ss58Address, amountRao: raoText });
export type PayoutShare = z.infer<typeof share>;

const begun = z.strictObject({
  shares: z.array(share),
  signed: z.strictObject({
    action: chainAction,
    from: ss58Address,
    extrinsic: z.string().regex(/^0x[0-9a-f]+$/),
    hash: z.string(),
    nonce: z.int().nonnegative(),
    birth: z.int().nonnegative(),
    death: z.int().nonnegative(),
    payload: z.string().optional(),
  }),
});
/** As it was written when each claim had a transaction of its own. */
const begunAlone = z
  .strictObject({ claimId: z.string(), signed: begun.shape.signed })
  .transform(({ claimId, signed }): z.infer<typeof begun> => {
    const { action } = signed;
    const isPayment = action.kind === "transfer" || action.kind === "transfer-stake";
    const shares = isPayment ? [{ claimId, to: action.to, amountRao: action.amountRao }] : [];
    return { shares, signed };
  });
/** `paid`; `failed`: it is in a block and did nothing; `gone`: in none, and in none to come. */
const ended = z.strictObject({
  claimId: z.string(),
  hash: z.string(),
  end: z.enum(["paid", "failed", "gone"]),
});
const journalLine = z.union([begun, begunAlone, ended]);

/** What was signed, and for which claims. */
export interface OpenPayout {
  readonly shares: readonly PayoutShare[];
  readonly signed: SignedAction;
}

/**
 * What was signed for which claim: on disk before it is sent, so that whoever comes after a crash sends the same
 * again, which a chain takes once, and signs nothing new while that may still arrive. Append-only JSON lines.
 */
export class PayoutJournal {
  readonly #path: string;
  readonly #open = new Map<string, OpenPayout>();

  /** @throws Failure `payouts-damaged`: a line in the middle is none, so that nobody knows what was sent */
  constructor(path: string) {
    this.#path = path;
    const text = textOf(path);
    const lines = text.split("\n");
    // Cut by a kill before it was on disk: then it was not sent either.
    const cut = lines.pop() ?? "";
    for (const [index, line] of lines.entries()) {
      const read = journalLine.safeParse(parsed(line));
      if (read.success) this.#take(read.data);
      else
        throw new Failure(
          "payouts-damaged",
          `Line ${index + 1} of ${path} is damaged, so it is not known what was paid. Nothing is paid until it is put right: put a copy of the file back.`,
        );
    }
    if (cut !== "") truncateSync(path, Buffer.byteLength(text) - Buffer.byteLength(cut));
  }

  /** Signed for this claim, with an end that is not known; null: nothing. */
  openFor(claimId: string): OpenPayout | null {
    return this.#open.get(claimId) ?? null;
  }

  begin(shares: readonly PayoutShare[], signed: SignedAction): void {
    this.#add({ shares: [...shares], signed });
  }

  end(claimId: string, hash: string, end: z.infer<typeof ended>["end"]): void {
    this.#add({ claimId, hash, end });
  }

  #take(line: z.infer<typeof begun> | z.infer<typeof ended>): void {
    if ("signed" in line) for (const { claimId } of line.shares) this.#open.set(claimId, line);
    else if (this.#open.get(line.claimId)?.signed.hash === line.hash) this.#open.delete(line.claimId);
  }

  #add(line: z.infer<typeof begun> | z.infer<typeof ended>): void {
    this.#append(`${JSON.stringify(line)}\n`);
    this.#take(line);
  }

  #append(text: string): void {
    try {
      const file = openSync(this.#path, "a", 0o600);
      try {
        writeSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    } catch (error) {
      throw new Failure("payouts-not-noted", `${this.#path} cannot be written, so nothing is paid.`, {
        cause: error,
      });
    }
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw new Failure("payouts-damaged", `${path} cannot be read, so it is not known what was paid.`, {
      cause: error,
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
