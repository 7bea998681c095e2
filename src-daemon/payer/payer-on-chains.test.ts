import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { withChain } from "../chain/chain-api.ts";
import { accountOf } from "../chain/chain-reading.ts";
import { CHAINS, HAS_CHAIN, TAO, freshKey } from "../chain/test-chain.test-support.ts";
import type { TestChain } from "../chain/test-chain.test-support.ts";
import { deskOf } from "./payout-desk.ts";
import { Payer } from "./payer.ts";
import { payerOf, payingNetwork, planOf } from "./paying-network.test-support.ts";
import { PayoutJournal } from "./payout-journal.ts";

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

/** A pool with TAO, or with alpha at a hotkey of its own, and a network whose owners have claimed nothing yet. */
async function world(start: () => Promise<TestChain>, asset: "tao" | "alpha") {
  const chain = await start();
  cleanUp.push(() => chain.stop());
  const [pool, hot] = [freshKey(), freshKey()];
  const { netuid } = chain;
  const hotkey = hot.address;
  await chain.fund(pool.address, 100n * TAO);
  if (asset === "alpha") {
    await chain.act({ kind: "register", hotkey, netuid, mostRao: String(50n * TAO) }, pool);
    const amountRao = String(10n * TAO);
    await chain.act({ kind: "stake", hotkey, netuid, amountRao, toleranceBps: 500 }, pool);
  }
  const pays = asset === "alpha" ? { asset, netuid } : { asset, netuid: 0 };
  const network = await payingNetwork(pays);
  const plan = planOf(network, chain, pays, hotkey);
  const account = (address: Ss58Address) => withChain(chain, (api) => accountOf(api, address));
  return {
    chain,
    pool,
    network,
    plan,
    payer: payerOf(plan, pool),
    free: async (address: Ss58Address) => BigInt((await account(address)).freeRao ?? "0"),
    alpha: async (address: Ss58Address) => {
      const { stakes } = await account(address);
      const here = stakes?.find((stake) => stake.hotkey === hotkey && stake.netuid === netuid);
      return BigInt(here?.rao ?? "0");
    },
  };
}

const sum = (parts: readonly bigint[]) => parts.reduce((total, part) => total + part, 0n);

