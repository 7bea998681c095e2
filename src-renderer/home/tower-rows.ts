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
        holder: holderText(kind, holder),
      };
    })
    .sort((a, b) => b.index - a.index);
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
