import type { RunState } from "../../src-protocol/state.ts";

export interface TowerRow {
  readonly index: number;
  readonly kind: "mine" | "neighbour" | "other" | "lost" | "resting";
  readonly name: string;
  readonly holder: string;
}

/** The model from its last slice, on top, to its first. `isResting`: its owner or the rules want no work now. */
export function towerRows(run: RunState, isResting: boolean): TowerRow[] {
  return run.stages
    .map((stage): TowerRow => {
      const { holder } = stage;
      const isAway = holder === null || !holder.connected;
      const kind = isAway
        ? isResting
          ? "resting"
          : "lost"
        : holder.mine
          ? "mine"
          : holder.neighbour
            ? "neighbour"
            : "other";
      return {
        index: stage.index,
        kind,
        name: `Slice ${stage.index + 1}`,
        holder: `${holderText(kind, holder)}${replicasText(stage.replicas)}`,
      };
    })
    .sort((a, b) => b.index - a.index);
}

/** Only what is more than the one that is named. */
function replicasText(replicas: RunState["stages"][number]["replicas"]): string {
  const { live = 0, loading = 0 } = replicas ?? {};
  const held = live > 1 ? `, ${live} computers hold this slice` : "";
  return loading > 0 && live > 0 ? `${held}, ${loading} more loading` : held;
}

function holderText(kind: TowerRow["kind"], holder: RunState["stages"][number]["holder"]): string {
  if (kind === "mine") return "you";
  if (kind === "neighbour") return "a neighbour on this computer";
  if (kind === "other") return "another home";
  if (kind === "resting")
    return holder === null
      ? "nobody now"
      : holder.mine
        ? "you, resting"
        : holder.neighbour
          ? "a neighbour, resting"
          : "another home";
  if (holder === null) return "no home, looking for one";
  return holder.mine
    ? "you, not connected"
    : holder.neighbour
      ? "a neighbour, not connected"
      : "a home, not connected";
}
