import { z } from "zod";
import { STATEMENTS_PER_CLAIM, signedClaim } from "../../src-protocol/claim.ts";
import type { AccountAnswer, ClaimableAnswer } from "../../src-protocol/api.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex, ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { claimRefusal, readClaim } from "./claim-rules.ts";
import type { ClaimOptions, NamedStatement } from "./claim-rules.ts";
import { bindingOf } from "./bindings.ts";
import { enter } from "./book.ts";
import { BLOCK_MS, nextEpoch } from "./clock.ts";
import { accruedRao, addUp, hotkeyNumber } from "./ledger.ts";
import { paidRao } from "./payments.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";

/** Body of `POST /v1/claims`. */
export const claimRequest = z.strictObject({
  claim: signedClaim,
  statementIds: z.array(sha256Hex).max(STATEMENTS_PER_CLAIM),
});
export type ClaimRequest = z.infer<typeof claimRequest>;

/** Accepts a claim once, whatever happens and however often it is sent; resolves when that is safely on disk. */
export async function acceptClaim(
  store: Store,
  options: ClaimOptions,
  requester: Ss58Address,
  { claim, statementIds }: ClaimRequest,
): Promise<ClaimRow> {
  // Before it is its turn to write: the signature takes longer than all that is written, and others wait meanwhile.
  const body = readClaim(claim, requester, options);
  const { claimId, hotkey } = body;
  return await store.writeSafely(() => {
    const earlier = claimById(store, claimId);
    if (earlier !== null) {
      if (textOf(earlier.text) === claim.text) return rowOf(earlier);
      throw new Failure("claim-id-used", "Another claim has this id already. Claim again with a new id.");
    }
    const now = options.now();
    const named = namedStatements(store, hotkey, statementIds);
    const receipts = named.reduce((sum, statement) => sum + statement.receipts, 0);
    const refusal = claimRefusal(body, named, statementIds, payoutOf(store, hotkey), now, options.block());
    if (refusal !== null) throw refusal;
    const nonce = store.run("INSERT OR IGNORE INTO nonces VALUES (:nonce, :hotkey, :now)", {
      nonce: body.nonce,
      hotkey,
      now,
    });
    if (nonce.changes === 0) {
      throw new Failure(
        "claim-nonce-used",
        "The claim's nonce was used before, so this may be a copy of another claim. Nothing was granted.",
      );
    }
    const amountRao = BigInt(body.amountRao);
    store.run(
      `INSERT INTO claims (claimId, hotkey, text, signature, amountRao, asset, payoutColdkey, receipts, at, block)
       VALUES (:claimId, :number, :text, :signature, :amountRao, :asset, :payoutColdkey, :receipts, :now, :block)`,
      {
        claimId,
        number: hotkeyNumber(store, hotkey),
        text: claim.text,
        signature: claim.signature,
        amountRao,
        asset: body.asset,
        payoutColdkey: body.payoutColdkey,
        receipts,
        now,
        block: options.block(),
      },
    );
    for (const id of statementIds) {
      store.run("UPDATE statements SET claimId = :claimId WHERE id = :id", {
        claimId,
        id: Buffer.from(id, "hex"),
      });
    }
    enter(store, "claim", claimId, now);
    const accepted = claimById(store, claimId);
    if (accepted === null) throw new Error("a claim was not stored");
    return rowOf(accepted);
  }, statementIds.length + 5);
}

/**
 * All unclaimed statements of a hotkey, oldest first, as many as one claim takes; what is not added up yet
 * is first. What was credited at blocks that have not come yet is left out: it would spoil the claim.
 */
export async function claimable(
  store: Store,
  hotkey: Ss58Address,
  { now, block }: Pick<ClaimOptions, "now" | "block">,
): Promise<ClaimableAnswer> {
  await store.write(() => addUp(store, hotkey, { now, block }));
  const until = block();
  const rows = store.all(
    `SELECT s.id, s.amountRao, s.fromBlock, s.toBlock FROM statements s JOIN hotkeys h ON h.number = s.hotkey
     WHERE h.address = :hotkey AND s.claimId IS NULL AND s.toBlock <= :until ORDER BY s.number LIMIT :limit`,
    { hotkey, until, limit: STATEMENTS_PER_CLAIM },
  );
  return {
    later: laterOf(store, hotkey, until),
    amountRao: String(rows.reduce((sum, row) => sum + bigintOf(row.amountRao), 0n)),
    statementIds: rows.map((row) => hexOf(row.id)),
    epochFrom: rows.length === 0 ? 0 : Math.min(...rows.map((row) => numberOf(row.fromBlock))),
    epochTo: rows.reduce((high, row) => Math.max(high, numberOf(row.toBlock)), 0),
  };
}

