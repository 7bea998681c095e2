import type { RunState } from "../../src-protocol/state.ts";
import { rough } from "../parts/format.ts";

export interface TowerRow {
  readonly index: number;
  readonly kind: "mine" | "neighbour" | "other" | "lost";
  readonly name: string;
  readonly holder: string;
  readonly size: string;
}

/** The model from its last slice, on top, to its first. */
export function towerRows(run: RunState): TowerRow[] {
  return run.stages
    .map((stage): TowerRow => {
      const { holder } = stage;
      const kind =
        holder === null || !holder.connected
          ? "lost"
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
        size: `${rough(stage.parameterCount)} parameters`,
      };
    })
    .sort((a, b) => b.index - a.index);
}

function holderText(kind: TowerRow["kind"], holder: RunState["stages"][number]["holder"]): string {
  if (kind === "mine") return "you";
  if (kind === "neighbour") return "a neighbour on this computer";
  if (kind === "other") return "another home";
  if (holder === null) return "no home, looking for one";
  return holder.mine
    ? "you, not connected"
    : holder.neighbour
      ? "a neighbour, not connected"
      : "a home, not connected";
}
