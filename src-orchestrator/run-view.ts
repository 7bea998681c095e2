import { cutModel } from "../src-engine/stage.ts";
import type { RunView } from "../src-protocol/api.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { tokensPerStep } from "./network-state.ts";
import { tokensPerSecond } from "./progress.ts";
import type { NetworkState } from "./network-state.ts";

/** Parameters of each stage: what a picture shows and what bounds a checkpoint. */
export function stageParameterCounts(run: RunSpec): number[] {
  return cutModel(run.model, run.stages).map((plan) => plan.parameterCount);
}

/** The public picture of a run. */
export function runView(state: NetworkState, parameterCounts: readonly number[], block: number): RunView {
  const { run } = state;
  return {
    runId: run.runId,
    name: run.name,
    phase: state.phase,
    detail: detail(state),
    model: run.model,
    parameterCount: parameterCounts.reduce((sum, count) => sum + count, 0),
    corpus: run.corpus.name,
    step: state.step,
    steps: run.steps,
    tokensPerStep: tokensPerStep(run),
    loss: state.loss,
    heldOutLoss: state.heldOutLoss,
    tokensPerSecond: state.phase === "training" ? tokensPerSecond(state) : null,
    recoveries: state.recoveries,
    lastRecoveryMs: state.lastRecoveryMs,
    stages: state.stages.map(({ lastHolder, holder }, index) => ({
      index,
      parameterCount: parameterCounts[index] ?? 0,
      holder:
        lastHolder === null
          ? null
          : {
              sessionKey: lastHolder.sessionKey,
              hotkey: lastHolder.hotkey,
              connected: holder === lastHolder.sessionKey,
            },
    })),
    nodes: state.nodes.size,
    block,
  };
}

function detail(state: NetworkState): string {
  const { run, stages, nodes, step } = state;
  switch (state.phase) {
    case "waiting": {
      const missing = stages.length - nodes.size;
      if (missing > 0)
        return `Waiting for ${missing} more ${missing === 1 ? "node" : "nodes"}: ${seeking(state)}`;
      return "The nodes are about to form a pipeline.";
    }
    case "forming": {
      const ready = stages.filter((stage) => stage.ready).length;
      return `${ready} of ${stages.length} stages are loaded, to go on from step ${step}.`;
    }
    case "training":
      return run.steps === null
        ? `Training: step ${step + 1}.`
        : `Training: step ${Math.min(step + 1, run.steps)} of ${run.steps}.`;
    case "finished":
      return `All ${run.steps ?? step} steps are done.`;
  }
}

/** People count stages from 1. */
function seeking({ stages }: NetworkState): string {
  const open = stages.flatMap((stage, index) => (stage.holder === null ? [index + 1] : []));
  return open.length === 1
    ? `stage ${open[0]} is looking for a home.`
    : `stages ${open.join(", ")} are looking for homes.`;
}
