import { canonicalJson } from "../../src-protocol/canonical.ts";
import type { CanonicalValue } from "../../src-protocol/canonical.ts";
import { receiptsRoot, sha256 } from "../../src-protocol/signing.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";

/** What all pay comes from: its balance is minus everything that was ever credited. */
export const EMISSION = "emission";
/** What did not arrive of what was paid: fees and slippage of the chain. */
export const FEES = "fees";

export const accruedAccount = (hotkey: string): string => `accrued:${hotkey}`;
/** Claimed, and not paid yet. */
export const grantedAccount = (coldkey: string): string => `granted:${coldkey}`;
export const paidAccount = (coldkey: string): string => `paid:${coldkey}`;

export type BookKind = "statement" | "claim" | "payment" | "binding";
export type Posting = readonly [account: string, rao: bigint];

/** What a row of the book rests on, and what follows from it. */
export interface Entry {
  readonly document: CanonicalValue;
  readonly postings: readonly Posting[];
}

export interface BookHead {
  readonly number: bigint;
  readonly hash: string;
}

const EMPTY_BOOK: BookHead = { number: 0n, hash: "" };

export function bookHead(store: Store): BookHead {
  const row = store.get("SELECT number, hash FROM book ORDER BY number DESC LIMIT 1");
  return row === null ? EMPTY_BOOK : { number: bigintOf(row.number), hash: hexOf(row.hash) };
}

/**
 * Books what stands in its own table already: a chained row, its postings, and the balances; inside
 * `store.write` only.
 *
 * @throws Error when there is no such thing, or its postings do not sum to zero: a defect, never a user's mistake
 */
export function enter(store: Store, kind: BookKind, reference: string, at: number): BookHead {
  const entry = entryOf(store, kind, reference);
  if (entry === null) throw new Error(`there is no ${kind} ${reference} to be booked`);
  const sum = entry.postings.reduce((total, [, rao]) => total + rao, 0n);
  if (sum !== 0n) throw new Error(`a row of the book must sum to zero, not ${sum}`);
  const before = bookHead(store);
  const number = before.number + 1n;
  const hash = hashOf(before.hash, { number, kind, reference, at, ...entry });
  store.run("INSERT INTO book VALUES (:number, :kind, :reference, :at, :hash)", {
    number,
    kind,
    reference,
    at,
    hash: Buffer.from(hash, "hex"),
  });
  for (const [account, rao] of entry.postings) {
    store.run("INSERT INTO postings VALUES (:number, :account, :rao)", { number, account, rao });
    store.run(
      "INSERT INTO balances VALUES (:account, :rao) ON CONFLICT DO UPDATE SET rao = rao + excluded.rao",
      { account, rao },
    );
  }
  return { number, hash };
}

/** Of a row: SHA-256 of the row before, what it says, what it rests on and what it moves. */
export function hashOf(
  before: string,
  row: Entry & {
    readonly number: bigint;
    readonly kind: string;
    readonly reference: string;
    readonly at: number;
  },
): string {
  const { number, kind, reference, at, document, postings } = row;
  const moved = postings.map(([account, rao]) => [account, String(rao)]);
  return sha256(
    `Train at Home book v1\n${before}\n${canonicalJson({ number: String(number), kind, reference, at, document, postings: moved })}`,
  );
}

/** What the tables say of a row's reference, now as when it was booked; null: nothing. */
export function entryOf(store: Store, kind: BookKind, reference: string): Entry | null {
  switch (kind) {
    case "statement":
      return statementEntry(store, reference);
    case "claim":
      return claimEntry(store, reference);
    case "payment":
      return paymentEntry(store, reference);
    case "binding":
      return bindingEntry(store, reference);
  }
}

