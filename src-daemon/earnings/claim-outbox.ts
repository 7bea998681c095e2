import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { claimableAnswer } from "../../src-protocol/api.ts";
import { parseClaimText, signedClaim } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

/** A claim that was signed and whose answer has not been seen yet. */
export const pendingClaim = z.strictObject({
  claim: signedClaim,
  statementIds: claimableAnswer.shape.statementIds,
});
export type PendingClaim = z.infer<typeof pendingClaim>;

/** `<folder>/claim.json`: at most one claim is under way, and it is on disk before it is sent. */
export interface ClaimOutbox {
  read(): { pending: PendingClaim; body: ClaimBody } | null;
  write(pending: PendingClaim): void;
  clear(): void;
  /** Puts a claim out of the way that cannot be sent from here, without losing it. */
  setAside(): void;
}

export function openClaimOutbox(folder: string): ClaimOutbox {
  const path = join(folder, "claim.json");
  return {
    read() {
      const text = readText(path);
      if (text === null) return null;
      const pending = pendingClaim.safeParse(parsed(text));
      const body = pending.success ? parseClaimText(pending.data.claim.text) : null;
      if (pending.success && body !== null) return { pending: pending.data, body };
      // What the file asked for is still claimable, or already granted: the network knows which.
      this.setAside();
      return null;
    },
    write(pending) {
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        writePrivateFile(path, JSON.stringify(pending));
      } catch (error) {
        throw new Failure(
          "claim-not-saved",
          `The claim could not be written to ${path}, so it was not sent; nothing is lost. Make room or allow writing there, then claim again.`,
          { cause: error },
        );
      }
    },
    clear: () => rmSync(path, { force: true }),
    setAside: () => renameSync(path, join(folder, "claim-set-aside.json")),
  };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new Failure(
      "claim-unreadable",
      `The claim under way in ${path} cannot be read, so no other is made. Check what is there and who may read it.`,
      { cause: error },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
