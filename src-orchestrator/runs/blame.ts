import type { SessionKey } from "../../src-protocol/keys.ts";
import { vacate } from "./network-state.ts";
import type { NetworkState } from "./network-state.ts";

/** The node may lose its stage to one that failed less often. */
export function blame(state: NetworkState, key: SessionKey): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const nodes = new Map(state.nodes).set(key, { ...node, failures: node.failures + 1 });
  return vacate({ ...state, nodes }, key);
}
