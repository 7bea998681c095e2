import { blake2b } from "@noble/hashes/blake2.js";
import type { ApiPromise } from "@polkadot/api";
import { singlePayment } from "../../src-protocol/chain-action.ts";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { mayBeSigned, within } from "./chain-api.ts";
import { callOf } from "./chain-calls.ts";
import { FailedInBlock, chainRefusal, isKnown, isStale, poolRefusal } from "./chain-errors.ts";
import { creditedBy, feeOf, splitByItem } from "./chain-credit.ts";
import type { ChainEventLike } from "./chain-credit.ts";

/** Thrown where it is in a block and has failed there. */
export { FailedInBlock };

/** A key, as far as a chain needs it. */
export interface ActionKey {
  readonly address: Ss58Address;
  /** 64 bytes of sr25519 over the extrinsic's payload, which was made from this action here. */
  signAction(action: ChainAction, payload: Uint8Array): Uint8Array;
  /** What was signed has moved nothing, or less, and never will: a limit that counted it has room again. */
  movedLess?(signed: SignedAction, less: MovedLess): void;
}

/** Of a signed action that did not do all it was made for. `of` names the part, so that it is told once. */
export interface MovedLess {
  readonly rao: bigint;
  readonly of: string;
}

/** Signed, and perhaps not sent: sent twice it is still the same one, which a chain takes once. */
export interface SignedAction {
  readonly action: ChainAction;
  readonly from: Ss58Address;
  /** The whole extrinsic, 0x-hex. */
  readonly extrinsic: string;
  /** Blake2 of it, as the chain names it. */
  readonly hash: string;
  readonly nonce: number;
  /** Blocks that it can be in: the first, and the first one that it cannot. */
  readonly birth: number;
  readonly death: number;
  /** SHA-256 of what the key has signed; what was signed by older versions has none. */
  readonly payload?: string | undefined;
}

/** What came of one of many payments. */
export type ItemOutcome = { readonly creditedRao: bigint } | { readonly failure: Failure };

export interface ArrivedAction {
  readonly block: number;
  readonly blockHash: string;
  readonly extrinsic: string;
  /** By the chain's own event, and not what was asked for; null: the action moves nothing. */
  readonly creditedRao: bigint | null;
  /** What the chain took for it from the sender; null: it does not say. */
  readonly feeRao: bigint | null;
  /** Of many payments what came of each, in their order; else none. */
  readonly items: readonly ItemOutcome[];
}

/** Of a longer payload the chain wants its hash signed, which polkadot-js leaves to the signer. */
const HASHED_ABOVE_BYTES = 256;
/** Blocks that a transaction is good for: 13 minutes on Finney. */
const PERIOD = 64;
/** Finney finalises within a minute; a chain that stands still is told as such. */
const FINAL_MS = 300_000;

/**
 * Makes the extrinsic of an action and signs it.
 *
 * @throws Failure of `callOf` and `mayBeSigned`, and whatever the key refuses with: nothing was signed
 */
export async function signAction(
  api: ApiPromise,
  action: ChainAction,
  key: ActionKey,
): Promise<SignedAction> {
  mayBeSigned(api);
  const call = await callOf(api, action);
  let digest = "";
  const signer = {
    signRaw: ({ data }: { data: string }) => {
      const payload = Buffer.from(data.slice(2), "hex");
      const text = payload.length > HASHED_ABOVE_BYTES ? blake2(payload) : payload;
      const signature = key.signAction(action, text);
      digest = sha256(text);
      // MultiSignature::Sr25519
      return Promise.resolve({ id: 1, signature: `0x01${Buffer.from(signature).toString("hex")}` as const });
    },
  };
  // Asked of the node: what the library remembers is of the block before, and then the chain calls it stale.
  const nonce = await api.rpc.system.accountNextIndex(key.address);
  const signed = await call.signAsync(key.address, { signer, era: PERIOD, nonce });
  // An era tells a block by its place in a period only: any block of that period completes it.
  const head = (await api.rpc.chain.getHeader()).number.toNumber();
  const { birth, death } = livesFrom(signed.era, head);
  return {
    action,
    from: key.address,
    extrinsic: signed.toHex(),
    hash: signed.hash.toHex(),
    nonce: signed.nonce.toNumber(),
    birth,
    death,
    payload: digest,
  };
}

