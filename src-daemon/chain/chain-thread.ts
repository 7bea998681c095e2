import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import type * as PolkadotApi from "@polkadot/api";
import type { ApiOptions } from "@polkadot/api/types";
import type { ChainAccount } from "./chain.ts";
import type { ChainEvent } from "./chain-events.ts";

/**
 * One connection to one node, on a thread of its own: `@polkadot/api` takes memory that a daemon
 * without a chain must not spend, decodes half a megabyte of metadata at the start, and throws out
 * of its socket handler when a node sends something that is not JSON. When anything goes wrong the
 * thread ends; its parent decides what next.
 */
// Its CommonJS half: as ES modules the same package takes twice the time and memory to load on Node 24.
const { ApiPromise, WsProvider } = createRequire(import.meta.url)("@polkadot/api") as typeof PolkadotApi;

const { url, payout } = workerData as ChainAccount;
const tell = (event: ChainEvent) => parentPort?.postMessage(event);

/** Subtensor's own extensions carry no data; naming them keeps `@polkadot/api` from warning. */
const EMPTY = { extrinsic: {}, payload: {} };
const signedExtensions = {
  SudoTransactionExtension: EMPTY,
  CheckShieldedTxValidity: EMPTY,
  SubtensorTransactionExtension: EMPTY,
  DrandPriority: EMPTY,
};

// Without its own reconnecting: that logs every attempt, and keeps stale state.
const provider = new WsProvider(url, false, {}, 30_000);
provider.on("disconnected", () => end("The node closed the connection."));
provider.on("error", () => end("The connection broke."));
const api = new ApiPromise({ provider, noInitWarn: true, signedExtensions } as ApiOptions);
api.on("error", (error: unknown) =>
  end(error instanceof Error ? error.message : "The node's answers make no sense."),
);

await provider.connect();
await api.isReadyOrError;
await api.rpc.chain.subscribeNewHeads((head) => tell({ type: "head", block: head.number.toNumber() }));
// A balance of a form this version cannot read must not cost the clock.
await watchBalance().catch(() => tell({ type: "balance", rao: null }));

/** Storage differs between runtimes: what is not there is not an error, there is just no balance. */
async function watchBalance(): Promise<void> {
  const account = api.query["system"]?.["account"];
  if (account === undefined) {
    tell({ type: "balance", rao: null });
    return;
  }
  await account(payout, (info: unknown) => tell({ type: "balance", rao: freeOf(info) }));
}

function freeOf(info: unknown): string | null {
  if (!hasField(info, "data") || !hasField(info.data, "free")) return null;
  const text = String(info.data.free);
  return /^\d+$/.test(text) ? text : null;
}

function hasField<Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> {
  return typeof value === "object" && value !== null && name in value;
}

function end(reason: string): void {
  tell({ type: "lost", reason: reason.slice(0, 300) });
  // Gives the message its turn to leave; the thread holds nothing that would need closing.
  setImmediate(() => process.exit(0));
}
