import { expect, test } from "vitest";
import { hotkey as testHotkey, TEST_NETWORK } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { earnSteps } from "../../src-orchestrator/ledger/books.test-support.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { signableText } from "../../src-protocol/signable.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { verifyDelegation } from "../../src-protocol/sr25519.ts";
import { Accounts } from "./accounts.ts";
import { clockProblem } from "./clock-problem.ts";
import { delegate } from "../wallet/wallet.ts";
import type { Hotkey } from "../wallet/wallet.ts";

const AHEAD_MS = 95_000;

/** The keys that the nodes of a test use, as the daemon holds one. */
function owner(number: number): Hotkey {
  const { address, sign } = testHotkey(number);
  return { address, sign: (thing) => sign(signableText(thing)) };
}

test("C3: a wrong clock costs neither work nor sight: requests are dated by the network's, and the owner hears by how many seconds", async () => {
  // The network's clock is behind by as much as ours is ahead.
  let behind = AHEAD_MS;
  const { orchestrator } = await openOrchestrator({}, { now: () => Date.now() - behind });
  await earnSteps(orchestrator.store, 5);
  const own = owner(0);
  // The answers' dates are of this process: as the network's computer would write them.
  const dated: typeof globalThis.fetch = async (...request) => {
    const answer = await globalThis.fetch(...request);
    const headers = new Headers(answer.headers);
    headers.set("date", new Date(Date.now() - behind).toUTCString());
    return new Response(await answer.text(), { status: answer.status, headers });
  };
  const accounts = new Accounts({
    network: TEST_NETWORK,
    own,
    neighbours: [],
    payoutColdkey: own.address,
    claimFolder: temporaryFolder(),
    url: () => orchestrator.url,
    reach: { fetch: dated },
  });
  expect(await accounts.earnings()).toMatchObject({ receipts: 5 });
  expect(accounts.clockProblem?.message).toMatch(/This computer's clock is 9[4-6] s ahead of the network's/);
  expect(await accounts.claim()).toMatchObject({ receipts: 5, status: "paid", others: [] });

  behind = 0;
  expect(await accounts.earnings()).toMatchObject({ accruedRao: "0", receipts: 5 });
  expect(accounts.clockProblem).toBeNull();
});

test("a clock that is a week off is not followed by what earns: the sentence says by how much, and workers are let in all the same", async () => {
  const theirs = (): number => Date.now() + 7 * 86_400_000;
  const { orchestrator } = await openOrchestrator({}, { now: theirs });
  const own = owner(0);
  const accounts = new Accounts({
    network: TEST_NETWORK,
    own,
    neighbours: [],
    payoutColdkey: own.address,
    claimFolder: temporaryFolder(),
    url: () => orchestrator.url,
    reach: {
      fetch: async (...request) => {
        const answer = await globalThis.fetch(...request);
        const headers = { date: new Date(theirs()).toUTCString() };
        return new Response(await answer.text(), { status: answer.status, headers });
      },
    },
  });
  const refused: unknown = await accounts.earnings().then(
    () => null,
    (error: unknown) => error,
  );
  const told = clockProblem(refused);
  expect(told?.code).toBe("clock-wrong");
  expect(told?.message).toMatch(/This computer's clock is 604,8\d\d s behind the network's; 8 s are allowed/);
  const { publicKey: sessionKey } = createSessionSigner();
  const delegation = delegate(own, {
    network: TEST_NETWORK,
    sessionKey,
    now: accounts.networkNow(),
    days: 1,
  });
  expect(verifyDelegation(delegation, { network: TEST_NETWORK, now: theirs() })).toBeNull();
});

test("no other refusal is taken for one of the clock", () => {
  expect(clockProblem(new Error("stale-request"))).toBeNull();
});
