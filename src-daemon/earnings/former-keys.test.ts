import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bindPayout } from "../../src-orchestrator/ledger/bindings.ts";
import { auditLedger } from "../../src-orchestrator/ledger/audit.ts";
import { ledgerOn, receiptsOf, earnSteps } from "../../src-orchestrator/ledger/books.test-support.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { TEST_NETWORK, hotkey as testHotkey } from "../../src-orchestrator/test-support/keys.test-support.ts";
import type { Store } from "../../src-orchestrator/stores/store.ts";
import { signableText } from "../../src-protocol/signable.ts";
import { openFormerHotkey, openOrCreateHotkey } from "../wallet/wallet.ts";
import type { Hotkey } from "../wallet/wallet.ts";
import { Accounts } from "./accounts.ts";
import type { AccountsOptions } from "./accounts.ts";
import { FormerKeys, keyReplaced } from "./former-keys.ts";

function owner(number: number): Hotkey {
  const { address, sign } = testHotkey(number);
  return { address, sign: (thing) => sign(signableText(thing)) };
}

/** A network whose three owners have earned for five steps, and what this computer asks of it. */
async function trained() {
  const { orchestrator } = await openOrchestrator();
  await earnSteps(orchestrator.store, 5);
  const folder = temporaryFolder();
  const here = new Map<string, Hotkey>();
  const keys = new FormerKeys(join(folder, "former-keys.json"), Date.now);
  const accounts = (own: Hotkey, path: string, change: Partial<AccountsOptions> = {}) =>
    new Accounts({
      network: TEST_NETWORK,
      own,
      neighbours: [],
      payoutColdkey: own.address,
      claimFolder: join(folder, "claims"),
      url: () => orchestrator.url,
      reach: { fetch: globalThis.fetch },
      former: { keys, id: "", path, open: (at) => Promise.resolve(here.get(at) ?? null) },
      ...change,
    });
  return { orchestrator, accounts, here, folder };
}

async function earnLater(store: Store, step: number, block: number): Promise<void> {
  await ledgerOn(store, undefined, block).credit(receiptsOf(step));
}

test("C2: after another hotkey was put in, what the old one earned is shown, named and claimable", async () => {
  const { orchestrator, accounts, here, folder } = await trained();
  const [old, next] = [owner(0), owner(1)];
  const { accruedRao } = await accounts(old, "old").earnings();
  expect(accruedRao).not.toBe("0");

  const now = await accounts(next, "next").earnings();
  expect(now.former).toMatchObject([{ hotkey: old.address, accruedRao, isHere: false }]);
  // Known by another process, too.
  expect(new FormerKeys(join(folder, "former-keys.json"), Date.now).besides("", next.address)).toMatchObject([
    { hotkey: old.address, accruedRao },
  ]);
  const first = await accounts(next, "next").claim();
  expect(first).toMatchObject({ payoutColdkey: next.address, others: [] });

  // Its file is put back: one call takes it along, and says apart what goes where.
  here.set("old", old);
  expect((await accounts(next, "next").earnings()).former).toMatchObject([{ isHere: true }]);
  expect(await accounts(next, "next").claim()).toMatchObject({
    payoutColdkey: old.address,
    amountRao: accruedRao,
    status: "paid",
  });
  expect((await accounts(next, "next").earnings()).former).toEqual([]);
  expect(auditLedger(orchestrator.store, { signatures: true }).findings).toEqual([]);
});

test("what has arrived is told by key, the key of before apart, and nothing that is only claimed", async () => {
  const { accounts, here } = await trained();
  const [old, next] = [owner(0), owner(1)];
  await accounts(old, "old").earnings();
  const before = await accounts(old, "old").claim();
  here.set("old", old);
  const settled = await accounts(next, "next").settled("UTC");
  expect(settled).toMatchObject({
    asset: "test",
    devices: [
      { hotkey: next.address, is: "this" },
      { hotkey: old.address, is: "former" },
    ],
  });
  const sums = settled.devices.map(({ windows }) => windows.map(({ creditedRao }) => creditedRao));
  expect(sums).toEqual([["0", "0", "0", "0"], Array.from({ length: 4 }, () => before.payment?.creditedRao)]);
  expect(settled.windows.map(({ creditedRao }) => creditedRao)).toEqual(sums[1]);
});

