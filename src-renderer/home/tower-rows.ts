import { say } from "../../src-protocol/say.ts";
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
        name: say("Slice {index}", { index: stage.index + 1 }),
        holder: `${holderText(kind, holder)}${replicasText(stage.replicas)}`,
      };
    })
    .sort((a, b) => b.index - a.index);
}

/** Only what is more than the one that is named. */
function replicasText(replicas: RunState["stages"][number]["replicas"]): string {
  const { live = 0, loading = 0 } = replicas ?? {};
  const held = live > 1 ? `, ${say("{live} computers hold this slice", { live })}` : "";
  return loading > 0 && live > 0 ? `${held}, ${say("{loading} more loading", { loading })}` : held;
}

function holderText(kind: TowerRow["kind"], holder: RunState["stages"][number]["holder"]): string {
  if (kind === "mine") return say("you");
  if (kind === "neighbour") return say("a neighbour on this computer");
  if (kind === "other") return say("another home");
  if (kind === "resting")
    return holder === null
      ? say("nobody now")
      : holder.mine
        ? say("you, resting")
        : holder.neighbour
          ? say("a neighbour, resting")
          : say("another home");
  if (holder === null) return say("no home, looking for one");
  return holder.mine
    ? say("you, not connected")
    : holder.neighbour
      ? say("a neighbour, not connected")
      : say("a home, not connected");
}
