import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { secretFromSeed, getPublicKey } from "@scure/sr25519";
import { afterEach, describe, expect, it } from "vitest";
import type { ActionKey } from "../chain/chain-sending.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { fromPayer } from "../../src-protocol/payer-ipc.ts";
import type { PayerPlan } from "../../src-protocol/payer-ipc.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { hasSubtensorMetadata } from "../chain/subtensor-node.test-support.ts";
import { holding } from "../chain/subtensor-state.test-support.ts";
import { TAO, freshKey, keyFrom, startOurs } from "../chain/test-chain.test-support.ts";
import { answerWallet } from "../wallet/wallet-book.ts";
import { boundedKey } from "../wallet/wallet-act.ts";
import { SignatureLog } from "../wallet/signature-log.ts";
import { SpendLimits } from "../wallet/spend-limits.ts";
import { deskOf } from "./payout-desk.ts";
import { Payer } from "./payer.ts";
import { PayoutJournal } from "./payout-journal.ts";
import { payingNetwork } from "./paying-network.test-support.ts";

const SEED = new Uint8Array(32).fill(21);
const POOL = encodeSs58(getPublicKey(secretFromSeed(SEED)));
const HOTKEY = freshKey().address;
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
  const plan: PayerPlan = {
    home: network.home,
    networkFolder: network.folder,
    root: join(network.home, "wallets"),
    wallet: "pool",
    passwordFile: null,
    url: chain.url,
    genesis: chain.genesis,
    pays,
    hotkey: pays.asset === "alpha" ? HOTKEY : null,
    leastRao: "0",
  };
  return { chain, state, network, plan };
}

/** A payer in this process, with a clock that the test holds. */
function payerOf(plan: PayerPlan, key: ActionKey = keyFrom(SEED)) {
  let now = 1_800_000_000_000;
  const notes: string[] = [];
  const limits = new SpendLimits(plan.home, () => now);
  const log = new SignatureLog(join(plan.home, "coldkey-signatures.jsonl"), () => now);
  const started = (): Payer =>
    new Payer(plan, {
      key: boundedKey(key, { limits, log, genesis: plan.genesis }),
      desk: deskOf(plan.networkFolder),
      journal: new PayoutJournal(join(plan.home, "payouts.jsonl")),
      now: () => now,
      note: (text) => notes.push(text),
    });
  let payer = started();
  return {
    notes,
    limits,
    round: () => payer.round(),
    /** As after a crash: what it knew is what is on disk. */
    restart: () => void (payer = started()),
    pass: (ms: number) => void (now += ms),
  };
}