function blake2(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: 32 });
}

function livesFrom(era: unknown, head: number): { birth: number; death: number } {
  const { isMortalEra, asMortalEra } = era as {
    isMortalEra: boolean;
    asMortalEra: { birth(current: number): number; death(current: number): number };
  };
  if (!isMortalEra) throw new Error("an extrinsic that never ends must not be signed");
  return { birth: asMortalEra.birth(head), death: asMortalEra.death(head) };
}

/**
 * Sends what is signed and resolves when it is final; sending it again is no harm.
 *
 * @throws Failure `chain-refused`, `chain-held` (nothing moved); `chain-unsure` (it was sent, and its end is not known)
 */
export async function sendSigned(api: ApiPromise, signed: SignedAction): Promise<ArrivedAction> {
  const final = Promise.withResolvers<string>();
  final.promise.catch(() => undefined);
  let stop = (): void => undefined;
  try {
    stop = await api.rpc.author.submitAndWatchExtrinsic(signed.extrinsic, (status) => {
      if (status.isFinalized) final.resolve(status.asFinalized.toHex());
      else if (status.isInvalid || status.isDropped || status.isUsurped || status.isFinalityTimeout)
        final.reject(unsure(signed));
    });
  } catch (error) {
    // Sent before: the chain has it, or had it.
    if (isStale(error) || isKnown(error)) return await settled(api, signed, poolRefusal(error));
    throw error instanceof Error && /disconnect|1006|not connected/i.test(error.message)
      ? unsure(signed, error)
      : poolRefusal(error);
  }
  try {
    const hash = await within(FINAL_MS, "did not finalise it in time", () => final.promise);
    return await outcomeIn(api, signed, hash);
  } catch (error) {
    if (error instanceof Failure && error.code !== "chain-timeout") throw error;
    throw unsure(signed, error);
  } finally {
    stop();
  }
}

/** Of one that the node knows already: waits until it is in a final block, at most as long as it lives. */
async function settled(api: ApiPromise, signed: SignedAction, refusal: Failure): Promise<ArrivedAction> {
  const deadline = Date.now() + FINAL_MS;
  for (;;) {
    const found = await findSigned(api, signed);
    if (found.state === "arrived") return found.arrived;
    if (found.state === "failed") throw found.failure;
    if (found.state === "gone" || Date.now() > deadline)
      throw found.state === "gone" ? refusal : unsure(signed);
    await new Promise((done) => setTimeout(done, 1_000));
  }
}

export type FoundAction =
  | { readonly state: "arrived"; readonly arrived: ArrivedAction }
  /** It is in a block, and did nothing. */
  | { readonly state: "failed"; readonly failure: Failure }
  /** In no final block so far, and may still come into one. */
  | { readonly state: "open" }
  /** In no block, and in none to come. */
  | { readonly state: "gone" }
  /** It is in a block whose events this node does not keep any more. */
  | { readonly state: "unknown"; readonly block: number };

