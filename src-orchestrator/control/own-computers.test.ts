import { beforeEach, expect, test } from "vitest";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { bindPayout, challenge, consent } from "../ledger/bindings.ts";
import { BOOK_OPTIONS, OWNERS, bookedLedger, receiptsOf } from "../ledger/books.test-support.ts";
import type { NetworkNode } from "../runs/network-state.ts";
import { Store } from "../stores/store.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { hotkey, session } from "../test-support/keys.test-support.ts";
import type { TestHotkey } from "../test-support/keys.test-support.ts";
import { ownComputers } from "./own-computers.ts";

const [HOME, OFFICE, STRANGER] = OWNERS;
const COLD = hotkey(20);

let store: Store;
beforeEach(async () => {
  const folder = temporaryFolder();
  store = Store.open(folder, () => {});
  const ledger = await bookedLedger(store, folder);
  await ledger.credit(receiptsOf(0));
  return () => store.close();
});

async function agree(owner: TestHotkey): Promise<void> {
  const { text } = await challenge(store, BOOK_OPTIONS, owner.address, COLD.address);
  await consent(store, BOOK_OPTIONS, owner.address, { text, signature: COLD.sign(text) });
}

/** Who is connected: session number, whose, and its stage. */
function hostOf(...nodes: [number: number, owner: TestHotkey, stage: number | null][]) {
  const keyOf = (number: number): SessionKey => session(number).publicKey;
  return {
    nodes: () =>
      nodes.map(
        ([number, { address }]) =>
          ({ sessionKey: keyOf(number), hotkey: address, links: null }) as NetworkNode,
      ),
    stageOf: (key: SessionKey) => nodes.find(([number]) => keyOf(number) === key)?.[2] ?? null,
    isLive: (key: SessionKey) => key === keyOf(0),
  };
}

const told = (host: ReturnType<typeof hostOf>, owner: Ss58Address) =>
  ownComputers(store, host, owner).keys.map(({ hotkey: key, computers }) => [
    key,
    computers.map(({ stage, isLive }) => [stage, isLive]),
  ]);

test("two computers with one key, and one that waits, are told to their owner alone", async () => {
  const host = hostOf([0, HOME, 0], [1, HOME, null], [2, STRANGER, 1]);
  expect(told(host, HOME.address)).toEqual([
    [
      HOME.address,
      [
        [0, true],
        [null, false],
      ],
    ],
  ]);
  expect(ownComputers(store, host, HOME.address).keys[0]).toMatchObject({ receipts: 1 });
});

test("another key of the same owner is told when the payout address has signed for both, connected or not", async () => {
  await agree(HOME);
  await agree(OFFICE);
  expect(told(hostOf([0, HOME, 0]), HOME.address)).toEqual([
    [HOME.address, [[0, true]]],
    [OFFICE.address, []],
  ]);
  expect(told(hostOf([0, HOME, 0]), OFFICE.address)).toEqual([
    [OFFICE.address, []],
    [HOME.address, [[0, true]]],
  ]);
});

test("whoever merely names somebody's payout address learns nothing of their computers", async () => {
  await agree(HOME);
  await bindPayout(store, STRANGER.address, COLD.address);
  expect(told(hostOf([0, HOME, 0]), STRANGER.address)).toEqual([[STRANGER.address, []]]);
  expect(told(hostOf([0, HOME, 0]), HOME.address)).toHaveLength(1);
});
