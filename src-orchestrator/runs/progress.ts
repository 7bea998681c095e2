import { isStillKnown } from "../../src-protocol/disk-steps.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { isCheckpointStep } from "../../src-protocol/model.ts";
import { keptSteps } from "../stores/checkpoints.ts";
import type { Checkpoint } from "../stores/checkpoints.ts";
import { memberStageOf, tokensPerStep, withStage } from "./network-state.ts";
import type { Effect, Moment, NetworkState, RunMessage } from "./network-state.ts";
import { provedStep } from "./proof.ts";

/** States that a node has in its memory: that of now, and the one before. */
const IN_MEMORY = 2;
/** Digests of so many checkpoint steps wait for their uploads. */
const AWAITED_CHECKPOINTS = 4;
/** Grants go one step ahead of what is saved. */
const MOST_GRANTS_AT_ONCE = 4;
/** The last receipts are exchanged over the links before the nodes are told to stop. */
const FINISH_LINGER_MS = 3_000;
const PACE_SAMPLES = 9;

export function ready(state: NetworkState, now: number, effects: Effect[]): NetworkState {
  if (!state.stages.every((stage) => stage.ready)) return state;
  const pace = [{ step: state.step, at: now }];
  const training: NetworkState = { ...state, phase: "training", startedAt: now, pace };
  return state.team === null ? grant(training, effects) : training;
}

/** Step `t` is granted when every stage can return to `t - 1`: so there is always a step they share. */
function grant(state: NetworkState, effects: Effect[]): NetworkState {
  const head = state.stages[0]?.holder;
  // Where stages have replicas, micro-batches are leased one by one.
  if (state.team !== null) return state;
  if (state.phase !== "training" || head === null || head === undefined) return state;
  const { run, generation } = state;
  const savedByAll = Math.min(...state.stages.map((stage) => stage.saved));
  // SECURITY: the loop is bounded by a count, whatever the numbers are.
  const limit = Math.min(savedByAll + 1, state.nextGrant + MOST_GRANTS_AT_ONCE - 1);
  let step = state.nextGrant;
  for (; step <= limit && (run.steps === null || step <= run.steps); step++) {
    const last = step === run.steps;
    // The beginning too: what training has changed is seen against it.
    const due = (last || step % run.evaluateEverySteps === 0) && step > state.evaluatedStep;
    const evaluations = due ? run.evaluationMicroBatches : 0;
    const microBatches = last ? 0 : run.microBatches;
    if (evaluations + microBatches === 0) continue;
    effects.push({
      type: "send",
      to: head,
      message: { type: "grant", generation, step, microBatches, evaluations },
    });
  }
  if (step === state.nextGrant) return state;
  return { ...state, nextGrant: step };
}

/** The highest step that the grants so far lead to: nobody can honestly be beyond it. */
export function reachable({ nextGrant, run }: NetworkState): number {
  return Math.min(nextGrant, run.steps ?? nextGrant);
}

/** Its holder can return to the stage's state of a granted and trained step. */
export function saved(
  state: NetworkState,
  index: number,
  { step, digest, stateSha256 }: Pick<SavedMessage, "step" | "digest" | "stateSha256">,
  effects: Effect[],
): NetworkState {
  const stage = state.stages[index];
  if (stage === undefined) return state;
  const states = new Map(stage.states);
  if (isCheckpointStep(state.run, step) && stateSha256 !== null) states.set(step, stateSha256);
  effects.push({ type: "store", row: { kind: "saved", stage: index, step, digest } });
  const saves = new Map(stage.saves).set(step, digest);
  const oldest = state.run.checkpointEverySteps * AWAITED_CHECKPOINTS;
  for (const at of saves.keys()) {
    const awaited = isCheckpointStep(state.run, at) && at > step - oldest;
    if (!isStillKnown(at, step) && !awaited) saves.delete(at);
  }
  for (const at of states.keys()) if (!saves.has(at)) states.delete(at);
  const savedHere = [step, ...stage.savedHere.filter((at) => at !== step)].slice(0, IN_MEMORY);
  return grant(withStage(state, index, { saved: step, saves, states, savedHere }), effects);
}

export type CheckpointMessage = Extract<RunMessage, { type: "checkpoint" }>;
type SavedMessage = Extract<RunMessage, { type: "saved" }>;

