import { expect, it } from "vitest";
import { claimBody } from "../../src-protocol/claim.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { hotkey } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { noteRefused, ownClaimRow, refusedClaims } from "./refused-claims.ts";

const body = (number: number) =>
  claimBody.parse({
    schema: "train-at-home/claim/v1",
    network: "test",
    netuid: 0,
    claimId: `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`,
    hotkey: hotkey(0).address,
    payoutColdkey: hotkey(1).address,
    epochFrom: 0,
    epochTo: 7,
    amountRao: "155",
    asset: "tao",
    receiptsRoot: "ab".repeat(32),
    nonce: "cd".repeat(32),
    issuedAt: 1_700_000_000_000 + number,
    expiresAt: 1_700_000_100_000,
  });

it("a claim that was refused is listed with the reason, newest first, and not for ever", () => {
  const folder = temporaryFolder();
  expect(refusedClaims(folder)).toEqual([]);
  for (let number = 0; number < 25; number++)
    noteRefused(folder, ownClaimRow(body(number), "refused", `Reason ${number}.`));
  const rows = refusedClaims(folder);
  expect(rows).toHaveLength(20);
  expect(rows[0]).toMatchObject({ status: "refused", detail: "Reason 24.", asset: "tao", payment: null });
  noteRefused(folder, ownClaimRow(body(24), "refused", "Again."));
  expect(refusedClaims(folder).filter(({ at }) => at === 1_700_000_000_024)).toHaveLength(1);
});
