import { claimableAnswer } from "../../src-protocol/api.ts";
import { STATEMENTS_PER_CLAIM } from "../../src-protocol/claim.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { claimRow } from "../../src-protocol/state.ts";
import type { ClaimRow } from "../../src-protocol/state.ts";
import { openClaimOutbox } from "./claim-outbox.ts";
import type { ClaimOutbox, PendingClaim } from "./claim-outbox.ts";
import { makeClaim } from "./claim.ts";
import { noteRefused, ownClaimRow } from "./refused-claims.ts";
import type { ClaimTerms } from "./claim.ts";
import { RefusedByNetwork, signedJson } from "./signed-request.ts";
import type { SignedRequest } from "./signed-request.ts";

export interface ClaimAll extends ClaimTerms, Pick<SignedRequest, "fetch" | "now" | "signal" | "timeoutMs"> {
  /** Where a claim under way is kept. One for each hotkey. */
  readonly folder: string;
  readonly orchestratorUrl: string;
  /** The network's limit; a smaller one in tests. */
  readonly statementsPerClaim?: number;
}

/** One claim takes at most 10,000 statements: this many claims are more than anybody has waiting. */
const MOST_CLAIMS = 1000;
const underWay = new Map<string, Promise<ClaimRow[]>>();

/**
 * Claims everything that has accrued and returns the granted claims, oldest first; empty when there
 * was nothing. Safe to call again after a crash or a lost answer: a claim is on disk before it is
 * sent, and is sent again, the same, until the network has said yes or no. A second call while one
 * is at work joins it.
 */
export function claimAll(request: ClaimAll): Promise<ClaimRow[]> {
  const running = underWay.get(request.folder);
  if (running !== undefined) return running;
  const work = claimUntilNothingIsLeft(request).finally(() => underWay.delete(request.folder));
  underWay.set(request.folder, work);
  return work;
}

async function claimUntilNothingIsLeft(request: ClaimAll): Promise<ClaimRow[]> {
  const outbox = openClaimOutbox(request.folder);
  const granted: ClaimRow[] = [];
  const left = pendingOfThisHotkey(outbox, request);
  if (left !== null) {
    const row = await sendAgain(left, outbox, request);
    if (row !== null) granted.push(row);
  }
  while (granted.length < MOST_CLAIMS) {
    const claimable = await signedJson(
      request.hotkey,
      address(request, "account/claimable"),
      claimableAnswer,
      ports(request),
    );
    if (claimable.amountRao === "0" || claimable.statementIds.length === 0) break;
    const { claim, body } = makeClaim({ ...request, claimable, now: (request.now ?? Date.now)() });
    const pending = { claim, statementIds: claimable.statementIds };
    outbox.write(pending);
    granted.push(
      await send(pending, outbox, request).catch((error: unknown) => {
        if (isFinal(error))
          noteRefused(request.folder, ownClaimRow(body, "refused", failureBody(error).message));
        throw error;
      }),
    );
    // Receipts keep coming while training goes on: what came since is for the next time.
    if (claimable.statementIds.length < (request.statementsPerClaim ?? STATEMENTS_PER_CLAIM)) break;
  }
  return granted;
}

function pendingOfThisHotkey(outbox: ClaimOutbox, request: ClaimAll): PendingClaim | null {
  const found = outbox.read();
  if (found === null) return null;
  if (found.body.hotkey === request.hotkey.address && found.body.network === request.network) {
    return found.pending;
  }
  outbox.setAside();
  return null;
}

/** Null when the network had never seen it and no longer takes it: its receipts are claimed anew. */
async function sendAgain(
  pending: PendingClaim,
  outbox: ClaimOutbox,
  request: ClaimAll,
): Promise<ClaimRow | null> {
  try {
    return await send(pending, outbox, request);
  } catch (error) {
    if (isFinal(error)) return null;
    throw error;
  }
}

async function send(pending: PendingClaim, outbox: ClaimOutbox, request: ClaimAll): Promise<ClaimRow> {
  try {
    const row = await signedJson(request.hotkey, address(request, "claims"), claimRow, {
      ...ports(request),
      method: "POST",
      body: pending,
    });
    outbox.clear();
    return row;
  } catch (error) {
    if (isFinal(error)) outbox.clear();
    throw error;
  }
}

/**
 * A no that will stay a no. What is about the request and not about the claim (signature or clock,
 * wrong address, too many requests) and what is about the server is tried again later.
 */
function isFinal(error: unknown): boolean {
  if (!(error instanceof RefusedByNetwork) || error.status >= 500) return false;
  return ![401, 404, 408, 413, 425, 429].includes(error.status);
}

function ports({ fetch, now, signal, timeoutMs }: ClaimAll): SignedRequest {
  return {
    ...(fetch === undefined ? {} : { fetch }),
    ...(now === undefined ? {} : { now }),
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function address({ orchestratorUrl }: ClaimAll, path: string): URL {
  if (!URL.canParse(orchestratorUrl)) {
    throw new Failure(
      "network-bad-address",
      `"${orchestratorUrl.slice(0, 200)}" is not the address of a network. It has to start with http:// or https://.`,
    );
  }
  return new URL(`/v1/${path}`, orchestratorUrl);
}