/** The stage whose checkpoint this would be and the state it must hold. */
export interface DueCheckpoint {
  readonly stage: number;
  /** `snapshotDigest`. */
  readonly digest: string;
  /** Of the whole state; null: it is not known. */
  readonly stateSha256: string | null;
}

/**
 * Null when it does not count. SECURITY: it is of a step that was granted, trained and saved in this generation,
 * not of one that the generation only began with; and the first one of a step stays, so that who takes a stage
 * over cannot replace what others can go back to. One that was on its way when its generation ended counts too,
 * where all of the state is known by its digest: whoever sends it, it is that one.
 */
export function checkpointDue(
  state: NetworkState,
  sender: SessionKey,
  { generation, step }: CheckpointMessage,
): DueCheckpoint | null {
  const index = memberStageOf(state, sender);
  const stage = index === null ? undefined : state.stages[index];
  const digest = stage?.saves.get(step);
  if (index === null || stage === undefined || digest === undefined) return null;
  if (!isCheckpointStep(state.run, step) || step > stage.saved) return null;
  const stateSha256 = stage.states.get(step) ?? null;
  const due = { stage: index, digest, stateSha256 };
  if (generation !== state.generation || step <= state.resumeStep) {
    const isLate = generation < state.generation && stateSha256 !== null && step <= state.resumeStep;
    return isLate && !stage.checkpoints.has(step) ? due : null;
  }
  const isNamed = stage.checkpoints.has(step) && step <= (stage.namedHere ?? step - 1);
  return isNamed ? null : due;
}

export function checkpoint(
  state: NetworkState,
  index: number,
  step: number,
  stored: Checkpoint,
  effects: Effect[],
): NetworkState {
  const old = state.stages[index];
  if (old === undefined) return state;
  effects.push({ type: "store", row: { kind: "checkpoint", stage: index, step, ...stored } });
  const next = withStage(state, index, {
    checkpoints: new Map(old.checkpoints).set(step, stored),
    namedHere: step > state.resumeStep ? step : old.namedHere,
  });
  const kept = keptSteps(
    next.stages.map((stage) => stage.checkpoints),
    provedStep(state),
  );
  return keepCheckpoints(next, (stage, at) => kept[stage]?.has(at) === true, effects);
}

/**
 * A step was finished after the one that this generation began with: newer states of before belong to a past that
 * did not happen. Not sooner, so that they can still be gone back to when this generation comes to nothing.
 */
function forgetOtherPast(state: NetworkState, effects: Effect[]): NetworkState {
  const { resumeStep } = state;
  const stages = state.stages.map((stage, index) => {
    const { saves, savedHere } = stage;
    const gone = [...saves.keys()].filter((at) => at > resumeStep && !savedHere.includes(at));
    if (gone.length === 0) return stage;
    effects.push({ type: "store", row: { kind: "forgetSaves", stage: index, steps: gone } });
    const isKept = ([at]: readonly [number, string]): boolean => !gone.includes(at);
    const states = new Map([...stage.states].filter(isKept));
    return { ...stage, saves: new Map([...saves].filter(isKept)), states };
  });
  const isPast = (stage: number, at: number): boolean =>
    at > resumeStep && at !== state.stages[stage]?.namedHere;
  return keepCheckpoints({ ...state, stages, ceiling: null }, (stage, at) => !isPast(stage, at), effects);
}

export function checkpointLost(sha256: string, state: NetworkState, effects: Effect[]): NetworkState {
  const isIt = (stage: number, step: number): boolean =>
    state.stages[stage]?.checkpoints.get(step)?.sha256 === sha256;
  return keepCheckpoints(state, (stage, step) => !isIt(stage, step), effects);
}

function keepCheckpoints(
  state: NetworkState,
  keep: (stage: number, step: number) => boolean,
  effects: Effect[],
): NetworkState {
  const stages = state.stages.map((stage, index) => {
    const gone = [...stage.checkpoints].filter(([step]) => !keep(index, step));
    if (gone.length === 0) return stage;
    for (const [step, { sha256 }] of gone) {
      effects.push({ type: "store", row: { kind: "forgetCheckpoint", stage: index, step, sha256 } });
    }
    return { ...stage, checkpoints: new Map([...stage.checkpoints].filter(([step]) => keep(index, step))) };
  });
  return { ...state, stages };
}

