import { afterEach, describe, expect, it } from "vitest";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { withChain } from "./chain-api.ts";
import { ipNumber } from "./chain-calls.ts";
import { accountOf, neuronOf, subnetOf } from "./chain-reading.ts";
import { hasSubtensorMetadata } from "./subtensor-node.test-support.ts";
import { holding } from "./subtensor-state.test-support.ts";
import {
  ALICE,
  CHAINS,
  HAS_CHAIN,
  TAO,
  freshKey,
  keyFrom,
  renamed,
  startOurs,
} from "./test-chain.test-support.ts";
import type { TestChain } from "./test-chain.test-support.ts";

let open: TestChain | null = null;
afterEach(async () => {
  await open?.stop();
  open = null;
});

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof Failure ? `${error.code}: ${error.message}` : String(error)),
  );
const send = (to: string, rao: bigint) =>
  ({ kind: "transfer", to, amountRao: String(rao) }) as Extract<ChainAction, { kind: "transfer" }>;
const free = async ({ url, genesis }: TestChain, address: string) =>
  BigInt(
    (await withChain({ url, genesis }, (api) => accountOf(api, address as typeof ALICE.address))).freeRao ??
      "0",
  );

// Finney's metadata (spec 393) is no part of the repository: without it, and without a real chain, these are left out.
describe.skipIf(!HAS_CHAIN).each(CHAINS)("on $chain", ({ start }) => {
  it("TAO arrives by an extrinsic whose signature the chain verifies, and is told with block and amount", async () => {
    open = await start();
    const [pool, home] = [freshKey(), freshKey()];
    await open.fund(pool.address, 10n * TAO);
    const first = await open.act(send(home.address, 3n * TAO), pool);
    expect(first).toMatchObject({ creditedRao: 3n * TAO });
    expect(first.blockHash).toMatch(/^0x[0-9a-f]{64}$/);
    expect((await open.act(send(home.address, 1000n), pool)).block).toBeGreaterThan(first.block);
    expect(await free(open, home.address)).toBe(3n * TAO + 1000n);
    expect(pool.signed).toHaveLength(2);
  });

  it("TAO signed by another key than the sender's moves nothing", async () => {
    open = await start();
    const [pool, home] = [freshKey(), freshKey()];
    await open.fund(pool.address, 10n * TAO);
    const forged = keyFrom(new Uint8Array(32).fill(7), pool.address);
    expect(await refusal(open.act(send(home.address, TAO), forged))).toContain(
      "chain-refused: The chain does not take the signature",
    );
    expect(await free(open, home.address)).toBe(0n);
  });

  it("a hotkey registers, is served, and its stake comes, moves to another coldkey and goes", async () => {
    open = await start();
    const { netuid, url, genesis } = open;
    const [cold, hot, home] = [freshKey(), freshKey(), freshKey()];
    await open.fund(cold.address, 100n * TAO);
    const hotkey = hot.address;
    expect(
      (await open.act({ kind: "register", hotkey, netuid, mostRao: String(50n * TAO) }, cold)).creditedRao,
    ).toBeNull();
    const tolerance = { toleranceBps: 500 };
    const staked = await open.act(
      { kind: "stake", hotkey, netuid, amountRao: String(10n * TAO), ...tolerance },
      cold,
    );
    expect(staked.creditedRao).toBeGreaterThan(0n);
    const alpha = staked.creditedRao ?? 0n;
    const moved = await open.act(
      { kind: "transfer-stake", to: home.address, hotkey, netuid, amountRao: String(alpha / 2n) },
      cold,
    );
    // What has arrived, and not what was asked for.
    expect(moved.creditedRao).toBeGreaterThan(((alpha / 2n) * 9n) / 10n);
    expect(moved.creditedRao).toBeLessThanOrEqual(alpha / 2n);
    const back = await open.act(
      { kind: "unstake", hotkey, netuid, amountRao: String(alpha / 4n), ...tolerance },
      cold,
    );
    expect(back.creditedRao).toBeGreaterThan(0n);
    await open.act({ kind: "axon", netuid, ip: "203.0.113.7", port: 8091 }, hot);
    const read = await withChain({ url, genesis }, async (api) => ({
      neuron: await neuronOf(api, netuid, hotkey),
      theirs: await accountOf(api, home.address),
      subnet: await subnetOf(api, netuid),
    }));
    expect(read.neuron).toMatchObject({
      owner: cold.address,
      uid: expect.any(Number) as number,
      axon: { ip: "203.0.113.7", port: 8091 },
    });
    expect(BigInt(read.neuron.stakeRao ?? "0")).toBeGreaterThan(0n);
    expect(read.theirs.stakes).toEqual([{ hotkey, netuid, rao: String(moved.creditedRao) }]);
    expect(read.subnet).toMatchObject({ netuid, exists: true });
    expect(read.subnet.blocksToEpoch).toBeLessThanOrEqual(read.subnet.tempo ?? 0);
    expect(BigInt(read.subnet.priceRao ?? "0")).toBeGreaterThan(0n);
  });

  it("on another chain than is meant nothing is signed", async () => {
    open = await start();
    const { url } = open;
    const key = freshKey();
    const { act } = await import("./chain-acting.ts");
    const meant = { url, genesis: `0x${"ab".repeat(32)}` };
    expect(await refusal(act(meant, send(ALICE.address, TAO), key))).toContain("chain-other-genesis");
    expect(key.signed).toEqual([]);
  });

  it("nothing, or something from an account without TAO, is refused", async () => {
    open = await start();
    const poor = freshKey();
    expect(await refusal(open.act(send(ALICE.address, 0n), poor))).toContain("bad-amount");
    expect(poor.signed).toEqual([]);
    expect(await refusal(open.act(send(ALICE.address, TAO), poor))).toContain(
      "The balance does not cover the fees, so nothing was sent.",
    );
  });
});