/** Looks through the final blocks that it can be in. @throws Failure of the connection */
export async function findSigned(api: ApiPromise, signed: SignedAction): Promise<FoundAction> {
  const head = await api.rpc.chain.getFinalizedHead();
  const final = (await api.rpc.chain.getHeader(head)).number.toNumber();
  for (let block = signed.birth; block < Math.min(signed.death, final + 1); block++) {
    const hash = (await api.rpc.chain.getBlockHash(block)).toHex();
    const { extrinsics } = (await api.rpc.chain.getBlock(hash)).block;
    if (!extrinsics.some((each) => each.hash.toHex() === signed.hash)) continue;
    try {
      return { state: "arrived", arrived: await outcomeIn(api, signed, hash) };
    } catch (error) {
      if (error instanceof Failure && (error.code === "chain-refused" || error.code === "chain-held"))
        return { state: "failed", failure: error };
      return { state: "unknown", block };
    }
  }
  if (final + 1 >= signed.death) return { state: "gone" };
  // Another transaction has its number, in a block that is final.
  const account = await (await api.at(head)).query["system"]?.["account"]?.(signed.from);
  const nonce = Number(String((account as { nonce?: unknown } | undefined)?.nonce));
  return nonce > signed.nonce ? { state: "gone" } : { state: "open" };
}

/** What became of it in the block that has it. @throws Failure `chain-refused`, `chain-held`, `chain-unsure` */
async function outcomeIn(api: ApiPromise, signed: SignedAction, blockHash: string): Promise<ArrivedAction> {
  const { block } = await api.rpc.chain.getBlock(blockHash);
  const index = block.extrinsics.findIndex((each) => each.hash.toHex() === signed.hash);
  const query = api.query["system"]?.["events"];
  if (index < 0 || query === undefined) throw unsure(signed);
  const records = (await (await api.at(blockHash)).query["system"]?.["events"]?.()) as unknown as
    | readonly EventRecord[]
    | undefined;
  const events = (records ?? [])
    .filter(({ phase }) => phase.isApplyExtrinsic && phase.asApplyExtrinsic.toNumber() === index)
    .map(({ event }) => event);
  const failed = events.find(({ section, method }) => section === "system" && method === "ExtrinsicFailed");
  if (failed !== undefined)
    throw new FailedInBlock(
      chainRefusal(api.registry, failed.data[0] as unknown as Parameters<typeof chainRefusal>[1]),
      feeOf(events),
    );
  const number = block.header.number.toNumber();
  const items = itemsOf(api, signed, events);
  const credited =
    signed.action.kind === "pay-many"
      ? items?.reduce((sum, item) => sum + ("failure" in item ? 0n : item.creditedRao), 0n)
      : creditedBy(events, signed);
  if (credited === undefined || items === undefined)
    throw new Failure(
      "chain-unsure",
      `The chain took ${signed.hash} in block ${number} and does not say what arrived. Look it up before it is sent again.`,
    );
  return {
    block: number,
    blockHash,
    extrinsic: signed.hash,
    creditedRao: credited,
    feeRao: feeOf(events),
    items,
  };
}

/** Undefined: the chain does not say of each what came of it. */
function itemsOf(
  api: ApiPromise,
  { action, from }: SignedAction,
  events: readonly ChainEventLike[],
): readonly ItemOutcome[] | undefined {
  if (action.kind !== "pay-many") return [];
  const parts = splitByItem(events);
  if (parts.length !== action.payments.length) return undefined;
  const outcomes: ItemOutcome[] = [];
  for (const [i, { events: own, failed }] of parts.entries()) {
    const payment = action.payments[i];
    if (payment === undefined) return undefined;
    if (failed !== null) {
      const error = failed.data[0] as unknown as Parameters<typeof chainRefusal>[1];
      outcomes.push({ failure: chainRefusal(api.registry, error) });
      continue;
    }
    const creditedRao = creditedBy(own, { action: singlePayment(action, payment), from });
    if (creditedRao === undefined || creditedRao === null) return undefined;
    outcomes.push({ creditedRao });
  }
  return outcomes;
}

interface EventRecord {
  readonly phase: {
    readonly isApplyExtrinsic: boolean;
    readonly asApplyExtrinsic: { toNumber(): number };
  };
  readonly event: ChainEventLike;
}

function unsure({ hash }: SignedAction, cause?: unknown): Failure {
  return new Failure(
    "chain-unsure",
    `The transaction ${hash} was sent, and its end is not known. Look it up before it is sent again.`,
    { cause },
  );
}
