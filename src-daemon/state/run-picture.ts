import type { RunView } from "../../src-protocol/api.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { loadingText } from "../../src-protocol/loading.ts";
import type { LoadingProgress } from "../../src-protocol/loading.ts";
import type { DaemonState, RunState } from "../../src-protocol/state.ts";
import type { KeptState } from "../children/kept-child.ts";
import type { WorkerPhase } from "../supervision/worker-process.ts";

/** The network's public picture, as this computer's owner sees it: what is mine, what is next door. */
export function runState(view: RunView, mine: Ss58Address, neighbours: ReadonlySet<Ss58Address>): RunState {
  const { block: _block, nodes: _nodes, countries: _countries, stages, ...run } = view;
  return {
    ...run,
    stages: stages.map(({ index, parameterCount, holder, replicas }) => ({
      index,
      parameterCount,
      replicas,
      holder: holder && {
        hotkey: holder.hotkey,
        mine: holder.hotkey === mine,
        neighbour: neighbours.has(holder.hotkey),
        connected: holder.connected,
      },
    })),
  };
}

/** What this computer's own worker is doing, for a person. */
export function nodePicture(
  { hotkey }: DaemonState["node"],
  paused: string | null,
  process: KeptState,
  phase: WorkerPhase | null,
  /** Of the owner's data that is being read, before there is a run. */
  reading: LoadingProgress | null = null,
  /** The daemon is ending, and its worker with it. */
  isEnding = false,
): DaemonState["node"] {
  if (process.kind === "aside")
    return { phase: "failed", detail: process.crash.message, stage: null, loading: null, hotkey };
  if (paused !== null) return { phase: "paused", detail: paused, stage: null, loading: null, hotkey };
  if (isEnding)
    return { phase: "ending", detail: "Train at Home is ending.", stage: null, loading: null, hotkey };
  if (reading !== null)
    return { phase: "loading", detail: loadingText(reading), stage: null, loading: reading, hotkey };
  if (process.kind === "restarting")
    return {
      phase: "starting",
      detail: "It ended unexpectedly and is starting again.",
      stage: null,
      loading: null,
      hotkey,
    };
  if (phase === null) return { phase: "starting", detail: "Starting.", stage: null, loading: null, hotkey };
  const { type: _type, ...told } = phase;
  return { ...told, hotkey };
}
