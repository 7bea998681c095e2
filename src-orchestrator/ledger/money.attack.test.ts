import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimText, parseClaimText } from "../../src-protocol/claim.ts";
import type { ClaimBody } from "../../src-protocol/claim.ts";
import { createSessionSigner, receiptsRoot, sha256 } from "../../src-protocol/signing.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import { startOrchestrator } from "../orchestrator.ts";
import type { Orchestrator } from "../orchestrator.ts";
import { embeddedOptions } from "../orchestrator.test-support.ts";
import {
  TEST_NETWORK,
  btauthHeaders,
  hotkey,
  receipt,
  session,
  signedHeaders,
} from "../test-support/keys.test-support.ts";
import type { TestHotkey } from "../test-support/keys.test-support.ts";
import { auditLedger } from "./audit.ts";
import { earnSteps, ledgerOn, receiptsOf } from "./books.test-support.ts";

/** Each test is one attack on money, tried on a real orchestrator over HTTP; none may move a unit. */
const DAY_MS = 86_400_000;
const [ALICE, BOB, MALLORY] = [hotkey(0), hotkey(1), hotkey(9)];
const ACCOUNT = "/v1/account";

let folder: string;
let orchestrator: Orchestrator;
/** By how much every clock is off. */
let offMs = 0;
const now = (): number => Date.now() + offMs;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tah attack "));
  orchestrator = await startOrchestrator({ ...embeddedOptions(folder), now });
  await earnSteps(orchestrator.store, 3);
});
afterAll(async () => {
  await orchestrator.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly body?: string;
  readonly headers: Record<string, string>;
}

async function ask({ method = "GET", target = ACCOUNT, body, headers }: Asked) {
  const answer = await fetch(orchestrator.url + target, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return (await answer.json()) as {
    code?: string;
    amountRao?: string;
    statementIds?: string[];
    epochTo?: number;
  };
}

async function claimable(by: TestHotkey) {
  const target = "/v1/account/claimable";
  const answer = await ask({ target, headers: btauthHeaders(by, "GET", target, "", { now: now() }) });
  const { amountRao = "0", statementIds = [], epochTo = 0 } = answer;
  return { amountRao, statementIds, epochTo };
}

/** A claim of all that `of` has, as `by` would send it. */
async function claim(by: TestHotkey, change: Partial<ClaimBody> = {}, of = by): Promise<string> {
  const { amountRao, statementIds, epochTo } = await claimable(of);
  const body: ClaimBody = {
    schema: "train-at-home/claim/v1",
    network: TEST_NETWORK,
    netuid: 0,
    claimId: randomUUID(),
    hotkey: by.address,
    payoutColdkey: by.address,
    epochFrom: 0,
    epochTo,
    amountRao,
    asset: "test",
    receiptsRoot: receiptsRoot(statementIds),
    nonce: sha256(randomUUID()),
    issuedAt: now(),
    expiresAt: now() + 60_000,
    ...change,
  };
  const text = claimText(body);
  return JSON.stringify({ claim: { text, signature: by.sign(text) }, statementIds });
}

async function post(by: TestHotkey, body: string): Promise<string> {
  const headers = btauthHeaders(by, "POST", "/v1/claims", body, { now: now() });
  return (await ask({ method: "POST", target: "/v1/claims", body, headers })).code ?? "accepted";
}

/** Nothing has moved, and the book is sound. */
function unmoved(): void {
  expect(orchestrator.store.all("SELECT claimId FROM claims")).toEqual([]);
  expect(auditLedger(orchestrator.store).findings).toEqual([]);
}

test("a replayed request is answered once, of either kind, also after the clock was set", async () => {
  for (const sign of [btauthHeaders, signedHeaders]) {
    const headers = sign(ALICE, "GET", ACCOUNT, "", { now: now() });
    expect((await ask({ headers })).code).toBeUndefined();
    expect((await ask({ headers })).code).toBe("replayed-request");
  }
});

test("a request with a future timestamp is refused, and so is one of the past", async () => {
  for (const sign of [btauthHeaders, signedHeaders]) {
    for (const off of [9_000, -9_000])
      expect((await ask({ headers: sign(ALICE, "GET", ACCOUNT, "", { now: now() + off }) })).code).toBe(
        "stale-request",
      );
  }
});

test("a request whose body was swapped is refused", async () => {
  const mine = await claim(ALICE);
  const other = await claim(ALICE);
  for (const sign of [btauthHeaders, signedHeaders]) {
    const headers = sign(ALICE, "POST", "/v1/claims", mine, { now: now() });
    expect((await ask({ method: "POST", target: "/v1/claims", body: other, headers })).code).toBe(
      "bad-signature",
    );
  }
  unmoved();
});

test("a request whose path was swapped is refused, and so is another query or method", async () => {
  for (const sign of [btauthHeaders, signedHeaders]) {
    const headers = () => sign(ALICE, "GET", "/v1/account/receipts?limit=5", "", { now: now() });
    for (const target of [ACCOUNT, "/v1/account/receipts?limit=6", "/v1/claims"])
      expect((await ask({ target, headers: headers() })).code).toBe("bad-signature");
    const asked = { method: "POST", target: "/v1/account/receipts?limit=5", body: "", headers: headers() };
    expect(["bad-signature", "not-found"]).toContain((await ask(asked)).code);
  }
});

test("a forged receipt is not credited", async () => {
  const [, good] = receiptsOf(7);
  if (good === undefined) throw new Error("no receipt");
  const thief = createSessionSigner();
  const text = receiptText({ ...good.body, worker: thief.publicKey });
  const forged = [
    { ...good, body: { ...good.body, step: 8 } },
    { ...good, workerSignature: thief.sign(receiptText(good.body)) },
    { ...good, nextSignature: thief.sign(receiptText(good.body)) },
    { ...good, body: { ...good.body, worker: thief.publicKey }, workerSignature: thief.sign(text) },
  ];
  const { answer } = await ledgerOn(orchestrator.store, undefined, 0).credit(forged);
  expect(answer.stored).toEqual([]);
  expect(answer.refused.map(({ code }) => code)).toEqual([
    "forged-worker-signature",
    "forged-worker-signature",
    "forged-peer-signature",
    "not-assigned",
  ]);
  unmoved();
});

test("a receipt that was counter-signed by oneself is not credited", async () => {
  const [head, middle] = [session(0), session(1)];
  const alone = receipt(middle, { previous: middle, next: middle }, { stage: 1, step: 9 });
  const silent = receipt(head, { next: middle }, { stage: 0, step: 9 });
  const { answer } = await ledgerOn(orchestrator.store, undefined, 0).credit([
    alone,
    { ...silent, nextSignature: null },
  ]);
  expect(answer.refused.map(({ code }) => code)).toEqual(["own-counter-signature", "no-counter-signature"]);
  unmoved();
});

test("a claim by another hotkey moves nothing: neither with its own claim nor with a stolen one", async () => {
  const stolen = await claim(ALICE);
  expect(await post(MALLORY, stolen)).toBe("claim-other-hotkey");
  expect(await post(MALLORY, await claim(MALLORY, { amountRao: "465" }, ALICE))).toBe(
    "claim-unknown-receipt",
  );
  const forged = await claim(MALLORY, { hotkey: ALICE.address }, ALICE);
  expect(await post(ALICE, forged)).toBe("claim-forged");
  expect(await post(ALICE, await claim(ALICE, { payoutColdkey: MALLORY.address }))).toBe(
    "claim-wrong-destination",
  );
  unmoved();
});

test("a claim of an overflowing amount moves nothing", async () => {
  for (const amountRao of ["18446744073709551616", "99999999999999999999"])
    expect(await post(ALICE, await claim(ALICE, { amountRao }))).toBe("claim-above-accrued");
  expect(await post(ALICE, await claim(ALICE, { amountRao: "9".repeat(21) }))).toBe("claim-malformed");
  unmoved();
});

test("a claim of a negative amount moves nothing", async () => {
  for (const amountRao of ["-1", "-930", "0x10", "1.5", ""])
    expect(await post(ALICE, await claim(ALICE, { amountRao }))).toBe("claim-malformed");
  expect(await post(ALICE, await claim(ALICE, { amountRao: "0" }))).toBe("claim-below-receipts");
  unmoved();
});

test("a claim for the wrong network moves nothing", async () => {
  for (const change of [{ network: "another" }, { netuid: 9 }, { asset: "tao" }] as const)
    expect(await post(ALICE, await claim(ALICE, change))).toBe("claim-other-network");
  unmoved();
});

test("a clock that is set back a day opens no door, and closes none", async () => {
  const before = btauthHeaders(BOB, "GET", ACCOUNT, "", { now: now() });
  expect((await ask({ headers: before })).code).toBeUndefined();
  const late = await claim(BOB, { expiresAt: now() - 1, issuedAt: now() - 1_000 });
  offMs = -DAY_MS;
  try {
    expect((await ask({ headers: before })).code).toBe("stale-request");
    // Made in what is now the future.
    expect(await post(BOB, late)).toBe("claim-not-yet");
    await ledgerOn(orchestrator.store, undefined, orchestrator.host.block()).credit(receiptsOf(4));
    expect(await claimable(BOB)).toMatchObject({ statementIds: { length: 2 } });
  } finally {
    offMs = 0;
  }
  expect((await ask({ headers: before })).code).toBe("replayed-request");
  expect(await post(BOB, late)).toBe("claim-expired");
  unmoved();
});

test("two claims for one epoch pay once, at the same time, one after the other, and with one id", async () => {
  const [first, second] = [await claim(ALICE), await claim(ALICE)];
  const codes = await Promise.all([post(ALICE, first), post(ALICE, second), post(ALICE, first)]);
  expect(codes.sort()).toEqual(["accepted", "accepted", "claim-receipt-claimed"]);
  expect(await post(ALICE, second)).toMatch(/accepted|claim-receipt-claimed/);
  const { claim: signed } = JSON.parse(first) as { claim: { text: string } };
  const { claimId = "" } = parseClaimText(signed.text) ?? {};
  expect(await post(ALICE, await claim(ALICE, { claimId, amountRao: "1" }))).toMatch(
    /claim-id-used|claim-below-receipts|claim-bad-receipts/,
  );
  expect(orchestrator.store.all("SELECT count(*) AS n FROM claims")).toEqual([{ n: 1n }]);
  expect(auditLedger(orchestrator.store, { signatures: true }).findings).toEqual([]);
});