describe.skipIf(!hasSubtensorMetadata)("on a small node whose state the test sets", () => {
  const small = async (change?: (metadata: Buffer) => Buffer) => {
    const chain = await startOurs(change);
    open = chain;
    const [cold, hot, home] = [freshKey(), freshKey(), freshKey()];
    const { state } = chain.node;
    state.account(cold.address).free = 100n * TAO;
    state.owners.set(hot.address, cold.address);
    state.stake.set(holding(cold.address, hot.address, 1), 100n * TAO);
    return { ...chain, state, cold, hot, home };
  };

  it("a chain that wants unknown data in a transaction gets no signature", async () => {
    // The nonce's extension under another name: it carries data that nobody here would fill in.
    const { act, cold, home } = await small((metadata) => renamed(metadata, "CheckNonce", "CheckNovelty"));
    expect(await refusal(act(send(home.address, TAO), cold))).toContain(
      "chain-extension-unknown: This chain wants data in a transaction that this version does not know (CheckNovelty)",
    );
    expect(cold.signed).toEqual([]);
  });

  it.each([
    ["Balances.InsufficientBalance", "chain-refused", "the balance is too low"],
    ["SubtensorModule.CannotUnstakeLock", "chain-held", "Nothing is lost: try again later."],
    [
      "SubtensorModule.RegistrationNotPermittedOnRootSubnet",
      "chain-refused",
      "RegistrationNotPermittedOnRootSubnet",
    ],
  ])("%s is told in words, with the node's own name", async (error, code, words) => {
    const { act, cold, home, node } = await small();
    node.failures.push({ call: "balances.transferKeepAlive", error });
    const said = await refusal(act(send(home.address, TAO), cold));
    expect(said).toContain(`${code}: `);
    expect(said).toContain(words);
    expect(node.accounts.get(home.address)?.free ?? 0n).toBe(0n);
  });

  it.each([
    ["StakeUnavailable", "chain-held", "a part of this stake is locked"],
    ["RootStakeLocked", "chain-held", "is held for now"],
    ["AccountRejectsLockedAlpha", "chain-refused", "the receiver takes no locked stake"],
    ["LockHotkeyMismatch", "chain-refused", "the same lock hotkey only"],
  ])(
    "stake that is locked is told by the newer runtimes' name %s and stays where it is",
    async (name, code, words) => {
      const chain = await small((metadata) => renamed(metadata, "CannotUnstakeLock", name));
      const { act, cold, hot, home, state } = chain;
      state.lockedError = `SubtensorModule.${name}`;
      state.locked.set(holding(cold.address, hot.address, 1), 60n * TAO);
      const pay = (rao: bigint) =>
        act(
          {
            kind: "transfer-stake",
            to: home.address,
            hotkey: hot.address,
            netuid: 1,
            amountRao: String(rao),
          },
          cold,
        );
      const said = await refusal(pay(50n * TAO));
      expect(said).toContain(`${code}: `);
      expect(said).toContain(words);
      expect(said).toContain(`subtensorModule.${name}`);
      expect(state.stake.get(holding(cold.address, hot.address, 1))).toBe(100n * TAO);
      expect((await pay(40n * TAO)).creditedRao).toBe((40n * TAO * 997n) / 1000n);
    },
  );

  it("a price that moves between signing and execution is held to its limit", async () => {
    const { act, cold, hot, node, state } = await small();
    const subnet = state.addSubnet(1, { priceRao: 20_000_000n });
    const stake = (toleranceBps: number | null) =>
      act({ kind: "stake", hotkey: hot.address, netuid: 1, amountRao: String(TAO), toleranceBps }, cold);
    node.beforeCall = () => void (subnet.priceRao = 22_000_000n);
    expect(await refusal(stake(500))).toContain("the price moved further than was allowed");
    expect(state.account(cold.address).free).toBeGreaterThan(99n * TAO);
    expect((await stake(null)).creditedRao).toBe((TAO * TAO) / 22_000_000n);
  });

  it("a place that costs more than may be burned is not signed for", async () => {
    const { act, cold, home } = await small();
    const mostRao = String(TAO / 100n);
    expect(
      await refusal(act({ kind: "register", hotkey: home.address, netuid: 1, mostRao }, cold)),
    ).toContain("chain-too-dear: A place in subnet 1 costs 0.1 TAO now");
    expect(cold.signed).toEqual([]);
  });

  it("a validator's weights are set as shares of the highest, also of many; a subnet that wants them sealed is told", async () => {
    const { act, cold, hot, state } = await small();
    const subnet = state.addSubnet(1);
    await act({ kind: "register", hotkey: hot.address, netuid: 1, mostRao: String(TAO) }, cold);
    const set = (count: number) =>
      act(
        {
          kind: "weights",
          netuid: 1,
          weights: Array.from({ length: count }, (_, uid) => ({ uid, weight: uid === 0 ? 1 : 0.5 })),
          versionKey: 0,
        },
        hot,
      );
    // More than 256 bytes are signed as their hash.
    await set(200);
    expect(subnet.weights.get(0)?.slice(0, 3)).toEqual([
      [0, 65_535],
      [1, 32_768],
      [2, 32_768],
    ]);
    subnet.sealsWeights = true;
    expect(await refusal(set(2))).toContain("chain-weights-sealed");
    expect(hot.signed).toHaveLength(1);
  });

  it("stake is read from newer items of the storage, where the runtime does not tell it", async () => {
    const newer = (metadata: Buffer): Buffer =>
      [
        ["Alpha", "AlphaV2"],
        ["TotalHotkeyShares", "TotalHotkeySharesV2"],
        ["StakeInfoRuntimeApi", "StakeInfoOfAnotherApi"],
      ].reduce((bytes, [from = "", to = ""]) => renamed(bytes, from, to), metadata);
    const { url, genesis, cold, hot, state } = await small(newer);
    state.stake.set(holding(ALICE.address, hot.address, 1), 33n * TAO);
    const { stakes } = await withChain({ url, genesis }, (api) => accountOf(api, cold.address));
    expect(stakes).toEqual([{ hotkey: hot.address, netuid: 1, rao: String(100n * TAO) }]);
  });

  it("emission, incentive and the block of registration are those of the hotkey's place", async () => {
    const { url, genesis, hot, home, state } = await small();
    state.addSubnet(1, {
      neurons: [
        { hotkey: home.address, at: 3, emissionRao: 7n, incentive: 0 },
        { hotkey: hot.address, at: 12, emissionRao: 2_460_013_731n, incentive: 65_535 },
      ],
    });
    const neuron = await withChain({ url, genesis }, (api) => neuronOf(api, 1, hot.address));
    expect(neuron).toMatchObject({ uid: 1, registeredAt: 12, emissionRao: "2460013731", incentive: 1 });
    expect(await withChain({ url, genesis }, (api) => neuronOf(api, 1, ALICE.address))).toMatchObject({
      uid: null,
      emissionRao: null,
      owner: null,
    });
  });
});

it("an address is one number, as Subtensor keeps it", () => {
  expect(ipNumber("203.0.113.7")).toBe(0xcb007107n);
  expect(ipNumber("2001:db8::1")).toBe(0x20010db8000000000000000000000001n);
  expect(ipNumber("::")).toBe(0n);
  expect(ipNumber("::ffff:1.2.3.4")).toBe(0xffff01020304n);
});
