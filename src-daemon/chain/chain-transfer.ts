import { createRequire } from "node:module";
import type * as PolkadotApi from "@polkadot/api";
import type { ApiPromise } from "@polkadot/api";
import type { ApiOptions } from "@polkadot/api/types";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { explainChainError } from "./chain-errors.ts";
import { parseChainUrl, probeChain } from "./chain-probe.ts";

// Its CommonJS half: see chain-thread.ts.
const { ApiPromise: Api, WsProvider } = createRequire(import.meta.url)("@polkadot/api") as typeof PolkadotApi;

/** Finney's genesis, as Bittensor's SDK 11 has it. */
export const FINNEY_GENESIS = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03";

/** TAO to an address, on one chain. */
export interface TaoTransfer {
  readonly url: string;
  /** Of the chain that is meant: on any other nothing is signed. */
  readonly genesis: string;
  readonly to: Ss58Address;
  readonly amountRao: bigint;
}

/** The coldkey, as far as a transfer needs it. */
export interface TransferKey {
  readonly address: Ss58Address;
  /** 64 bytes of sr25519 over the extrinsic's payload, which was made from this transfer here. */
  signTransfer(transfer: TaoTransfer, payload: Uint8Array): Uint8Array;
}

export interface ArrivedTransfer {
  readonly block: number;
  readonly blockHash: string;
  /** SHA of the chain over the whole extrinsic. */
  readonly extrinsic: string;
  /** By the chain's own event, and not the amount that was asked for. */
  readonly creditedRao: bigint;
}

const CONNECT_MS = 30_000;
/** Finney finalises within a minute; a chain that stands still is told as such. */
const FINAL_MS = 300_000;

/** Extensions that carry no data, or that polkadot-js fills in. */
const EMPTY = [
  "SudoTransactionExtension",
  "CheckShieldedTxValidity",
  "SubtensorTransactionExtension",
  "DrandPriority",
];
const KNOWN: ReadonlySet<string> = new Set([
  ...EMPTY,
  "CheckNonZeroSender",
  "CheckSpecVersion",
  "CheckTxVersion",
  "CheckGenesis",
  "CheckMortality",
  "CheckNonce",
  "CheckWeight",
  "ChargeTransactionPayment",
  "CheckMetadataHash",
]);

/**
 * Sends TAO and resolves when that is final.
 *
 * @throws Failure `chain-other-genesis`, `chain-extension-unknown`, `chain-call-missing` (nothing was signed),
 * `chain-refused` (nothing moved), `chain-unreachable`, `chain-timeout`, `chain-unsure` (it was sent, and its end is not known)
 */
export async function transferTao(transfer: TaoTransfer, key: TransferKey): Promise<ArrivedTransfer> {
  if (transfer.amountRao <= 0n) throw new Failure("bad-amount", "Nothing or less cannot be sent.");
  const url = parseChainUrl(transfer.url);
  // A first knock whose errors can be told to a person.
  await probeChain(url, CONNECT_MS, AbortSignal.timeout(CONNECT_MS));
  const none = { extrinsic: {}, payload: {} };
  const signedExtensions = Object.fromEntries(EMPTY.map((name) => [name, none]));
  const provider = new WsProvider(url, false, {}, CONNECT_MS);
  const api = new Api({ provider, noInitWarn: true, signedExtensions } as ApiOptions);
  try {
    await within(CONNECT_MS, "did not tell what it is in time", async () => {
      await provider.connect();
      await api.isReadyOrError;
    });
    mayBeSigned(api, transfer);
    return await sent(api, transfer, key);
  } finally {
    await api.disconnect().catch(() => undefined);
  }
}

/** SECURITY: before anything is signed: the chain is the one that is meant, and understood. */
function mayBeSigned(api: ApiPromise, { genesis }: TaoTransfer): void {
  const found = api.genesisHash.toHex();
  if (found !== genesis)
    throw new Failure(
      "chain-other-genesis",
      `The node's chain begins with ${found}, and the one that is meant with ${genesis}. Nothing was signed: check the address, or name the chain with --genesis.`,
    );
  const unknown = unknownExtensions(api);
  if (unknown.length > 0)
    throw new Failure(
      "chain-extension-unknown",
      `This chain wants data in a transaction that this version does not know (${unknown.join(", ")}). Nothing was signed: update Train at Home.`,
    );
  if (api.tx["balances"]?.["transferKeepAlive"] === undefined)
    throw new Failure(
      "chain-call-missing",
      "This chain has no transfer of the kind that is used here. Nothing was signed.",
    );
}

