import { Failure } from "../src-protocol/failure.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import type { Ss58Address } from "../src-protocol/keys.ts";
import { decodeSs58 } from "../src-protocol/ss58.ts";

export const FINNEY_GENESIS = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03";
const NODES: Readonly<Record<string, string>> = {
  finney: "wss://entrypoint-finney.opentensor.ai:443",
  test: "wss://test.finney.opentensor.ai:443",
  local: "ws://127.0.0.1:9944",
};

/** A node's address, by its name or as it is given. */
export function urlOf(chain: string): string {
  return NODES[chain] ?? chain;
}

/** Of the chain that is meant; Finney's where it is not said. */
export function genesisOf(given: string | undefined): string {
  const genesis = given?.toLowerCase() ?? FINNEY_GENESIS;
  if (/^0x[0-9a-f]{64}$/.test(genesis)) return genesis;
  throw new Failure("bad-option", "--genesis is 0x and 64 digits of hex.");
}

export function addressOf(text: string): Ss58Address {
  const address = ss58Address.safeParse(text);
  if (address.success && decodeSs58(address.data) !== null) return address.data;
  throw new Failure("bad-address", `"${text.slice(0, 60)}" is no address: a letter is missing or wrong.`);
}

/** Whole rao: what has more than nine decimals is not rounded, but refused. */
export function raoOf(text: string): bigint {
  const [, whole = "", fraction = ""] = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  const rao = whole === "" ? 0n : BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  if (rao > 0n) return rao;
  throw new Failure("bad-amount", `"${text.slice(0, 40)}" is no amount: say for example 0.25.`);
}