test.each([
  ["before the network got it", true],
  ["before the network's answer came", false],
])(
  "K9: a kill between signing a claim and its answer, %s, with a new payout address in between, pays once and to one address",
  async (_, isLostOnTheWay) => {
    const { orchestrator, accounts, folder } = await trained();
    const own = owner(0);
    const [before, after] = [owner(7).address, owner(8).address];
    await bindPayout(orchestrator.store, own.address, before);
    const dying: typeof globalThis.fetch = async (url, request) => {
      if (request?.method !== "POST") return globalThis.fetch(url, request);
      if (!isLostOnTheWay) await globalThis.fetch(url, request);
      // The claim as it lies on the disk at the kill.
      mkdirSync(join(folder, "kept"), { recursive: true });
      copyFileSync(join(folder, "claims", "claim.json"), join(folder, "kept", "claim.json"));
      throw new Error("killed");
    };
    const { accruedRao } = await accounts(own, "own").earnings();
    const first = accounts(own, "own", { payoutColdkey: before, reach: { fetch: dying } });
    await expect(first.claim()).rejects.toMatchObject({ code: "network-unreachable" });

    await bindPayout(orchestrator.store, own.address, after);
    const second = accounts(own, "own", { payoutColdkey: after, claimFolder: join(folder, "kept") });
    const to = isLostOnTheWay ? after : before;
    expect(await second.claim()).toMatchObject({ payoutColdkey: to, amountRao: accruedRao, others: [] });
    expect(await second.claims()).toMatchObject([{ payoutColdkey: to, status: "paid" }]);
    const { accounts: books, findings } = auditLedger(orchestrator.store, { signatures: true });
    expect(findings).toEqual([]);
    expect(books.filter(({ account }) => account.startsWith("paid:"))).toEqual([
      { account: `paid:${to}`, rao: accruedRao },
    ]);
  },
);

test("C3: what was credited at a block that has not come is left out of a claim, and dated", async () => {
  const { orchestrator, accounts } = await trained();
  await earnLater(orchestrator.store, 5, 400);
  const earnings = await accounts(owner(0), "own").earnings();
  expect(earnings).toMatchObject({ receipts: 6, later: { fromBlock: 400 } });
  const { amountRao } = await accounts(owner(0), "own").claim();
  expect(BigInt(earnings.accruedRao) - BigInt(amountRao)).toBe(BigInt(earnings.later?.amountRao ?? "0"));
  await expect(accounts(owner(0), "own").claim()).rejects.toMatchObject({ code: "nothing-to-claim" });
});

test("a payout address that the network names and its owner does not know is signed for by nobody", async () => {
  const { orchestrator, accounts } = await trained();
  const own = owner(0);
  await bindPayout(orchestrator.store, own.address, owner(9).address);
  await expect(accounts(own, "own").claim()).rejects.toMatchObject({ code: "payout-not-yours" });
});

test("a key that is replaced under a running daemon earns nothing for who replaced it, and the owner hears of it", async () => {
  const root = temporaryFolder();
  const place = { root, wallet: "w", hotkey: "h" };
  const running = await openOrCreateHotkey(place);
  const { orchestrator } = await openOrchestrator();
  const keys = new FormerKeys(join(root, "former-keys.json"), Date.now);
  const options = {
    network: TEST_NETWORK,
    netuid: 0,
    neighbours: [],
    claimFolder: join(root, "claims"),
    url: () => orchestrator.url,
    reach: { fetch: globalThis.fetch },
    former: { keys, id: "", path: running.path, open: openFormerHotkey },
  };
  const accounts = new Accounts({ ...options, own: running, payoutColdkey: running.address });
  keys.note({ network: "", hotkey: running.address, path: running.path, asset: "test", accruedRao: "7" });
  // Somebody puts a key of their own in its place.
  renameSync(running.path, join(root, "away"));
  const thief = await openOrCreateHotkey(place);
  expect(thief.address).not.toBe(running.address);
  expect((await accounts.earnings()).hotkey).toBe(running.address);
  // The thief's key does not pass for the one of before, and the next start says what has happened.
  expect(await openFormerHotkey(running.path, running.address)).toBeNull();
  expect(keyReplaced(keys.last(), thief.address)).toContain(`before it was ${running.address}`);
  expect(keyReplaced(keys.last(), running.address)).toBeNull();
});
