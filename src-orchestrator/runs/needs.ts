import { replicaBytes } from "../../src-engine/replica-memory.ts";
import type { NetworkState } from "./network-state.ts";

/** Of a stage that nothing is known of. */
const NOTHING = { values: 0, tiedValues: 0, boundaryBytes: 0 };

type Sharing = Pick<NetworkState, "run" | "needs" | "sums" | "nodes" | "mostReplicas">;

/** How many computers are to hold each stage, of those that are here. */
export function replicasHere({ nodes, needs, mostReplicas }: Sharing): number {
  return Math.min(mostReplicas, Math.max(1, Math.floor(nodes.size / needs.length)));
}

/** Bytes of memory that a stage takes of each computer that shares it with others, by stage. */
export function sharedNeeds(state: Sharing): number[] {
  const replicas = replicasHere(state);
  return state.needs.map(
    (alone, stage) => alone + replicaBytes({ ...NOTHING, ...state.sums[stage], run: state.run, replicas }),
  );
}

/** The same as training goes on now: alone, or in a generation with replicas. */
export function needsNow(state: Sharing & Pick<NetworkState, "team">): readonly number[] {
  return state.team === null ? state.needs : sharedNeeds(state);
}
