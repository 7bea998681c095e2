import { createRequire } from "node:module";
import type * as PolkadotApi from "@polkadot/api";
import type { ApiPromise } from "@polkadot/api";
import type { ApiOptions } from "@polkadot/api/types";
import { Failure } from "../../src-protocol/failure.ts";
import { parseChainUrl, probeChain } from "./chain-probe.ts";

// Its CommonJS half: see chain-thread.ts.
const { ApiPromise: Api, WsProvider } = createRequire(import.meta.url)("@polkadot/api") as typeof PolkadotApi;

/** One node of one chain. */
export interface ChainPlace {
  readonly url: string;
  /** Of the chain that is meant: on any other nothing is signed. Null: whichever it is, to be read only. */
  readonly genesis: string | null;
}

const CONNECT_MS = 30_000;

/** Extensions that carry no data. */
const EMPTY = [
  "SudoTransactionExtension",
  "CheckShieldedTxValidity",
  "SubtensorTransactionExtension",
  "DrandPriority",
];
/** … and those that polkadot-js fills in. */
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
 * Connects for as long as `work` takes.
 *
 * @throws Failure `chain-bad-address`, `chain-unreachable`, `chain-timeout`, `chain-not-a-chain`, `chain-other-genesis`
 */
export async function withChain<T>(place: ChainPlace, work: (api: ApiPromise) => Promise<T>): Promise<T> {
  const url = parseChainUrl(place.url);
  // A first knock whose errors can be told to a person.
  await probeChain(url, CONNECT_MS, AbortSignal.timeout(CONNECT_MS));
  const none = { extrinsic: {}, payload: {} };
  const signedExtensions = Object.fromEntries(EMPTY.map((name) => [name, none]));
  const provider = new WsProvider(url, false, {}, CONNECT_MS);
  const api = new Api({ provider, noInitWarn: true, signedExtensions } as ApiOptions);
  const broken = Promise.withResolvers<never>();
  const unreachable = (): void =>
    broken.reject(new Failure("chain-unreachable", "The connection to the chain node has ended."));
  broken.promise.catch(() => undefined);
  try {
    await within(CONNECT_MS, "did not tell what it is in time", async () => {
      await provider.connect();
      await api.isReadyOrError;
    });
    provider.on("disconnected", unreachable);
    isMeant(api, place);
    // Without it a request to a node that went away would wait for ever.
    return await Promise.race([work(api), broken.promise]);
  } finally {
    await api.disconnect().catch(() => undefined);
  }
}

function isMeant(api: ApiPromise, { genesis }: ChainPlace): void {
  const found = api.genesisHash.toHex();
  if (genesis !== null && found !== genesis)
    throw new Failure(
      "chain-other-genesis",
      `The node's chain begins with ${found}, and the one that is meant with ${genesis}. Nothing was signed: check the address, or name the chain with --genesis.`,
    );
}

/** SECURITY: before anything is signed: the chain's transactions are understood. @throws Failure `chain-extension-unknown` */
export function mayBeSigned(api: ApiPromise): void {
  const unknown = unknownExtensions(api);
  if (unknown.length > 0)
    throw new Failure(
      "chain-extension-unknown",
      `This chain wants data in a transaction that this version does not know (${unknown.join(", ")}). Nothing was signed: update Train at Home.`,
    );
}

/** Signed extensions with data that nobody here would fill in; one without any changes nothing. */
function unknownExtensions(api: Pick<ApiPromise, "registry" | "runtimeMetadata">): string[] {
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

/** @throws Failure `chain-timeout` */
export async function within<T>(ms: number, what: string, work: () => Promise<T>): Promise<T> {
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
