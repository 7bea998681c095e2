import { beforeEach, expect, test } from "vitest";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { signedHeaders, hotkey } from "../test-support/keys.test-support.ts";
import type { TestHotkey } from "../test-support/keys.test-support.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { bindPayout, challenge, consent } from "./bindings.ts";
import { BOOK_NOW, BOOK_OPTIONS, OWNERS, bookedLedger, claimOf, receiptsOf } from "./books.test-support.ts";
import { acceptClaim } from "./claims.ts";
import { settle } from "./payments.ts";
import { settledPay } from "./settled.ts";

const [HOME, OFFICE, STRANGER] = OWNERS;
const COLD = hotkey(20);

let store: Store;
beforeEach(async () => {
  const folder = temporaryFolder();
  store = Store.open(folder, () => {});
  const ledger = await bookedLedger(store, folder);
  await ledger.credit([0, 1, 2].flatMap(receiptsOf));
  return () => store.close();
});

async function agree(owner: TestHotkey, coldkey = COLD): Promise<void> {
  const { text } = await challenge(store, BOOK_OPTIONS, owner.address, coldkey.address);
  await consent(store, BOOK_OPTIONS, owner.address, { text, signature: coldkey.sign(text) });
}

/** Claims all that has accrued, of which this arrives then. */
async function paid(owner: TestHotkey, payoutColdkey: Ss58Address, creditedRao: bigint, at: number) {
  const asked = await claimOf(store, owner, { payoutColdkey });
  const { claimId } = await acceptClaim(store, BOOK_OPTIONS, owner.address, asked);
  await settle(store, claimId, { block: 7, blockHash: null, extrinsic: "x", creditedRao }, at);
}
const DAY_MS = 86_400_000;
const since = [BOOK_NOW - DAY_MS, 0];

test("what has arrived is told by the moment it arrived, and what is only claimed is not", async () => {
  await paid(HOME, HOME.address, 5n, BOOK_NOW - 2 * DAY_MS);
  const asked = await claimOf(store, OFFICE);
  await acceptClaim(store, BOOK_OPTIONS, OFFICE.address, asked);
  expect(settledPay(store, HOME.address, since).devices).toEqual([
    {
      hotkey: HOME.address,
      since: [
        { creditedRao: "0", payments: 0 },
        { creditedRao: "5", payments: 1 },
      ],
    },
  ]);
  expect(settledPay(store, OFFICE.address, [0]).devices[0]?.since).toEqual([
    { creditedRao: "0", payments: 0 },
  ]);
  expect(settledPay(store, hotkey(99).address, [0]).devices[0]?.since).toEqual([
    { creditedRao: "0", payments: 0 },
  ]);
});

test("two computers whose payout address has agreed to both are shown to each other, each apart", async () => {
  await agree(HOME);
  await agree(OFFICE);
  await paid(HOME, COLD.address, 5n, BOOK_NOW);
  await paid(OFFICE, COLD.address, 7n, BOOK_NOW);
  const all = (owner: TestHotkey) =>
    settledPay(store, owner.address, [0]).devices.map((device) => [
      device.hotkey,
      device.since[0]?.creditedRao,
    ]);
  expect(all(HOME)).toEqual([
    [HOME.address, "5"],
    [OFFICE.address, "7"],
  ]);
  expect(all(OFFICE)).toEqual([
    [OFFICE.address, "7"],
    [HOME.address, "5"],
  ]);
});

test("a hotkey that merely names somebody's payout address, or shared it once, learns nothing of it", async () => {
  await agree(HOME);
  await paid(HOME, COLD.address, 5n, BOOK_NOW);
  // Set on the network's own computer, without the address's signature.
  await bindPayout(store, STRANGER.address, COLD.address);
  await agree(OFFICE);
  await agree(OFFICE, hotkey(21));
  for (const owner of [STRANGER, OFFICE])
    expect(settledPay(store, owner.address, [0]).devices).toMatchObject([{ hotkey: owner.address }]);
  expect(settledPay(store, HOME.address, [0]).devices).toHaveLength(1);
});

test("what another computer was paid to another address before is not told", async () => {
  await paid(OFFICE, OFFICE.address, 7n, BOOK_NOW);
  await agree(HOME);
  await agree(OFFICE);
  expect(settledPay(store, HOME.address, [0]).devices[1]).toEqual({
    hotkey: OFFICE.address,
    since: [{ creditedRao: "0", payments: 0 }],
  });
  expect(settledPay(store, OFFICE.address, [0]).devices[0]?.since[0]?.creditedRao).toBe("7");
});

test("only who signs for a hotkey is answered, and moments are numbers", async () => {
  const { orchestrator } = await openOrchestrator();
  const ask = async (target: string, headers: Record<string, string>) =>
    (await (await fetch(orchestrator.url + target, { headers })).json()) as unknown;
  const good = "/v1/account/settled?since=0,5";
  expect(await ask(good, signedHeaders(HOME, "GET", good, ""))).toEqual({
    devices: [
      {
        hotkey: HOME.address,
        since: [
          { creditedRao: "0", payments: 0 },
          { creditedRao: "0", payments: 0 },
        ],
      },
    ],
  });
  expect(await ask(good, {})).toMatchObject({ code: "not-signed" });
  for (const bad of ["-1", "", "1e3", "x", Array.from({ length: 9 }, () => "1").join(",")]) {
    const target = `/v1/account/settled?since=${bad}`;
    const answer = await ask(target, signedHeaders(HOME, "GET", target, ""));
    expect([bad, answer]).toMatchObject([bad, { code: "bad-request" }]);
  }
});
