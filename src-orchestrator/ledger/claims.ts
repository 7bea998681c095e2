import { z } from "zod";
import { RECEIPTS_PER_CLAIM, signedClaim } from "../../src-protocol/claim.ts";
import type { AccountAnswer, ClaimableAnswer } from "../../src-protocol/api.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex, ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { claimRefusal, readClaim } from "./claim-rules.ts";
import type { Asset, ClaimOptions, NamedReceipt } from "./claim-rules.ts";
import { accruedAccount, balance, grantedAccount, hotkeyNumber, transfer } from "./ledger.ts";
import { bigintOf, hexOf, numberOf, orNull, textOf } from "../stores/store.ts";
import type { Store, StoredRow } from "../stores/store.ts";

/** Body of `POST /v1/claims`. */
export const claimRequest = z.strictObject({
  claim: signedClaim,
  receiptIds: z.array(sha256Hex).max(RECEIPTS_PER_CLAIM),
});
export type ClaimRequest = z.infer<typeof claimRequest>;

/** Grants a claim once, whatever happens and however often it is sent; resolves when that is on disk. */
export function grantClaim(
  store: Store,
  options: ClaimOptions,
  requester: Ss58Address,
  { claim, receiptIds }: ClaimRequest,
): Promise<ClaimRow> {
  return store.write(() => {
    const body = readClaim(claim, requester, options);
    const { claimId, hotkey } = body;
    const earlier = store.get("SELECT * FROM claims WHERE claimId = :claimId", { claimId });
    if (earlier !== null) {
      if (textOf(earlier.text) === claim.text) return rowOf(earlier);
      throw new Failure("claim-id-used", "Another claim has this id already. Claim again with a new id.");
    }
    const now = options.now();
    const refusal = claimRefusal(
      body,
      namedReceipts(store, hotkey, receiptIds),
      receiptIds,
      payoutOf(store, hotkey),
      now,
      options.block(),
    );
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
      "INSERT INTO claims VALUES (:claimId, :number, :text, :signature, :amountRao, :asset, :payoutColdkey, :receipts, :now)",
      {
        claimId,
        number: hotkeyNumber(store, hotkey),
        text: claim.text,
        signature: claim.signature,
        amountRao,
        asset: body.asset,
        payoutColdkey: body.payoutColdkey,
        receipts: receiptIds.length,
        now,
      },
    );
    for (const id of receiptIds) {
      store.run("UPDATE receipts SET claimId = :claimId WHERE id = :id", {
        claimId,
        id: Buffer.from(id, "hex"),
      });
    }
    transfer(
      store,
      "claim",
      claimId,
      [
        [accruedAccount(hotkey), -amountRao],
        [grantedAccount(body.payoutColdkey), amountRao],
      ],
      now,
    );
    return {
      claimId,
      amountRao: body.amountRao,
      asset: body.asset,
      payoutColdkey: body.payoutColdkey,
      receipts: receiptIds.length,
      status: "granted",
      at: now,
    };
  }, receiptIds.length + 5);
}

/** All unclaimed receipts of a hotkey, oldest first, as many as one claim takes. */
export function claimable(store: Store, hotkey: Ss58Address): ClaimableAnswer {
  const rows = store.all(
    `SELECT r.id, r.amountRao, r.block FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
     WHERE h.address = :hotkey AND r.claimId IS NULL ORDER BY r.number LIMIT :limit`,
    { hotkey, limit: RECEIPTS_PER_CLAIM },
  );
  const blocks = rows.map((row) => numberOf(row.block));
  return {
    amountRao: String(rows.reduce((sum, row) => sum + bigintOf(row.amountRao), 0n)),
    receiptIds: rows.map((row) => hexOf(row.id)),
    epochFrom: blocks.reduce((low, block) => Math.min(low, block), blocks[0] ?? 0),
    epochTo: blocks.reduce((high, block) => Math.max(high, block), 0),
  };
}

export function account(store: Store, hotkey: Ss58Address, asset: Asset): AccountAnswer {
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
    accruedRao: String(balance(store, accruedAccount(hotkey))),
    claimedRao: String(orNull(claimed?.rao, bigintOf) ?? 0n),
    receipts: orNull(known?.receipts, numberOf) ?? 0,
  };
}

/** Newest first. */
export function claimRows(store: Store, hotkey: Ss58Address, limit: number): ClaimRow[] {
  return store
    .all(
      `SELECT c.* FROM claims c JOIN hotkeys h ON h.number = c.hotkey WHERE h.address = :hotkey
       ORDER BY c.at DESC, c.claimId LIMIT :limit`,
      { hotkey, limit },
    )
    .map(rowOf);
}

/** Binds where a hotkey is paid to; from then on nothing else is granted. */
export function bindPayout(store: Store, hotkey: Ss58Address, coldkey: Ss58Address): Promise<void> {
  return store.write(() => {
    const number = hotkeyNumber(store, hotkey);
    store.run("UPDATE hotkeys SET payoutColdkey = :coldkey WHERE number = :number", { coldkey, number });
  });
}

function payoutOf(store: Store, hotkey: Ss58Address): Ss58Address {
  const row = store.get("SELECT payoutColdkey FROM hotkeys WHERE address = :hotkey", { hotkey });
  const bound = orNull(row?.payoutColdkey, textOf);
  return bound === null ? hotkey : ss58Address.parse(bound);
}

function namedReceipts(store: Store, hotkey: Ss58Address, ids: readonly string[]): NamedReceipt[] {
  return ids.flatMap((id) => {
    const row = store.get(
      `SELECT r.amountRao, r.block, r.claimId FROM receipts r JOIN hotkeys h ON h.number = r.hotkey
       WHERE r.id = :id AND h.address = :hotkey`,
      { id: Buffer.from(id, "hex"), hotkey },
    );
    if (row === null) return [];
    return {
      id,
      amountRao: bigintOf(row.amountRao),
      block: numberOf(row.block),
      claimId: orNull(row.claimId, textOf),
    };
  });
}

function rowOf(row: StoredRow): ClaimRow {
  return {
    claimId: textOf(row.claimId),
    amountRao: String(bigintOf(row.amountRao)),
    asset: z.enum(["test", "alpha", "tao"]).parse(row.asset),
    payoutColdkey: ss58Address.parse(textOf(row.payoutColdkey)),
    receipts: numberOf(row.receipts),
    status: "granted",
    at: numberOf(row.at),
  };
}
