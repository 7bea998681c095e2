import type { RunView } from "../../src-protocol/api.ts";
import type { Country, CountryCount } from "../../src-protocol/countries.ts";
import { NEWEST_WORK_AWAY } from "../../src-protocol/node-phase.ts";
import { tokensPerStep } from "./network-state.ts";
import { tokensPerSecond } from "./progress.ts";
import type { NetworkNode, NetworkState } from "./network-state.ts";
import { bareStages, replicaCounts } from "../replicas/team.ts";
import { canHold, TRAINING_SHARE } from "./placement.ts";
import { redoneInAll } from "./redone.ts";
import { gigabytes } from "./reserve.ts";
import type { StageFacts } from "./stage-facts.ts";

/** The public picture of a run. */
export function runView(state: NetworkState, facts: readonly StageFacts[], block: number): RunView {
  const { run, team } = state;
  const countries = byCountry(state);
  const redone = redoneInAll(state);
  const counts = team === null ? [] : replicaCounts(state);
  return {
    runId: run.runId,
    name: run.name,
    phase: state.phase,
    detail: detail(state),
    model: run.model,
    parameterCount: facts.reduce((sum, { newParameterCount }) => sum + newParameterCount, 0),
    corpus: run.corpus.name,
    step: state.step,
    steps: run.steps,
    tokensPerStep: tokensPerStep(run),
    loss: state.loss,
    heldOutLoss: state.heldOutLoss,
    heldOutLossAtStart: state.heldOutLossAtStart,
    tokensPerSecond: state.phase === "training" ? tokensPerSecond(state) : null,
    recoveries: state.recoveries,
    lastRecoveryMs: state.lastRecoveryMs,
    stages: state.stages.map(({ lastHolder, holder }, index) => ({
      index,
      parameterCount: facts[index]?.parameterCount ?? 0,
      holder:
        lastHolder === null
          ? null
          : {
              sessionKey: lastHolder.sessionKey,
              hotkey: lastHolder.hotkey,
              connected: holder === lastHolder.sessionKey,
            },
      ...(counts[index] !== undefined && { replicas: counts[index] }),
    })),
    ...(redone !== null && { redone }),
    keptStep: keptStep(state),
    nodes: state.nodes.size,
    ...(countries.length > 0 && { countries }),
    block,
  };
}

/** Only those whose owners have said it; the most first. */
function byCountry({ nodes }: NetworkState): CountryCount[] {
  const counts = new Map<Country, number>();
  for (const { country } of nodes.values())
    if (country !== null) counts.set(country, (counts.get(country) ?? 0) + 1);
  return [...counts]
    .map(([country, nodes]) => ({ country, nodes }))
    .toSorted((a, b) => b.nodes - a.nodes || (a.country < b.country ? -1 : 1));
}

/** The newest step that every stage has on somebody's disk, or in the store: it outlives all processes. */
function keptStep({ nodes, stages }: NetworkState): number {
  // Who has saved nothing yet brought along what it has.
  const stepsOf = ({ onDisk, claims }: NetworkNode, index: number): readonly number[] =>
    onDisk === null
      ? (claims.get(index) ?? []).flatMap(({ step, digest }) =>
          stages[index]?.saves.get(step) === digest ? [step] : [],
        )
      : onDisk.stage === index
        ? onDisk.steps
        : [];
  const kept = stages.map(
    ({ checkpoints }, index) =>
      new Set([...checkpoints.keys(), ...[...nodes.values()].flatMap((node) => stepsOf(node, index))]),
  );
  const [first = new Set<number>(), ...others] = kept;
  return Math.max(0, ...[...first].filter((step) => others.every((steps) => steps.has(step))));
}

function detail(state: NetworkState): string {
  const again = state.phase === "waiting" || state.phase === "forming" ? state.lastTrouble : null;
  if (again === null) return phaseDetail(state);
  return `${phaseDetail(state)} ${again.text}${again.times > 1 ? ` (${again.times} times in a row)` : ""}`;
}

