import type { SessionKey } from "../../src-protocol/keys.ts";
import type { LinkReach, LinkStatus } from "../../src-protocol/link-report.ts";
import { stageOf } from "./network-state.ts";
import type { Effect, NetworkState, RunMessage } from "./network-state.ts";

/**
 * The node of stage `index` could not dial the next one: that one is told, and gets a stage that
 * nobody has to dial. SECURITY: only the neighbour whose task it was is believed, and all that its
 * word costs is the place in the pipeline; one success of anybody's takes it back.
 */
export function notReached(
  state: NetworkState,
  index: number,
  { code, peer }: RunMessage & { type: "trouble" },
  effects: Effect[],
): NetworkState {
  if (state.phase !== "forming" || code !== "peer-unreachable" || peer === undefined) return state;
  if (state.stages[index + 1]?.holder !== peer) return state;
  return withReach(state, peer, "unreachable", effects);
}

/** A node's links as it tells them; the one to the next stage says that its other end can be dialled. */
export function withLinks(
  state: NetworkState,
  sender: SessionKey,
  links: LinkStatus,
  effects: Effect[],
): NetworkState {
  const node = state.nodes.get(sender);
  if (node === undefined) return state;
  const told: NetworkState = { ...state, nodes: new Map(state.nodes).set(sender, { ...node, links }) };
  const own = stageOf(state, sender);
  const next = own === null ? null : (state.stages[own + 1]?.holder ?? null);
  const link = links.links.find(({ side, peer }) => side === "next" && peer === next);
  if (link === undefined) return told;
  return withReach(told, link.peer, link.kind === "relayed" ? "relayed" : "reachable", effects);
}

function withReach(
  state: NetworkState,
  key: SessionKey,
  reach: LinkReach["state"],
  effects: Effect[],
): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined || node.reach === reach) return state;
  effects.push({ type: "send", to: key, message: { type: "reach", reach: { state: reach, detail: "" } } });
  return { ...state, nodes: new Map(state.nodes).set(key, { ...node, reach }) };
}
