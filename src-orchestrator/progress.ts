import type { SessionKey } from "../src-protocol/keys.ts";
import { isCheckpointStep } from "../src-protocol/model.ts";
import { keptSteps } from "./checkpoints.ts";
import type { Checkpoint } from "./checkpoints.ts";
import { stageOf, tokensPerStep, withStage, withSteps } from "./network-state.ts";
import type { Effect, NetworkState, RunMessage } from "./network-state.ts";

/** Snapshot slots on a node's disk. */
const SLOTS = 3;
/** The last receipts are exchanged over the links before the nodes are told to stop. */
const FINISH_LINGER_MS = 3_000;
const PACE_SAMPLES = 9;

export function ready(state: NetworkState, now: number, effects: Effect[]): NetworkState {
  if (!state.stages.every((stage) => stage.ready)) return state;
  return grant({ ...state, phase: "training", pace: [{ step: state.step, at: now }] }, effects);
}

/** Step `t` is granted when every stage can return to `t - 1`: so there is always a step they share. */
function grant(state: NetworkState, effects: Effect[]): NetworkState {
  const head = state.stages[0]?.holder;
  if (state.phase !== "training" || head === null || head === undefined) return state;
  const { run, generation } = state;
  const limit = Math.min(...state.stages.map((stage) => stage.saved)) + 1;
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
  effects.push({ type: "store", row: { kind: "granted", generation, step: step - 1 } });
  return { ...state, nextGrant: step };
}

/** The highest step that the grants so far lead to: nobody can honestly be beyond it. */
export function reachable({ nextGrant, run }: NetworkState): number {
  return Math.min(nextGrant, run.steps ?? nextGrant);
}

export function saved(
  state: NetworkState,
  index: number,
  key: SessionKey,
  step: number,
  effects: Effect[],
): NetworkState {
  const newest = (steps: readonly number[]): number[] =>
    [...new Set([...steps, step])].sort((a, b) => b - a).slice(0, SLOTS);
  return grant(withSteps(withStage(state, index, { saved: step }), key, index, newest), effects);
}

export type CheckpointMessage = Extract<RunMessage, { type: "checkpoint" }>;

/**
 * The stage whose checkpoint this would be, or null when it does not count. SECURITY: the first
 * one of a step stays, so that who takes a stage over cannot replace what others can go back to.
 */
export function checkpointDue(
  state: NetworkState,
  sender: SessionKey,
  { generation, step }: CheckpointMessage,
): number | null {
  const index = stageOf(state, sender);
  const stage = index === null ? undefined : state.stages[index];
  if (stage === undefined || generation !== state.generation) return null;
  const due = step <= stage.stepped && isCheckpointStep(state.run, step);
  return due && !stage.checkpoints.has(step) ? index : null;
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
  const next = withStage(state, index, { checkpoints: new Map(old.checkpoints).set(step, stored) });
  const kept = keptSteps(next.stages.map((stage) => stage.checkpoints));
  return keepCheckpoints(next, (stage, at) => kept[stage]?.has(at) === true, effects);
}

/** What lies after the step that everybody goes back to belongs to a past that did not happen. */
export function forgetCheckpointsAfter(step: number, state: NetworkState, effects: Effect[]): NetworkState {
  return keepCheckpoints(state, (_, at) => at <= step, effects);
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
export function finishSteps(state: NetworkState, now: number, effects: Effect[]): NetworkState {
  const reached = Math.min(...state.stages.map((stage) => stage.stepped));
  let next = state;
  for (let step = state.step + 1; step <= reached; step++) next = finishStep(next, step, now, effects);
  return finish(next, now);
}

function finishStep(state: NetworkState, step: number, now: number, effects: Effect[]): NetworkState {
  const pace = [...state.pace, { step, at: now }].slice(-PACE_SAMPLES);
  const losses = new Map([...state.losses].filter(([at]) => at > step));
  const loss = state.losses.get(step);
  const nodes = forgiven(state);
  let next: NetworkState = { ...state, nodes, step, pace, losses, fruitless: 0, settleUntil: 0 };
  if (loss !== undefined) {
    const heldOutLoss = state.evaluatedStep === step ? state.heldOutLoss : null;
    const point = { step, at: now, loss, heldOutLoss, tokensPerSecond: tokensPerSecond(next) };
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
export function tokensPerSecond({ pace, run }: NetworkState): number | null {
  const first = pace[0];
  const last = pace.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return null;
  return ((last.step - first.step) * tokensPerStep(run) * 1000) / (last.at - first.at);
}
