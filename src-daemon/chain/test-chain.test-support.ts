import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";
import { randomBytes } from "node:crypto";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { encodeSs58 } from "../../src-protocol/ss58.ts";
import { act } from "./chain-acting.ts";
import { withChain } from "./chain-api.ts";
import type { ActionKey } from "./chain-sending.ts";
import { SubtensorNode, hasSubtensorMetadata } from "./subtensor-node.test-support.ts";

export const TAO = 1_000_000_000n;

/** A key pair of a test, and what it was asked to sign. */
export interface TestKey extends ActionKey {
  readonly address: Ss58Address;
  readonly signed: ChainAction[];
}

export function keyFrom(seed: Uint8Array, as?: Ss58Address): TestKey {
  const secret = secretFromSeed(seed);
  const signed: ChainAction[] = [];
  return {
    address: as ?? encodeSs58(getPublicKey(secret)),
    signed,
    signAction(action, payload) {
      signed.push(action);
      return sign(secret, payload);
    },
  };
}

/** Of nobody before: a real chain remembers. */
export function freshKey(): TestKey {
  return keyFrom(randomBytes(32));
}

/** The developers' key `//Alice`, which has TAO on every local chain. */
export const ALICE = keyFrom(
  Buffer.from("e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a", "hex"),
);

export interface TestChain {
  readonly url: string;
  readonly genesis: string;
  /** A subnet that takes registrations. */
  readonly netuid: number;
  /** Null: a real Subtensor, whose state is not to be reached into. */
  readonly node: SubtensorNode | null;
  act(action: ChainAction, key: ActionKey): ReturnType<typeof act>;
  /** TAO from Alice. */
  fund(address: Ss58Address, rao: bigint): Promise<void>;
  stop(): Promise<void>;
}

const MOST_TRIES = 10;
const REAL_URL = process.env["TAH_SUBTENSOR_URL"] ?? "";
const REAL_NETUID = Number(process.env["TAH_SUBTENSOR_NETUID"] ?? "1");

/** Our small node where Finney's metadata is, and a real Subtensor where `TAH_SUBTENSOR_URL` names one. */
const HERE: readonly { readonly chain: string; readonly start: () => Promise<TestChain> }[] = [
  ...(hasSubtensorMetadata ? [{ chain: "a small node with Finney's metadata", start: startOurs }] : []),
  ...(REAL_URL === "" ? [] : [{ chain: "the Subtensor of TAH_SUBTENSOR_URL", start: startReal }]),
];
export const HAS_CHAIN = HERE.length > 0;
/** Where none is here, one that cannot be started: so its tests are skipped by name, and no file is without any. */
export const CHAINS: typeof HERE = HAS_CHAIN
  ? HERE
  : [
      {
        chain: "a chain that is not here",
        start: () => Promise.reject(new Error("There is no chain here.")),
      },
    ];

/** @param change of the metadata, before it is served */
export async function startOurs(
  change?: (metadata: Buffer) => Buffer,
): Promise<TestChain & { node: SubtensorNode }> {
  const node = await SubtensorNode.start(change === undefined ? {} : { change });
  node.state.account(ALICE.address).free = 1_000_000n * TAO;
  node.state.addSubnet(1);
  return { ...chainAt(node.url, node.genesis, 1, () => node.stop()), node };
}

async function startReal(): Promise<TestChain> {
  const genesis = await withChain({ url: REAL_URL, genesis: null }, (api) =>
    Promise.resolve(api.genesisHash.toHex()),
  );
  return { ...chainAt(REAL_URL, genesis, REAL_NETUID, () => Promise.resolve()), node: null };
}

function chainAt(url: string, genesis: string, netuid: number, stop: () => Promise<void>) {
  const acting = (action: ChainAction, key: ActionKey) => act({ url, genesis }, action, key);
  return {
    url,
    genesis,
    netuid,
    act: acting,
    async fund(to: Ss58Address, rao: bigint) {
      const send = () => acting({ kind: "transfer", to, amountRao: String(rao) }, ALICE);
      // Tests of other files, at the same time, may have used Alice's next number.
      for (let attempt = 1; attempt < MOST_TRIES; attempt++)
        if (await send().then(() => true, isNumberTaken)) return;
      await send();
    },
    stop,
  };
}

function isNumberTaken(error: unknown): false {
  if (error instanceof Failure && /same number|priority is too low/i.test(error.message)) return false;
  throw error;
}

/** Another name for what the metadata calls `from`, of whatever length: SCALE says a name's length before it. */
export function renamed(metadata: Buffer, from: string, to: string): Buffer {
  const bytes = (name: string): Buffer => Buffer.concat([Buffer.from([name.length << 2]), Buffer.from(name)]);
  const [old, fresh] = [bytes(from), bytes(to)];
  const parts: Buffer[] = [];
  let [start, found] = [0, metadata.indexOf(old)];
  for (; found >= 0; found = metadata.indexOf(old, start)) {
    parts.push(metadata.subarray(start, found), fresh);
    start = found + old.length;
  }
  return Buffer.concat([...parts, metadata.subarray(start)]);
}
