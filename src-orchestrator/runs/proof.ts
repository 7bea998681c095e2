import { newestCompleteStep } from "../stores/checkpoints.ts";
import { blame } from "./blame.ts";
import { interrupt } from "./forming.ts";
import type { Effect, Moment, NetworkState } from "./network-state.ts";

/** A held-out loss is measured on little text: so much more than before is still no worse. */
const NO_WORSE = { share: 0.05, nats: 0.05 };
/** And so much more has no honest cause: somebody's state was not what it was said to be. */
const JUMP = { share: 0.25, nats: 0.5 };
/** Training that leads to the same place each time is the run's own doing, and is let go on. */
const MOST_RETURNS = 2;

/** The proved checkpoint, while there is one to go back to. */
export function provedStep({ proved }: Pick<NetworkState, "proved">): number | null {
  return proved === null || proved.step === 0 ? null : proved.step;
}

/**
 * What a held-out loss says about the checkpoints. SECURITY: training by strangers, whose keys cost
 * nothing, proves nothing and undoes nothing: only a tail counts that took part in work which was
 * found good before (or anybody, while nothing was). So the last good checkpoint outlives whatever
 * they do, and the first measurement by somebody known brings it back.
 */
export function weigh(
  state: NetworkState,
  step: number,
  loss: number,
  at: Moment,
  effects: Effect[],
): NetworkState {
  const { proved, trusted, stages, nodes } = state;
  const tail = stages.at(-1)?.holder ?? null;
  const judge = tail === null ? undefined : nodes.get(tail)?.hotkey;
  if (judge === undefined || (trusted.size > 0 && !trusted.has(judge))) return state;
  if (proved !== null && loss > worse(proved.loss, JUMP) && state.returns < MOST_RETURNS)
    return goBack(state, at, effects);
  if (proved !== null && loss > worse(proved.loss, NO_WORSE) && loss <= worse(proved.loss, JUMP))
    return state;
  const checkpoints = stages.map((stage) => stage.checkpoints);
  const next = { step: newestCompleteStep(checkpoints, step) ?? provedStep(state) ?? 0, loss };
  // Who only took a stage has done nothing yet.
  const members =
    step > state.resumeStep
      ? stages.flatMap(({ holder }) => (holder === null ? [] : (nodes.get(holder)?.hotkey ?? [])))
      : [];
  const newcomers = members.filter((hotkey) => !trusted.has(hotkey));
  effects.push({ type: "store", row: { kind: "proved", proved: next, trusted: newcomers } });
  return { ...state, proved: next, returns: 0, trusted: new Set([...trusted, ...newcomers]) };
}

function worse(loss: number, { share, nats }: typeof JUMP): number {
  return loss * (1 + share) + nats;
}

/** What has been trained since the proved checkpoint is not built on any more, whoever did it. */
function goBack(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const target = provedStep(state);
  const checkpoints = state.stages.map((stage) => stage.checkpoints);
  if (target === null || !checkpoints.every((stage) => stage.has(target))) return state;
  const doubted = state.stages.reduce((next, { holder }) => {
    const owner = holder === null ? undefined : state.nodes.get(holder)?.hotkey;
    return holder === null || (owner !== undefined && state.trusted.has(owner)) ? next : blame(next, holder);
  }, state);
  const back: NetworkState = {
    ...doubted,
    ceiling: target,
    returns: state.returns + 1,
    evaluatedStep: target,
    heldOutLoss: state.proved?.loss ?? null,
    knownStep: target,
  };
  return interrupt(
    back,
    at,
    0,
    true,
    "The held-out loss has jumped: training goes back to the last good state.",
    effects,
  );
}
