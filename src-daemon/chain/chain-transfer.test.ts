import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";
import { afterEach, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { transferTao } from "./chain-transfer.ts";
import type { TaoTransfer, TransferKey } from "./chain-transfer.ts";
import { SubtensorNode, hasSubtensorMetadata } from "./subtensor-node.test-support.ts";

const TAO = 1_000_000_000n;
const account = (seed: number) => {
  const secret = secretFromSeed(new Uint8Array(32).fill(seed));
  return { secret, address: encodeSs58(getPublicKey(secret)) };
};
const [POOL, HOME] = [account(1), account(2)];

function keyOf({ secret, address }: ReturnType<typeof account>, as = address) {
  const signed: Uint8Array[] = [];
  const key: TransferKey = {
    address: as,
    signTransfer(_, payload) {
      signed.push(payload);
      return sign(secret, payload);
    },
  };
  return { key, signed };
}

let node: SubtensorNode | null = null;
afterEach(async () => {
  await node?.stop();
  node = null;
});

async function chain(options?: Parameters<typeof SubtensorNode.start>[0]) {
  node = await SubtensorNode.start(options);
  node.accounts.set(POOL.address, { nonce: 0, free: 100n * TAO });
  const to = (amountRao: bigint, change: Partial<TaoTransfer> = {}): TaoTransfer => ({
    url: node?.url ?? "",
    genesis: node?.genesis ?? "",
    to: HOME.address,
    amountRao,
    ...change,
  });
  return { node, to };
}

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => "paid",
    (error: unknown) => (error instanceof Failure ? `${error.code}: ${error.message}` : String(error)),
  );

// Finney's metadata (spec 393) is no part of the repository.
describe.skipIf(!hasSubtensorMetadata)("TAO on a chain with Subtensor's metadata", () => {
  it("arrives by an extrinsic whose signature the chain verifies, and is told with block and amount", async () => {
    const { node: at, to } = await chain();
    const { key, signed } = keyOf(POOL);
    const first = await transferTao(to(3n * TAO), key);
    expect(first).toMatchObject({ block: 1, creditedRao: 3n * TAO });
    expect(first.blockHash).toMatch(/^0x[0-9a-f]{64}$/);
    expect((await transferTao(to(1n), key)).block).toBe(2);
    expect(at.accounts.get(HOME.address)?.free).toBe(3n * TAO + 1n);
    expect(at.accounts.get(POOL.address)?.nonce).toBe(2);
    expect(signed).toHaveLength(2);
  });

  it("signed by another key than the sender's moves nothing", async () => {
    const { node: at, to } = await chain();
    expect(await refusal(transferTao(to(TAO), keyOf(HOME, POOL.address).key))).toContain(
      "chain-refused: The chain does not take the signature",
    );
    expect([at.height, at.accounts.get(POOL.address)?.free]).toEqual([0, 100n * TAO]);
  });

  it("on another chain than is meant is never signed", async () => {
    const { to } = await chain();
    const { key, signed } = keyOf(POOL);
    const meant = `0x${"ab".repeat(32)}`;
    expect(await refusal(transferTao(to(TAO, { genesis: meant }), key))).toContain("chain-other-genesis");
    expect(signed).toEqual([]);
  });

  it("on a chain that wants unknown data in a transaction is never signed", async () => {
    // The nonce's extension under another name of the same length: it carries data that nobody here would fill in.
    const change = (metadata: Buffer): Buffer => {
      const changed = Buffer.from(metadata);
      changed.write("CheckNovel", changed.indexOf("CheckNonce", changed.lastIndexOf("CheckMortality") - 400));
      return changed;
    };
    const { to } = await chain({ change });
    const { key, signed } = keyOf(POOL);
    expect(await refusal(transferTao(to(TAO), key))).toContain("chain-extension-unknown");
    expect(signed).toEqual([]);
  });

  it.each([
    ["Balances.InsufficientBalance", "the balance is too low"],
    ["SubtensorModule.CannotUnstakeLock", "Nothing is lost: try again later."],
    ["SubtensorModule.RegistrationNotPermittedOnRootSubnet", "RegistrationNotPermittedOnRootSubnet"],
  ])("that meets %s is told in words, with the node's own name", async (error, words) => {
    const { node: at, to } = await chain();
    at.failures.push({ call: "balances.transferKeepAlive", error });
    const said = await refusal(transferTao(to(TAO), keyOf(POOL).key));
    expect(said).toContain("chain-refused");
    expect(said).toContain(words);
    expect(at.accounts.get(HOME.address)?.free ?? 0n).toBe(0n);
  });

  it("of nothing, or to a node that is not there, is refused", async () => {
    const { to } = await chain();
    const { key, signed } = keyOf(POOL);
    expect(await refusal(transferTao(to(0n), key))).toContain("bad-amount");
    expect(await refusal(transferTao(to(TAO, { url: "ws://127.0.0.1:1" }), key))).toContain(
      "chain-unreachable",
    );
    expect(signed).toEqual([]);
  });
});
