import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import { claimRow } from "../../src-protocol/state.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** Older ones are of no use to anybody. */
const KEPT = 20;
const rows = z.array(claimRow);

/** A claim as its own text says it, before or without the network's yes. */
export function ownClaimRow(body: ClaimBody, status: "pending" | "refused", detail: string): ClaimRow {
  const { claimId, amountRao, asset, payoutColdkey, issuedAt } = body;
  return {
    claimId,
    amountRao,
    asset,
    payoutColdkey,
    receipts: 0,
    status,
    detail,
    payment: null,
    at: issuedAt,
  };
}

/** Claims that the network has said no to for good, newest first: `<folder>/refused-claims.json`. */
export function refusedClaims(folder: string): ClaimRow[] {
  try {
    return rows.parse(JSON.parse(readFileSync(join(folder, "refused-claims.json"), "utf8")));
  } catch {
    // A list for the owner to look at: nothing rests on it.
    return [];
  }
}

export function noteRefused(folder: string, row: ClaimRow): void {
  const others = refusedClaims(folder).filter(({ claimId }) => claimId !== row.claimId);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writePrivateFile(join(folder, "refused-claims.json"), JSON.stringify([row, ...others].slice(0, KEPT)));
  } catch {
    // The refusal itself is told all the same.
  }
}