// Finney's metadata (spec 393) is no part of the repository.
describe.skipIf(!hasSubtensorMetadata)("a network that pays on a chain", () => {
  it("pays accepted claims in TAO: final, with block and extrinsic, once, and the book stays clean", async () => {
    const { state, network, plan } = await world(IN_TAO);
    const [first, second] = network.owners;
    await network.claim(first);
    await network.claim(second);
    const before = network.row(first);
    expect(before).toMatchObject({ status: "accepted", asset: "tao", payment: null });
    const payer = payerOf(plan);
    expect([await payer.round(), network.row(second)?.detail, network.audit().findings]).toEqual([
      2,
      null,
      [],
    ]);
    expect(await payer.round()).toBe(0);
    const after = network.row(first);
    expect(after).toMatchObject({
      status: "paid",
      detail: null,
      payment: { creditedRao: before?.amountRao },
    });
    expect(after?.payment?.extrinsic).toMatch(/^0x[0-9a-f]{64}$/);
    expect(state.account(first.address).free).toBe(BigInt(before?.amountRao ?? "0"));
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("pays alpha by transfer of stake, and books what has arrived and not what was asked", async () => {
    const { state, network, plan } = await world(IN_ALPHA);
    const [owner] = network.owners;
    await network.claim(owner);
    await payerOf(plan).round();
    const row = network.row(owner);
    const arrived = (BigInt(row?.amountRao ?? "0") * 997n) / 1000n;
    expect(row).toMatchObject({ status: "paid", asset: "alpha", payment: { creditedRao: String(arrived) } });
    expect(state.stake.get(holding(owner.address, HOTKEY, 1))).toBe(arrived);
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("pays many in one transaction, with one fee, and notes each try in the book", async () => {
    const { chain, network, plan } = await world(IN_TAO);
    for (const owner of network.owners) await network.claim(owner);
    const payer = payerOf(plan);
    expect(await payer.round()).toBe(network.owners.length);
    expect(chain.node.submitted).toHaveLength(1);
    const { attempts, feesRao } = await deskOf(plan.networkFolder).due();
    expect(feesRao).toBe("137047");
    expect(attempts.map(({ outcome, extrinsic }) => [outcome, extrinsic])).toEqual(
      network.owners.map(() => ["paid", chain.node.submitted[0]]),
    );
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("one payment of many that fails loses no other, and the day's limit has room for it again", async () => {
    const { chain, network, plan } = await world(IN_TAO);
    const [first, second] = network.owners;
    for (const owner of [first, second]) await network.claim(owner);
    const each = BigInt(network.row(first)?.amountRao ?? "0");
    const payer = payerOf(plan);
    payer.limits.setPerDay("tao", each * 2n);
    chain.node.failures.push({ call: "balances.transferKeepAlive", error: "Balances.InsufficientBalance" });
    expect(await payer.round()).toBe(1);
    const held = [first, second].map(network.row).find((row) => row?.status === "accepted");
    expect(held?.detail).toContain("the balance is too low for the amount and the fees");
    payer.pass(5 * 60_000);
    expect(await payer.round()).toBe(1);
    expect([first, second].map((owner) => network.row(owner)?.status)).toEqual(["paid", "paid"]);
    const { attempts } = await deskOf(plan.networkFolder).due();
    expect(attempts.map(({ outcome }) => outcome).toSorted()).toEqual(["paid", "paid", "waits"]);
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("small sums wait until the claims of an address come to the least together, and then go in one payment", async () => {
    const { chain, network, plan } = await world(IN_ALPHA);
    const [owner] = network.owners;
    await network.claim(owner);
    const one = network.row(owner)?.amountRao ?? "0";
    const payer = payerOf({ ...plan, leastRao: String(BigInt(one) + 1n) });
    expect(await payer.round()).toBe(0);
    expect(network.row(owner)?.detail).toContain("It is paid together with your next claims");
    expect(chain.node.submitted).toEqual([]);
    await network.earn();
    await network.claim(owner);
    expect(await payer.round()).toBe(2);
    expect(chain.node.submitted).toHaveLength(1);
    const rows = network.rows(owner);
    const credited = rows.map((row) => BigInt(row.payment?.creditedRao ?? "0"));
    const asked = rows.map((row) => BigInt(row.amountRao));
    const sum = (parts: readonly bigint[]) => parts.reduce((total, part) => total + part, 0n);
    expect(sum(credited)).toBe((sum(asked) * 997n) / 1000n);
    expect(network.audit()).toMatchObject({ isClean: true });
  });

  it("a crash after many were sent pays each once", async () => {
    const { chain, state, network, plan } = await world(IN_TAO);
    const { node } = chain;
    for (const owner of network.owners) await network.claim(owner);
    const payer = payerOf(plan);
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
    const payer = payerOf(plan);
    expect(await payer.round()).toBe(0);
    expect(network.row(owner)).toMatchObject({ status: "accepted", payment: null });
    expect(network.row(owner)?.detail).toContain("this stake is locked for now");
    state.locked.clear();
    expect(await payer.round(), "not yet").toBe(0);
    payer.pass(5 * 60_000);
    expect(await payer.round()).toBe(1);
    expect(network.row(owner)).toMatchObject({ status: "paid", detail: null });
  });

  it("pays no more in a day than its limit, and goes on the day after", async () => {
    const { network, plan } = await world(IN_TAO);
    const [first, second] = network.owners;
    await network.claim(first);
    await network.claim(second);
    const each = BigInt(network.row(first)?.amountRao ?? "0");
    const payer = payerOf(plan);
    payer.limits.setPerDay("tao", each);
    expect(await payer.round()).toBe(1);
    const held = [first, second].map(network.row).find((row) => row?.status === "accepted");
    expect(held?.detail).toContain("would be more than may be sent in 24 hours");
    payer.pass(86_400_000 + 1);
    expect(await payer.round()).toBe(1);
  });

  it("leaves claims waiting while the chain is away, with the reason, and pays when it is back", async () => {
    const { chain, network, plan } = await world(IN_TAO);
    const [owner] = network.owners;
    await network.claim(owner);
    const away = payerOf({ ...plan, url: "ws://127.0.0.1:1" });
    await expect(away.round()).rejects.toMatchObject({ code: "chain-unreachable" });
    expect(network.row(owner)?.detail).toContain("cannot be reached");
    expect(chain.node.height).toBe(0);
    expect(await payerOf(plan).round()).toBe(1);
  });

  it("on another chain than is meant pays nothing", async () => {
    const { network, plan } = await world(IN_TAO);
    await network.claim(network.owners[0]);
    const key = keyFrom(SEED);
    const elsewhere = payerOf({ ...plan, genesis: `0x${"ab".repeat(32)}` }, key);
    await expect(elsewhere.round()).rejects.toMatchObject({ code: "chain-other-genesis" });
    expect(key.signed).toEqual([]);
  });

  it("pays nothing that a hotkey has not signed for", async () => {
    const { chain, network, plan } = await world(IN_TAO);
    const [owner] = network.owners;
    await network.claim(owner);
    const payer = payerOf(plan);
    const desk = deskOf(plan.networkFolder);
    const { due, ...rest } = await desk.due();
    const changed = due.map((claim) => Object.assign({}, claim, { payoutColdkey: POOL }));
    const forged = new Payer(plan, {
      key: keyFrom(SEED),
      desk: { ...desk, due: () => Promise.resolve({ ...rest, due: changed }) },
      journal: new PayoutJournal(join(temporaryFolder(), "payouts.jsonl")),
      now: Date.now,
      note: (text) => payer.notes.push(text),
    });
    expect(await forged.round()).toBe(0);
    expect(payer.notes.join()).toContain("is not what its hotkey has signed");
    expect(chain.node.height).toBe(0);
  });

  it("signs anew only when what was sent can never arrive any more", async () => {
    const { chain, network, plan } = await world(IN_TAO);
    const { node } = chain;
    const [owner] = network.owners;
    await network.claim(owner);
    const payer = payerOf(plan);
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
    const payer = payerOf(plan);
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
});

describe.skipIf(!hasSubtensorMetadata)(
  "a paying process that is killed between submission and answer",
  () => {
    const started = (plan: PayerPlan): ChildProcess => {
      const child = fork(join(import.meta.dirname, "payer-main.ts"), [], {
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