// Finney's metadata (spec 393) is no part of the repository: without it, and without a real chain, these are left out.
describe.skipIf(!HAS_CHAIN).each(CHAINS)("a network that pays on $chain", ({ start }) => {
  it("pays accepted claims in TAO: final, with block and extrinsic, once, and the book stays clean", async () => {
    const { network, payer, free } = await world(start, "tao");
    const [first, second] = network.owners;
    const before = await free(first.address);
    await network.claim(first);
    await network.claim(second);
    const accepted = network.row(first);
    expect(accepted).toMatchObject({ status: "accepted", asset: "tao", payment: null });
    expect([await payer.round(), network.row(second)?.detail, network.audit().findings]).toEqual([
      2,
      null,
      [],
    ]);
    expect(await payer.round()).toBe(0);
    const paid = network.row(first);
    expect(paid).toMatchObject({
      status: "paid",
      detail: null,
      payment: { creditedRao: accepted?.amountRao },
    });
    expect(paid?.payment?.extrinsic).toMatch(/^0x[0-9a-f]{64}$/);
    expect((await free(first.address)) - before).toBe(BigInt(accepted?.amountRao ?? "0"));
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("pays alpha by transfer of stake, and books what has arrived and not what was asked", async () => {
    const { network, payer, alpha } = await world(start, "alpha");
    const [owner] = network.owners;
    await network.claim(owner);
    expect(await payer.round()).toBe(1);
    const row = network.row(owner);
    expect(row).toMatchObject({ status: "paid", asset: "alpha" });
    const [asked, arrived] = [BigInt(row?.amountRao ?? "0"), BigInt(row?.payment?.creditedRao ?? "0")];
    expect(arrived).toBeGreaterThan((asked * 9n) / 10n);
    expect(arrived).toBeLessThanOrEqual(asked);
    expect(await alpha(owner.address)).toBe(arrived);
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("pays many in one transaction, with one fee, and notes each try in the book", async () => {
    const { pool, network, payer, plan, free } = await world(start, "tao");
    for (const owner of network.owners) await network.claim(owner);
    const before = await free(pool.address);
    expect(await payer.round()).toBe(network.owners.length);
    const { attempts, feesRao } = await deskOf(plan.networkFolder).due();
    expect(attempts.map(({ outcome }) => outcome)).toEqual(network.owners.map(() => "paid"));
    expect(new Set(attempts.map(({ extrinsic }) => extrinsic)).size).toBe(1);
    const paid = sum(network.owners.map((owner) => BigInt(network.row(owner)?.amountRao ?? "0")));
    expect(BigInt(feesRao)).toBeGreaterThan(0n);
    expect(before - (await free(pool.address))).toBe(paid + BigInt(feesRao));
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("small sums wait until the claims of an address come to the least together, and then go in one payment", async () => {
    const { pool, network, plan, alpha } = await world(start, "alpha");
    const [owner] = network.owners;
    await network.claim(owner);
    const one = network.row(owner)?.amountRao ?? "0";
    const payer = payerOf({ ...plan, leastRao: String(BigInt(one) + 1n) }, pool);
    const signed = pool.signed.length;
    expect(await payer.round()).toBe(0);
    expect(network.row(owner)?.detail).toContain("It is paid together with your next claims");
    expect(pool.signed).toHaveLength(signed);
    await network.earn();
    await network.claim(owner);
    expect(await payer.round()).toBe(2);
    expect(pool.signed).toHaveLength(signed + 1);
    const credited = network.rows(owner).map((row) => BigInt(row.payment?.creditedRao ?? "0"));
    expect(sum(credited)).toBe(await alpha(owner.address));
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("pays no more in a day than its limit, and goes on the day after", async () => {
    const { network, payer } = await world(start, "tao");
    const [first, second] = network.owners;
    await network.claim(first);
    await network.claim(second);
    payer.limits.setPerDay("tao", BigInt(network.row(first)?.amountRao ?? "0"));
    expect(await payer.round()).toBe(1);
    const held = [first, second].map(network.row).find((row) => row?.status === "accepted");
    expect(held?.detail).toContain("would be more than may be sent in 24 hours");
    payer.pass(86_400_000 + 1);
    expect(await payer.round()).toBe(1);
  });

  it("leaves claims waiting while the chain is away, with the reason, and pays when it is back", async () => {
    const { pool, network, payer, plan } = await world(start, "tao");
    const [owner] = network.owners;
    await network.claim(owner);
    const away = payerOf({ ...plan, url: "ws://127.0.0.1:1" }, pool);
    await expect(away.round()).rejects.toMatchObject({ code: "chain-unreachable" });
    expect(network.row(owner)?.detail).toContain("cannot be reached");
    expect(pool.signed).toEqual([]);
    expect(await payer.round()).toBe(1);
  });

  it("on another chain than is meant pays nothing", async () => {
    const { pool, network, plan } = await world(start, "tao");
    await network.claim(network.owners[0]);
    const elsewhere = payerOf({ ...plan, genesis: `0x${"ab".repeat(32)}` }, pool);
    await expect(elsewhere.round()).rejects.toMatchObject({ code: "chain-other-genesis" });
    expect(pool.signed).toEqual([]);
  });

  it("pays nothing that a hotkey has not signed for", async () => {
    const { pool, network, payer, plan } = await world(start, "tao");
    const [owner] = network.owners;
    await network.claim(owner);
    const desk = deskOf(plan.networkFolder);
    const { due, ...rest } = await desk.due();
    const changed = due.map((claim) => Object.assign({}, claim, { payoutColdkey: pool.address }));
    const forged = new Payer(plan, {
      key: pool,
      desk: { ...desk, due: () => Promise.resolve({ ...rest, due: changed }) },
      journal: new PayoutJournal(join(temporaryFolder(), "payouts.jsonl")),
      now: Date.now,
      note: (text) => payer.notes.push(text),
    });
    expect(await forged.round()).toBe(0);
    expect(payer.notes.join()).toContain("is not what its hotkey has signed");
    expect(pool.signed).toEqual([]);
  });
});
