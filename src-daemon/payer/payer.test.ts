import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { secretFromSeed, getPublicKey } from "@scure/sr25519";
import { afterEach, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { fromPayer } from "../../src-protocol/payer-ipc.ts";
import type { PayerPlan } from "../../src-protocol/payer-ipc.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { hasSubtensorMetadata } from "../chain/subtensor-node.test-support.ts";
import { holding } from "../chain/subtensor-state.test-support.ts";
import { TAO, freshKey, keyFrom, startOurs } from "../chain/test-chain.test-support.ts";
import { answerWallet } from "../wallet/wallet-book.ts";
import { deskOf } from "./payout-desk.ts";
import { PayoutJournal } from "./payout-journal.ts";
import { payerOf, payingNetwork, planOf } from "./paying-network.test-support.ts";

const SEED = new Uint8Array(32).fill(21);
const POOL = encodeSs58(getPublicKey(secretFromSeed(SEED)));
const HOTKEY = freshKey().address;
/** Of a transaction, on the small node. */
const FEE_RAO = 137_047n;
const IN_TAO = { asset: "tao", netuid: 0 } as const;
const IN_ALPHA = { asset: "alpha", netuid: 1 } as const;

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

async function world(pays: PayerPlan["pays"]) {
  const chain = await startOurs();
  cleanUp.push(() => chain.stop());
  const { state } = chain.node;
  state.account(POOL).free = 100n * TAO;
  state.stake.set(holding(POOL, HOTKEY, 1), 100n * TAO);
  const network = await payingNetwork(pays);
  const plan = planOf(network, chain, pays, HOTKEY);
  return { chain, state, network, plan };
}

// Finney's metadata (spec 393) is no part of the repository.
describe.skipIf(!hasSubtensorMetadata)(
  "a network that pays on a small node whose state the test sets",
  () => {
    it("one payment of many that fails loses no other, and the day's limit has room for it again", async () => {
      const { chain, network, plan } = await world(IN_TAO);
      const [first, second] = network.owners;
      for (const owner of [first, second]) await network.claim(owner);
      const each = BigInt(network.row(first)?.amountRao ?? "0");
      const payer = payerOf(plan, keyFrom(SEED));
      payer.limits.setPerDay("tao", each * 2n);
      chain.node.failures.push({ call: "balances.transferKeepAlive", error: "Balances.InsufficientBalance" });
      expect(await payer.round()).toBe(1);
      const held = [first, second].map(network.row).find((row) => row?.status === "accepted");
      expect(held?.detail).toContain("the balance is too low for the amount and the fees");
      payer.pass(5 * 60_000);
      expect(await payer.round()).toBe(1);
      expect([first, second].map((owner) => network.row(owner)?.status)).toEqual(["paid", "paid"]);
      const { attempts, feesRao } = await deskOf(plan.networkFolder).due();
      expect(attempts.map(({ outcome }) => outcome).toSorted()).toEqual(["paid", "paid", "waits"]);
      expect(feesRao, "of two transactions").toBe(String(2n * FEE_RAO));
      expect(network.audit()).toMatchObject({ isClean: true });
    });

    it("a crash after many were sent pays each once", async () => {
      const { chain, state, network, plan } = await world(IN_TAO);
      const { node } = chain;
      for (const owner of network.owners) await network.claim(owner);
      const payer = payerOf(plan, keyFrom(SEED));
      node.faults.push("takes and is silent");
      node.onFault = () => node.hangUp();
      await expect(payer.round()).rejects.toBeInstanceOf(Failure);
      payer.restart();
      expect(await payer.round()).toBe(network.owners.length);
      for (const owner of network.owners)
        expect(state.account(owner.address).free).toBe(BigInt(network.row(owner)?.amountRao ?? "0"));
      expect(new Set(node.submitted).size).toBe(1);
    });

    it("holds a claim that meets locked stake, says why, and pays it when the lock is gone", async () => {
      const { state, network, plan } = await world(IN_ALPHA);
      const [owner] = network.owners;
      await network.claim(owner);
      state.locked.set(holding(POOL, HOTKEY, 1), 100n * TAO);
      const payer = payerOf(plan, keyFrom(SEED));
      expect(await payer.round()).toBe(0);
      expect(network.row(owner)).toMatchObject({ status: "accepted", payment: null });
      expect(network.row(owner)?.detail).toContain("this stake is locked for now");
      state.locked.clear();
      expect(await payer.round(), "not yet").toBe(0);
      payer.pass(5 * 60_000);
      expect(await payer.round()).toBe(1);
      expect(network.row(owner)).toMatchObject({ status: "paid", detail: null });
    });

    const feesAfter = async (plan: PayerPlan) => (await deskOf(plan.networkFolder).due()).feesRao;

    it("the fee of a transaction that did nothing is in the total, and told", async () => {
      const { chain, network, plan } = await world(IN_TAO);
      const [owner] = network.owners;
      await network.claim(owner);
      const payer = payerOf(plan, keyFrom(SEED));
      chain.node.failures.push({ call: "balances.transferKeepAlive", error: "Balances.InsufficientBalance" });
      expect(await payer.round()).toBe(0);
      expect(network.row(owner)?.detail).toContain("The fee was taken: 0.000137047 TAO.");
      expect(await feesAfter(plan)).toBe(String(FEE_RAO));
      payer.pass(5 * 60_000);
      expect(await payer.round()).toBe(1);
      expect(await feesAfter(plan)).toBe(String(2n * FEE_RAO));
      expect(chain.node.state.account(POOL).free).toBe(
        100n * TAO - BigInt(network.row(owner)?.amountRao ?? "0") - 2n * FEE_RAO,
      );
    });

    it("and it is when the payer was killed before it heard of it", async () => {
      const { chain, network, plan } = await world(IN_TAO);
      const [owner] = network.owners;
      await network.claim(owner);
      const payer = payerOf(plan, keyFrom(SEED));
      const { node } = chain;
      node.failures.push({ call: "balances.transferKeepAlive", error: "Balances.InsufficientBalance" });
      node.faults.push("takes and is silent");
      node.onFault = () => node.hangUp();
      await expect(payer.round()).rejects.toBeInstanceOf(Failure);
      expect(await feesAfter(plan)).toBe("0");
      payer.restart();
      expect(await payer.round()).toBe(1);
      expect(await feesAfter(plan)).toBe(String(2n * FEE_RAO));
    });

    it("signs anew only when what was sent can never arrive any more", async () => {
      const { chain, network, plan } = await world(IN_TAO);
      const { node } = chain;
      const [owner] = network.owners;
      await network.claim(owner);
      const payer = payerOf(plan, keyFrom(SEED));
      node.faults.push("loses it and is silent");
      node.onFault = () => node.hangUp();
      await expect(payer.round()).rejects.toBeInstanceOf(Failure);
      node.mine(40);
      payer.restart();
      node.faults.push("loses it and is silent");
      await expect(payer.round()).rejects.toBeInstanceOf(Failure);
      expect(new Set(node.submitted).size, "the same one again").toBe(1);
      node.mine(40);
      payer.restart();
      expect(await payer.round()).toBe(1);
      expect(new Set(node.submitted).size).toBe(2);
      expect(network.row(owner)).toMatchObject({ status: "paid" });
    });

    it("pays nothing twice where the node has forgotten what came of it", async () => {
      const { chain, state, network, plan } = await world(IN_TAO);
      const { node } = chain;
      const [owner] = network.owners;
      await network.claim(owner);
      const payer = payerOf(plan, keyFrom(SEED));
      node.faults.push("takes and is silent");
      node.onFault = () => node.hangUp();
      await expect(payer.round()).rejects.toBeInstanceOf(Failure);
      node.mine(100);
      node.forgetEvents();
      payer.restart();
      expect(await payer.round()).toBe(0);
      expect(network.row(owner)?.detail).toContain("keeps all blocks (an archive)");
      expect([node.submitted.length, state.account(POOL).nonce]).toEqual([1, 1]);
    });
  },
);

describe.skipIf(!hasSubtensorMetadata)(
  "a paying process that is killed between submission and answer",
  () => {
    const started = (plan: PayerPlan): ChildProcess => {
      const child = fork(join(import.meta.dirname, "..", "payer-main.ts"), [], {
        execArgv: [],
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      cleanUp.push(() => child.kill("SIGKILL"));
      child.send({ type: "start", plan });
      return child;
    };
    const ended = (child: ChildProcess): Promise<unknown> =>
      child.exitCode !== null || child.signalCode !== null
        ? Promise.resolve()
        : new Promise((done) => child.once("exit", done));

    it.each(["takes and is silent", "loses it and is silent"] as const)(
      "by a node that %s pays once",
      async (fault) => {
        const { chain, state, network, plan } = await world(IN_TAO);
        const from = { type: "seed", seed: Buffer.from(SEED).toString("hex") } as const;
        const { root, wallet } = plan;
        await answerWallet({ type: "import", root, wallet, hotkey: null, from, password: null });
        const [owner] = network.owners;
        await network.claim(owner);
        const { node } = chain;
        node.faults.push(fault);
        const met = new Promise<void>((resolve) => (node.onFault = () => resolve()));
        const first = started(plan);
        await met;
        first.kill("SIGKILL");
        await ended(first);
        expect(network.row(owner)).toMatchObject({ status: "accepted" });
        const second = started(plan);
        const said = new Promise((resolve) =>
          second.on("message", (value) => resolve(fromPayer.parse(value))),
        );
        expect(await said).toEqual({ type: "ready", address: POOL });
        await expect.poll(() => network.row(owner)?.status, { timeout: 60_000, interval: 100 }).toBe("paid");
        const amount = BigInt(network.row(owner)?.amountRao ?? "0");
        expect(state.account(owner.address).free).toBe(amount);
        expect([state.account(POOL).nonce, new Set(node.submitted).size]).toEqual([1, 1]);
        expect(network.audit()).toMatchObject({ isClean: true });
      },
      120_000,
    );

    it("has one at a time", async () => {
      const { network, plan } = await world(IN_TAO);
      const from = { type: "seed", seed: Buffer.from(SEED).toString("hex") } as const;
      const { root, wallet } = plan;
      await answerWallet({ type: "import", root, wallet, hotkey: null, from, password: null });
      const first = started(plan);
      await new Promise((resolve) => first.once("message", resolve));
      const second = started(plan);
      const said = await new Promise((resolve) =>
        second.on("message", (value) => resolve(fromPayer.parse(value))),
      );
      expect(said).toMatchObject({ type: "failed", code: "payer-running" });
      expect(network.home).toBe(plan.home);
    }, 120_000);
  },
);

describe("the journal of payments", () => {
  const signed = {
    action: { kind: "transfer", to: POOL, amountRao: "5" },
    from: POOL,
    extrinsic: "0xab",
    hash: "0x01",
    nonce: 3,
    birth: 10,
    death: 74,
  } as const;
  const share = (claimId: string) => ({ claimId, to: POOL, amountRao: "5" });

  it("knows after a crash what was signed, and forgets a line that was cut before it was sent", () => {
    const path = join(temporaryFolder(), "payouts.jsonl");
    const journal = new PayoutJournal(path);
    journal.begin([share("one")], signed);
    journal.begin([share("two")], { ...signed, hash: "0x02" });
    journal.end("one", "0x01", "paid");
    appendFileSync(path, `{"claimId":"three","signed":{"acti`);
    const again = new PayoutJournal(path);
    expect([again.openFor("one"), again.openFor("two")?.signed.hash, again.openFor("three")]).toEqual([
      null,
      "0x02",
      null,
    ]);
    again.begin([share("three")], { ...signed, hash: "0x03" });
    expect(new PayoutJournal(path).openFor("three")?.signed.hash).toBe("0x03");
  });

  it("knows what was signed for one claim alone, as it was written before", () => {
    const path = join(temporaryFolder(), "payouts.jsonl");
    appendFileSync(path, `${JSON.stringify({ claimId: "one", signed })}\n`);
    expect(new PayoutJournal(path).openFor("one")).toEqual({ shares: [share("one")], signed });
  });

  it("that is damaged in its middle pays nothing", () => {
    const path = join(temporaryFolder(), "payouts.jsonl");
    new PayoutJournal(path).begin([share("one")], signed);
    appendFileSync(path, "not a line\n");
    expect(() => new PayoutJournal(path)).toThrow(/Line 2 .* is damaged/);
    expect(readFileSync(path, "utf8")).toContain("0x01");
  });
});
