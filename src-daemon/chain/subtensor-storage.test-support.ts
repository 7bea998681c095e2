import { createRequire } from "node:module";
import type * as PolkadotTypes from "@polkadot/types";
import type { SubtensorState } from "./subtensor-state.test-support.ts";

const { expandMetadata } = createRequire(import.meta.url)("@polkadot/types") as typeof PolkadotTypes;
type Registry = PolkadotTypes.TypeRegistry;
type Entries = ReturnType<typeof expandMetadata>["query"];

/** The items of a chain's storage. */
export function storageEntries(registry: Registry, metadata: PolkadotTypes.Metadata): Entries {
  return expandMetadata(registry, metadata).query;
}

/** `U64F64`: one whole share. */
const SHARE = 1n << 64n;

/** A chain's storage as clients ask for it: hex of values by hex of keys, both made from the metadata. */
export function subtensorStorage(
  registry: Registry,
  query: Entries,
  state: SubtensorState,
): Map<string, string> {
  const rows = new Map<string, string>();
  const put = (section: string, names: readonly string[], keys: readonly unknown[], value: unknown): void => {
    const entry = names.map((name) => query[section]?.[name]).find((found) => found !== undefined);
    if (entry === undefined) return;
    const { type } = entry.meta;
    const id = type.isPlain ? type.asPlain : type.asMap.value;
    const key = registry.createType("StorageKey", [entry, keys]).toHex();
    const bytes = registry.createTypeUnsafe(registry.createLookupType(id), [value]).toU8a();
    rows.set(key, `0x${Buffer.from(bytes).toString("hex")}`);
  };
  const subtensor = (names: string | readonly string[], keys: readonly unknown[], value: unknown): void =>
    put("subtensorModule", typeof names === "string" ? [names] : names, keys, value);
  for (const [address, { nonce, free }] of state.accounts)
    put("system", ["account"], [address], { nonce, providers: 1, data: { free } });
  const hotkeys = new Set<string>();
  for (const [hotkey, coldkey] of state.owners) {
    subtensor("owner", [hotkey], coldkey);
    hotkeys.add(hotkey);
  }
  const held = new Map<string, Set<string>>();
  for (const [key, rao] of state.stake) {
    const [coldkey = "", hotkey = "", netuid = ""] = key.split(" ");
    hotkeys.add(hotkey);
    held.set(coldkey, (held.get(coldkey) ?? new Set()).add(hotkey));
    subtensor(["alphaV2", "alpha"], [hotkey, coldkey, Number(netuid)], { bits: rao * SHARE });
  }
  for (const [coldkey, at] of held) subtensor("stakingHotkeys", [coldkey], [...at]);
  subtensor("totalNetworks", [], Math.max(0, ...state.subnets.keys()) + 1);
  for (const [netuid, subnet] of state.subnets) {
    subtensor("networksAdded", [netuid], true);
    subtensor("tempo", [netuid], subnet.tempo);
    subtensor("burn", [netuid], subnet.burnRao);
    subtensor("networkRegistrationAllowed", [netuid], subnet.takesRegistrations);
    subtensor("commitRevealWeightsEnabled", [netuid], subnet.sealsWeights);
    subtensor(
      "emission",
      [netuid],
      subnet.neurons.map(({ emissionRao }) => emissionRao),
    );
    subtensor(
      "incentive",
      [netuid],
      subnet.neurons.map(({ incentive }) => incentive),
    );
    subtensor(
      "dividends",
      [netuid],
      subnet.neurons.map(() => 0),
    );
    for (const [uid, { hotkey, at }] of subnet.neurons.entries()) {
      subtensor("uids", [netuid, hotkey], uid);
      subtensor("blockAtRegistration", [netuid, uid], at);
    }
    for (const [hotkey, { ip, port, type }] of subnet.axons)
      subtensor("axons", [netuid, hotkey], { version: 1, ip, port, ipType: type, protocol: 4 });
    for (const hotkey of hotkeys) {
      const alpha = state.alphaOf(hotkey, netuid);
      subtensor("totalHotkeyAlpha", [hotkey, netuid], alpha);
      subtensor(["totalHotkeySharesV2", "totalHotkeyShares"], [hotkey, netuid], { bits: alpha * SHARE });
    }
  }
  return rows;
}
