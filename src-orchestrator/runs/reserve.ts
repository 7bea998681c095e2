import { teamMembers } from "./network-state.ts";
import type { Effect, NetworkEvent, NetworkNode, NetworkState } from "./network-state.ts";
import { needsNow, sharedNeeds } from "./needs.ts";
import { canHold, TRAINING_SHARE } from "./placement.ts";

/** Only then may somebody have lost a slice, got one, or be there without one for another reason. */
export function mayChangeReserve(event: NetworkEvent, before: NetworkState, after: NetworkState): boolean {
  if (before.phase !== after.phase || before.generation !== after.generation) return true;
  if (event.type === "message") return event.message.type === "trouble";
  return event.type === "joined" || event.type === "moved" || event.type === "left";
}

/** While others train, who has no slice is told why, once for each reason: its owner sees it do nothing. */
export function tellReserve(state: NetworkState, effects: Effect[]): NetworkState {
  const { phase, generation } = state;
  if (phase !== "forming" && phase !== "training") return state;
  const members = teamMembers(state);
  const nodes = new Map(state.nodes);
  for (const [key, node] of nodes) {
    const reason = members.has(key) ? null : reserveText(node, state);
    if (reason === node.reserve) continue;
    nodes.set(key, { ...node, reserve: reason });
    // Every version of a worker shows the reason that it stands still for.
    if (reason !== null)
      effects.push({ type: "send", to: key, message: { type: "halt", generation, reason } });
  }
  return { ...state, nodes };
}

const MEANWHILE = "It takes over where one is lost, and earns nothing meanwhile.";

function reserveText(node: Pick<NetworkNode, "memoryBytes" | "failures">, state: NetworkState): string {
  const { mostReplicas, team } = state;
  const needs = needsNow(state);
  const fitting = needs.filter((bytes) => canHold(node, bytes)).length;
  if (fitting === 0)
    return (
      `The smallest slice needs ${gigabytes(Math.min(...needs))} of memory, and this computer may give ${gigabytes(node.memoryBytes * TRAINING_SHARE)}: ` +
      `three quarters of the ${gigabytes(node.memoryBytes)} that it has or its owner allows. It earns nothing meanwhile.`
    );
  if (team === null && node.failures > 0)
    return `In reserve: computers that were near trouble less often than this one (${node.failures}) go first. ${MEANWHILE}`;
  if (team === null && mostReplicas > 1)
    return `In reserve: others hold every slice, and sharing one takes ${gigabytes(Math.min(...sharedNeeds(state)))} of memory, which not every computer has that would share it. ${MEANWHILE}`;
  const isAll = fitting === needs.length;
  if (team === null)
    return isAll
      ? `In reserve: others hold every slice. ${MEANWHILE}`
      : `In reserve: others hold every slice that this computer has the memory for. ${MEANWHILE}`;
  return isAll
    ? `In reserve: every slice has ${mostReplicas} computers, as many as one may have. ${MEANWHILE}`
    : `In reserve: each slice that this computer has the memory for has ${mostReplicas} computers, as many as one may have. ${MEANWHILE}`;
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 0)} GB`;
}