/** A statement pays its hotkey out of the emission. */
function statementEntry(store: Store, id: string): Entry | null {
  const row = store.get(
    "SELECT s.*, h.address FROM statements s JOIN hotkeys h ON h.number = s.hotkey WHERE s.id = :id",
    { id: Buffer.from(id, "hex") },
  );
  if (row === null) return null;
  const hotkey = textOf(row.address);
  const amountRao = bigintOf(row.amountRao);
  return {
    document: {
      id,
      runId: textOf(row.runId),
      hotkey,
      link: orNull(row.link, hexOf),
      amountRao: String(amountRao),
      ...numbers(row, ["stage", "fromStep", "toStep", "receipts", "fromBlock", "toBlock", "at"]),
    },
    postings: moved([EMISSION, accruedAccount(hotkey)], amountRao),
  };
}

/** A claim moves what its statements earned to the payout address. */
function claimEntry(store: Store, claimId: string): Entry | null {
  const row = store.get(
    "SELECT c.*, h.address FROM claims c JOIN hotkeys h ON h.number = c.hotkey WHERE c.claimId = :claimId",
    { claimId },
  );
  if (row === null) return null;
  const hotkey = textOf(row.address);
  const payoutColdkey = textOf(row.payoutColdkey);
  const amountRao = bigintOf(row.amountRao);
  const statements = store.all("SELECT id FROM statements WHERE claimId = :claimId", { claimId });
  return {
    document: {
      claimId,
      hotkey,
      payoutColdkey,
      amountRao: String(amountRao),
      asset: textOf(row.asset),
      text: sha256(textOf(row.text)),
      signature: textOf(row.signature),
      statements: receiptsRoot(statements.map(({ id }) => hexOf(id))),
      ...numbers(row, ["receipts", "at", "block"]),
    },
    postings: moved([accruedAccount(hotkey), grantedAccount(payoutColdkey)], amountRao),
  };
}

/** A payment: what arrived, and what the chain kept of it. */
function paymentEntry(store: Store, claimId: string): Entry | null {
  const row = store.get(
    "SELECT p.*, c.amountRao, c.payoutColdkey FROM payments p JOIN claims c USING (claimId) WHERE p.claimId = :claimId",
    { claimId },
  );
  if (row === null) return null;
  const payoutColdkey = textOf(row.payoutColdkey);
  const amountRao = bigintOf(row.amountRao);
  const creditedRao = bigintOf(row.creditedRao);
  const kept = amountRao - creditedRao;
  return {
    document: {
      claimId,
      payoutColdkey,
      amountRao: String(amountRao),
      creditedRao: String(creditedRao),
      blockHash: orNull(row.blockHash, textOf),
      extrinsic: textOf(row.extrinsic),
      ...numbers(row, ["block", "at"]),
    },
    postings: [
      [grantedAccount(payoutColdkey), -amountRao],
      [paidAccount(payoutColdkey), creditedRao],
      ...(kept === 0n ? [] : [[FEES, kept] as const]),
    ],
  };
}

export function bindingReference(hotkey: string, generation: number): string {
  return `${hotkey}/${generation}`;
}

/** A binding moves nothing: from it on, the hotkey is paid there. */
function bindingEntry(store: Store, reference: string): Entry | null {
  const [hotkey = "", generation = ""] = reference.split("/");
  const row = store.get(
    "SELECT b.* FROM bindings b JOIN hotkeys h ON h.number = b.hotkey WHERE h.address = :hotkey AND b.generation = :generation",
    { hotkey, generation: Number(generation) },
  );
  if (row === null) return null;
  const text = orNull(row.text, textOf);
  return {
    document: {
      hotkey,
      payoutColdkey: textOf(row.payoutColdkey),
      text: text === null ? null : sha256(text),
      signature: orNull(row.signature, textOf),
      ...numbers(row, ["generation", "at"]),
    },
    postings: [],
  };
}

function moved([from, to]: readonly [from: string, to: string], rao: bigint): readonly Posting[] {
  return rao === 0n
    ? []
    : [
        [from, -rao],
        [to, rao],
      ];
}

function numbers(row: StoredRow, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, numberOf(row[name])]));
}

export function balance(store: Store, account: string): bigint {
  return (
    orNull(store.get("SELECT rao FROM balances WHERE account = :account", { account })?.rao, bigintOf) ?? 0n
  );
}