function phaseDetail(state: NetworkState): string {
  const { run, stages, nodes, step } = state;
  switch (state.phase) {
    case "waiting": {
      const missing = stages.length - nodes.size;
      if (missing === 1) return `Waiting for 1 more computer: ${seeking(state)}`;
      if (missing > 1) return `Waiting for ${missing} more computers: ${seeking(state)}`;
      if (state.wouldResume !== null)
        return `No computer that is here has the newest work: to go on from step ${state.wouldResume}, ${steps(state.wouldLose)} would be lost. This network's operator decides.`;
      if (state.wouldLose > 0)
        return `${NEWEST_WORK_AWAY}: without it, ${steps(state.wouldLose)} would be lost. It is waited for until ${utc(state.waitsUntil)} UTC.`;
      return tooLarge(state) ?? nextTry(state) ?? "The computers are about to form a pipeline.";
    }
    case "forming": {
      const ready = stages.filter((stage) => stage.ready).length;
      const lost = state.knownStep - step;
      const told =
        lost > 0
          ? ` ${steps(lost)} of work ${lost === 1 ? "is" : "are"} lost: no connected computer has all of it.`
          : "";
      const from = step === 0 ? "" : `, to go on from step ${step}`;
      return `${ready} of ${stages.length} slices are loaded${from}.${told}`;
    }
    case "training": {
      const bare = bareStages(state);
      if (bare.length > 0)
        return `Slice ${(bare[0] ?? 0) + 1} has lost its computers: one that has its work is waited for.`;
      return run.steps === null
        ? `Training: step ${step + 1}.`
        : `Training: step ${Math.min(step + 1, run.steps)} of ${run.steps}.`;
    }
    case "finished":
      return `All ${run.steps ?? step} steps are done.`;
  }
}

/** When it is tried again what has come to nothing so often; null: soon. */
function nextTry({ fruitless, formAfter, nextTry: date }: NetworkState): string | null {
  if (date === null || formAfter === 0) return null;
  return `${fruitless} tries in a row have finished no step: the next one is at ${utc(date)} UTC, or when a computer comes or goes.`;
}

/** Why there are nodes enough, and still no pipeline: they lack the memory. Null: they do not. */
function tooLarge({ needs, nodes }: NetworkState): string | null {
  const descending = (a: number, b: number): number => b - a;
  const memories = [...nodes.values()].map(({ memoryBytes }) => memoryBytes).sort(descending);
  const most = memories[0] ?? 0;
  const index = needs.findIndex((bytes) => !canHold({ memoryBytes: most }, bytes));
  const need = needs[index];
  if (need !== undefined)
    return (
      `Slice ${index + 1} needs ${gigabytes(need)} of memory, more than any connected computer can give: ` +
      `training takes at most three quarters, ${gigabytes(most * TRAINING_SHARE)} of the ${gigabytes(most)} of the largest. ` +
      "Connect a computer with more memory, or start the run with more slices or smaller micro-batches."
    );
  const lacking = needs
    .toSorted(descending)
    .find((bytes, i) => !canHold({ memoryBytes: memories[i] ?? 0 }, bytes));
  return lacking === undefined
    ? null
    : `Another computer is needed for a slice of ${gigabytes(lacking)}: those with so much memory hold other slices.`;
}

function utc(date: number): string {
  return new Date(date).toISOString().slice(11, 19);
}

function steps(count: number): string {
  return `${count} ${count === 1 ? "step" : "steps"}`;
}

/**
 * What of the model nobody holds; people count from 1, and call a stage a slice. While computers that are here
 * hold nothing yet, more slices are open than computers are missing: then the computers are counted.
 */
function seeking({ stages, nodes }: NetworkState): string {
  const open = stages.flatMap((stage, index) => (stage.holder === null ? [index + 1] : []));
  if (open.length > stages.length - nodes.size)
    return nodes.size === 1
      ? `1 of the ${stages.length} that it needs is here.`
      : `${nodes.size} of the ${stages.length} that it needs are here.`;
  return open.length === 1
    ? `slice ${open[0]} is looking for a home.`
    : `slices ${open.join(", ")} are looking for homes.`;
}