/** Steps that the last stage has now taken too. */
export function finishSteps(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const reached = Math.min(...state.stages.map((stage) => stage.stepped));
  let next = state;
  for (let step = state.step + 1; step <= reached; step++) next = finishStep(next, step, at, effects);
  if (reached > state.step) {
    const { generation, startedAt } = state;
    const elapsedMs = Math.round(at.now - startedAt);
    effects.push({ type: "store", row: { kind: "finished", generation, step: reached, elapsedMs } });
  }
  if (state.step === state.resumeStep && reached > state.step) next = forgetOtherPast(next, effects);
  return finish(next, at.now);
}

function finishStep(
  state: NetworkState,
  step: number,
  { now, date }: Moment,
  effects: Effect[],
): NetworkState {
  const pace = [...state.pace, { step, at: now }].slice(-PACE_SAMPLES);
  const losses = new Map([...state.losses].filter(([at]) => at > step));
  const loss = state.losses.get(step);
  const nodes = forgiven(state);
  let next: NetworkState = {
    ...state,
    nodes,
    step,
    pace,
    losses,
    gone: state.gone.size === 0 ? state.gone : new Map(),
    mayResume: null,
    fruitless: 0,
    lastTrouble: null,
    settleUntil: 0,
    knownStep: 0,
    strangersAfter: 0,
  };
  if (loss !== undefined) {
    const heldOutLoss = state.evaluatedStep === step ? state.heldOutLoss : null;
    const point = { step, at: date, loss, heldOutLoss, tokensPerSecond: tokensPerSecond(next) };
    effects.push({ type: "store", row: { kind: "point", point } });
    next = { ...next, loss, lastPoint: point };
  }
  if (state.interruptedAt === null) return next;
  const recoveries = state.recoveries + 1;
  const lastRecoveryMs = now - state.interruptedAt;
  effects.push({ type: "store", row: { kind: "recovery", recoveries, lastRecoveryMs } });
  return { ...next, recoveries, lastRecoveryMs, interruptedAt: null };
}

/** Who takes part in a finished step works, whatever was thought of it. */
function forgiven({ nodes, stages }: NetworkState): NetworkState["nodes"] {
  const members = stages.flatMap(({ holder }) => (holder === null ? [] : (nodes.get(holder) ?? [])));
  if (members.every(({ failures }) => failures === 0)) return nodes;
  const next = new Map(nodes);
  for (const node of members) next.set(node.sessionKey, { ...node, failures: 0 });
  return next;
}

/** A held-out loss counts when it was asked for in this generation and the tail was there. */
export function evaluationDue(state: NetworkState, step: number): boolean {
  const { run, resumeStep, evaluatedStep, nextGrant } = state;
  const isAsked = step === run.steps || step % run.evaluateEverySteps === 0;
  const reached = state.stages.at(-1)?.stepped ?? 0;
  return isAsked && step > evaluatedStep && step >= resumeStep && step < nextGrant && step <= reached;
}

export function evaluated(
  state: NetworkState,
  step: number,
  loss: number,
  now: number,
  effects: Effect[],
): NetworkState {
  const atStart = step === 0 ? { heldOutLossAtStart: loss } : {};
  const next = { ...state, ...atStart, evaluatedStep: step, heldOutLoss: loss };
  if (state.lastPoint?.step !== step) {
    effects.push({ type: "store", row: { kind: "heldOut", step, loss } });
    return finish(next, now);
  }
  const point = { ...state.lastPoint, heldOutLoss: loss };
  effects.push({ type: "store", row: { kind: "point", point } });
  return finish({ ...next, lastPoint: point }, now);
}

function finish(state: NetworkState, now: number): NetworkState {
  const { steps } = state.run;
  if (steps === null || state.step < steps || state.evaluatedStep < steps) return state;
  return { ...state, phase: "finished", pace: [], interruptedAt: null, haltAt: now + FINISH_LINGER_MS };
}

/** Over the last few steps of this generation; null while not training. */
export function tokensPerSecond(state: NetworkState): number | null {
  const ms = stepMs(state);
  return ms === null ? null : (tokensPerStep(state.run) * 1000) / ms;
}

/** Of one step, over the last few of this generation; null: fewer than two were finished. */
export function stepMs({ pace }: Pick<NetworkState, "pace">): number | null {
  const first = pace[0];
  const last = pace.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return null;
  return (last.at - first.at) / (last.step - first.step);
}