/** Credited at blocks that have not come yet; null: nothing is. */
function laterOf(store: Store, hotkey: Ss58Address, until: number): ClaimableAnswer["later"] {
  const row = store.get(
    `SELECT sum(rao) AS rao, min(block) AS block FROM (
       SELECT s.amountRao AS rao, s.toBlock AS block FROM statements s JOIN hotkeys h ON h.number = s.hotkey
         WHERE h.address = :hotkey AND s.claimId IS NULL AND s.toBlock > :until
       UNION ALL SELECT r.amountRao, r.block FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
         WHERE h.address = :hotkey AND r.statement IS NULL AND r.block > :until)`,
    { hotkey, until },
  );
  const rao = orNull(row?.rao, bigintOf) ?? 0n;
  return rao === 0n ? null : { amountRao: String(rao), fromBlock: numberOf(row?.block) };
}

export function account(
  store: Store,
  hotkey: Ss58Address,
  { asset, netuid, block }: Pick<ClaimOptions, "asset" | "netuid" | "block">,
): AccountAnswer {
  const known = store.get("SELECT number, receipts FROM hotkeys WHERE address = :hotkey", { hotkey });
  const claimed =
    known === null
      ? null
      : store.get("SELECT sum(amountRao) AS rao FROM claims WHERE hotkey = :number", {
          number: bigintOf(known.number),
        });
  return {
    hotkey,
    payoutColdkey: payoutOf(store, hotkey),
    asset,
    netuid,
    accruedRao: String(accruedRao(store, hotkey)),
    claimedRao: String(orNull(claimed?.rao, bigintOf) ?? 0n),
    paidRao: String(paidRao(store, hotkey)),
    receipts: orNull(known?.receipts, numberOf) ?? 0,
    block: block(),
    nextEpoch: nextEpoch(block()),
    blockMs: BLOCK_MS,
    later: laterOf(store, hotkey, block()),
    bindingGeneration: bindingOf(store, hotkey)?.generation ?? 0,
  };
}

/** Newest first. */
export function claimRows(store: Store, hotkey: Ss58Address, limit: number): ClaimRow[] {
  return store
    .all(
      `${CLAIMS} WHERE h.address = :hotkey
       ORDER BY c.at DESC, c.claimId LIMIT :limit`,
      { hotkey, limit },
    )
    .map(rowOf);
}

/** A claim with its payment, where there is one. */
const CLAIMS = `SELECT c.*, p.block AS paidBlock, p.blockHash, p.extrinsic, p.creditedRao, p.at AS paidAt
  FROM claims c JOIN hotkeys h ON h.number = c.hotkey LEFT JOIN payments p USING (claimId)`;

export function claimById(store: Store, claimId: string): StoredRow | null {
  return store.get(`${CLAIMS} WHERE c.claimId = :claimId`, { claimId });
}

/** Where a hotkey is paid to; by default to itself. */
function payoutOf(store: Store, hotkey: Ss58Address): Ss58Address {
  return bindingOf(store, hotkey)?.payoutColdkey ?? hotkey;
}

function namedStatements(store: Store, hotkey: Ss58Address, ids: readonly string[]): NamedStatement[] {
  return ids.flatMap((id) => {
    const row = store.get(
      `SELECT s.amountRao, s.receipts, s.fromBlock, s.toBlock, s.claimId FROM statements s JOIN hotkeys h ON h.number = s.hotkey
       WHERE s.id = :id AND h.address = :hotkey`,
      { id: Buffer.from(id, "hex"), hotkey },
    );
    if (row === null) return [];
    return {
      id,
      amountRao: bigintOf(row.amountRao),
      receipts: numberOf(row.receipts),
      fromBlock: numberOf(row.fromBlock),
      toBlock: numberOf(row.toBlock),
      claimId: orNull(row.claimId, textOf),
    };
  });
}

/** `row` is of `claimById`. */
export function rowOf(row: StoredRow): ClaimRow {
  return {
    claimId: textOf(row.claimId),
    amountRao: String(bigintOf(row.amountRao)),
    asset: z.enum(["test", "alpha", "tao"]).parse(row.asset),
    payoutColdkey: ss58Address.parse(textOf(row.payoutColdkey)),
    receipts: numberOf(row.receipts),
    status: row.extrinsic === null ? "accepted" : "paid",
    detail: orNull(row.held, textOf),
    payment:
      row.extrinsic === null
        ? null
        : {
            block: numberOf(row.paidBlock),
            blockHash: orNull(row.blockHash, textOf),
            extrinsic: textOf(row.extrinsic),
            creditedRao: String(bigintOf(row.creditedRao)),
            at: numberOf(row.paidAt),
          },
    at: numberOf(row.at),
  };
}
