import { expect, test } from "vitest";
import { until } from "../../src-orchestrator/test-support/fake-node.test-support.ts";
import { hotkey as testHotkey, TEST_NETWORK } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { Accounts } from "./accounts.ts";
import { clockProblem } from "./clock-problem.ts";
import { delegate } from "../wallet/wallet.ts";
import type { Hotkey } from "../wallet/wallet.ts";

const AHEAD_MS = 95_000;

/** The keys that the nodes of a test use, as the daemon holds one. */
function owner(number: number): Hotkey {
  const { address, sign } = testHotkey(number);
  return { address, signText: sign } as Hotkey;
}

test("a wrong clock costs no work: the owner hears by how many seconds, and what waits is accepted when it is right", async () => {
  // The network's clock is behind by as much as ours is ahead.
  let behind = AHEAD_MS;
  const { orchestrator, net } = await openOrchestrator(
    { steps: 5 },
    {
      now: () => Date.now() - behind,
      times: { helloTimeoutMs: 5_000, heartbeatMs: 500, deadAfterMs: 20_000 },
    },
  );
  const own = owner(0);
  const accounts = new Accounts({
    network: TEST_NETWORK,
    netuid: 0,
    own,
    neighbours: [],
    payoutColdkey: own.address,
    claimFolder: temporaryFolder(),
    url: () => orchestrator.url,
    reach: { fetch: globalThis.fetch },
  });
  for (const number of [0, 1, 2]) {
    const signer = createSessionSigner();
    const wanted = { network: TEST_NETWORK, sessionKey: signer.publicKey, now: Date.now(), days: 30 };
    net.node(orchestrator.url, number, { signer, delegation: delegate(owner(number), wanted) });
  }
  await until("all steps are done", () => orchestrator.host.view().step === 5);
  await until("all receipts are stored", () => net.nodes.every(({ stored }) => stored.size === 5));

  const refused: unknown = await accounts.earnings().then(
    () => null,
    (error: unknown) => error,
  );
  const told = clockProblem(refused);
  expect(told?.code).toBe("clock-wrong");
  expect(told?.message).toMatch(/This computer's clock is 9[4-9] s ahead of the network's; 8 s are allowed/);
  expect(told?.message).toContain("Training goes on");
  await expect(accounts.claim()).rejects.toMatchObject({ code: "stale-request" });

  behind = 0;
  expect(await accounts.earnings()).toMatchObject({ receipts: 5 });
  expect(await accounts.claim()).toMatchObject({ receipts: 5 });
});

test("no other refusal is taken for one of the clock", () => {
  expect(clockProblem(new Error("stale-request"))).toBeNull();
});