/** Signed extensions with data that nobody here would fill in; one without any changes nothing. */
export function unknownExtensions(api: Pick<ApiPromise, "registry" | "runtimeMetadata">): string[] {
  const { registry } = api;
  const { transactionExtensions } = api.runtimeMetadata.asLatest.extrinsic as unknown as {
    transactionExtensions?: Iterable<Record<"identifier" | "type" | "implicit", { toString(): string }>>;
  };
  const isEmpty = (type: unknown): boolean => {
    const name = registry.createLookupType(type as Parameters<typeof registry.createLookupType>[0]);
    return registry.createType(name).encodedLength === 0;
  };
  return [...(transactionExtensions ?? [])].flatMap(({ identifier, type, implicit }) => {
    const name = identifier.toString();
    return KNOWN.has(name) || (isEmpty(type) && isEmpty(implicit)) ? [] : [name];
  });
}

interface Progress {
  readonly status: {
    readonly isFinalized: boolean;
    readonly asFinalized: { toHex(): string };
    readonly isInvalid: boolean;
    readonly isDropped: boolean;
    readonly isUsurped: boolean;
  };
  readonly dispatchError?: Parameters<typeof explainChainError>[1] | undefined;
  readonly events: readonly { readonly event: TransferEvent }[];
  readonly txHash: { toHex(): string };
}

interface TransferEvent {
  readonly section: string;
  readonly method: string;
  readonly data: readonly { toString(): string }[];
}

async function sent(api: ApiPromise, transfer: TaoTransfer, key: TransferKey): Promise<ArrivedTransfer> {
  const { to, amountRao } = transfer;
  const call = api.tx["balances"]?.["transferKeepAlive"]?.(to, amountRao);
  if (call === undefined) throw new Error("the call was looked for before");
  const signer = {
    signRaw: ({ data }: { data: string }) => {
      const signature = key.signTransfer(transfer, Buffer.from(data.slice(2), "hex"));
      // MultiSignature::Sr25519
      return Promise.resolve({ id: 1, signature: `0x01${Buffer.from(signature).toString("hex")}` as const });
    },
  };
  const signed = await call.signAsync(key.address, { signer });
  const final = Promise.withResolvers<Progress>();
  let isTaken = false;
  const stop = await signed
    .send((progress) => {
      isTaken = true;
      const { isFinalized, isInvalid, isDropped, isUsurped } = progress.status;
      if (isFinalized) final.resolve(progress as unknown as Progress);
      if (isInvalid || isDropped || isUsurped)
        final.reject(
          new Failure(
            "chain-refused",
            "The chain has dropped the transfer again, so nothing moved. Try again.",
          ),
        );
    })
    .catch((error: unknown) => {
      throw new Failure("chain-refused", poolRefusal(error), { cause: error });
    });
  try {
    const progress = await within(FINAL_MS, "did not finalise the transfer in time", () => final.promise);
    return await arrived(api, progress, transfer, key.address);
  } catch (error) {
    if (error instanceof Failure && error.code !== "chain-timeout") throw error;
    throw new Failure(
      "chain-unsure",
      `The transfer ${signed.hash.toHex()} was ${isTaken ? "sent" : "perhaps sent"}, and its end is not known. Look it up before it is sent again.`,
      { cause: error },
    );
  } finally {
    stop();
  }
}

async function arrived(
  api: ApiPromise,
  { status, dispatchError, events, txHash }: Progress,
  { to, amountRao }: TaoTransfer,
  from: Ss58Address,
): Promise<ArrivedTransfer> {
  if (dispatchError !== undefined)
    throw new Failure("chain-refused", explainChainError(api.registry, dispatchError));
  const credited = events.find(
    ({ event: { section, method, data } }) =>
      section === "balances" && method === "Transfer" && String(data[0]) === from && String(data[1]) === to,
  );
  const blockHash = status.asFinalized.toHex();
  const header = await api.rpc.chain.getHeader(blockHash);
  if (credited === undefined)
    throw new Failure(
      "chain-unsure",
      `The chain took the transfer ${txHash.toHex()} in block ${header.number.toString()} and names no amount of ${formatTao(amountRao)} TAO that arrived. Look it up before it is sent again.`,
    );
  return {
    block: header.number.toNumber(),
    blockHash,
    extrinsic: txHash.toHex(),
    creditedRao: BigInt(String(credited.event.data[2])),
  };
}

function poolRefusal(error: unknown): string {
  const said = error instanceof Error ? error.message.replaceAll(/\p{C}/gu, "").slice(0, 300) : "";
  if (/outdated|stale/i.test(said))
    return "The chain has seen a transaction of this key with the same number before, so nothing was sent twice. Wait a block, then look at the balance.";
  if (/pay some fees/i.test(said)) return "The balance does not cover the fees, so nothing was sent.";
  if (/bad signature/i.test(said))
    return "The chain does not take the signature: this version does not fit its runtime. Nothing moved: update Train at Home.";
  return `The chain refused the transfer, so nothing moved: ${said}.`;
}

async function within<T>(ms: number, what: string, work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Failure("chain-timeout", `The chain node ${what} (${ms / 1000} s).`)),
    ms,
  );
  try {
    return await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}
