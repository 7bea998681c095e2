import type { SessionKey } from "../src-protocol/keys.ts";
import type { LinkStatus } from "../src-protocol/link-report.ts";
import { FORMING_LIMIT_MS, form, halt, interrupt } from "./forming.ts";
import { stageOf, vacate, withStage, withSteps } from "./network-state.ts";
import type { Effect, NetworkEvent, NetworkNode, NetworkState, RunMessage } from "./network-state.ts";
import {
  checkpoint,
  checkpointDue,
  checkpointLost,
  evaluated,
  finishSteps,
  reachable,
  ready,
  saved,
} from "./progress.ts";

/** A peer that died is noticed within this time on its own connection; so a broken link waits for it. */
const TROUBLE_DELAY_MS = 200;
const TROUBLE_DELAY_LIMIT_MS = 5_000;
/** A pipeline is given up after as long as so many of its steps took, before its first step after five minutes. */
const STALLED_STEPS = 30;
const SHORTEST_STALL_MS = 60_000;
const FIRST_STEP_MS = 300_000;
const LONGEST_STALL_MS = 24 * 3_600_000;
/** So many generations in a row without a finished step are no accident. */
const SUSPECT_AFTER = 2;

/** The only thing that changes a network, and it is pure: time comes with the event, what is to be done comes back. */
export function apply(
  event: NetworkEvent,
  state: NetworkState,
): { readonly state: NetworkState; readonly effects: readonly Effect[] } {
  const effects: Effect[] = [];
  const next = handle(event, state, effects);
  return { state: next, effects };
}

function handle(event: NetworkEvent, state: NetworkState, effects: Effect[]): NetworkState {
  switch (event.type) {
    case "joined":
      return form(joined(event, state), event.now, effects);
    case "left":
      return left(event, state, effects);
    case "message":
      return heard(event.sessionKey, event.message, event.now, state, effects);
    case "checkpointLost":
      return checkpointLost(event.sha256, state, effects);
    case "tick":
      return tick(state, event.now, effects);
  }
}

/** The next time at which a `tick` would change something; null: never. */
export function nextWake(state: NetworkState): number | null {
  switch (state.phase) {
    case "waiting": {
      const times = [state.formAfter, state.settleUntil].filter((time) => time !== 0);
      return times.length === 0 ? null : Math.min(...times);
    }
    case "forming":
      return state.formingSince + FORMING_LIMIT_MS;
    case "training":
      return stallsAt(state);
    case "finished":
      return state.haltAt;
  }
}

/**
 * SECURITY: a node that answers and never computes must not stop the run for ever. Each time in a row
 * is given twice as long, so that a model with very long steps gets through.
 */
function stallsAt({ pace, fruitless }: NetworkState): number | null {
  const first = pace[0];
  const last = pace.at(-1);
  if (first === undefined || last === undefined) return null;
  const steps = last.step - first.step;
  const usualMs = steps === 0 ? FIRST_STEP_MS : (STALLED_STEPS * (last.at - first.at)) / steps;
  const patienceMs = Math.max(SHORTEST_STALL_MS, usualMs) * 2 ** Math.min(fruitless, 10);
  return last.at + Math.min(LONGEST_STALL_MS, patienceMs);
}

function tick(state: NetworkState, now: number, effects: Effect[]): NetworkState {
  if (state.phase === "forming" && now >= state.formingSince + FORMING_LIMIT_MS) {
    const late = state.stages.map((stage) => (stage.ready ? null : stage.holder));
    const benched = late.reduce((next, key) => (key === null ? next : blame(next, key)), state);
    return interrupt(benched, now, 0, true, "A stage was not loaded in time.", effects);
  }
  if (state.phase === "training" && now >= (stallsAt(state) ?? Infinity)) {
    const doubted = state.stages.reduce(
      (next, { holder }) => (holder === null ? next : blame(next, holder)),
      state,
    );
    const counted = { ...doubted, fruitless: state.fruitless + 1 };
    return interrupt(counted, now, 0, true, "No step was finished for a long time.", effects);
  }
  if (state.phase === "finished" && state.haltAt !== null && now >= state.haltAt) {
    halt(state, "The run is finished.", effects);
    return { ...state, haltAt: null };
  }
  // Times that have passed are cleared, so that nobody is woken for them again.
  const next = {
    ...state,
    formAfter: now >= state.formAfter ? 0 : state.formAfter,
    settleUntil: now >= state.settleUntil ? 0 : state.settleUntil,
  };
  return form(next, now, effects);
}

function joined(event: NetworkEvent & { type: "joined" }, state: NetworkState): NetworkState {
  const { sessionKey, hotkey, linkAddress, otherAddresses = [], memoryBytes } = event;
  const restorable = new Map<number, readonly number[]>();
  for (const { runId, stage, steps } of event.restorable) {
    if (runId !== state.run.runId || stage >= state.stages.length) continue;
    restorable.set(
      stage,
      steps.filter((step) => step <= (state.run.steps ?? step)),
    );
  }
  const node: NetworkNode = {
    sessionKey,
    hotkey,
    linkAddress,
    otherAddresses,
    links: null,
    memoryBytes,
    restorable,
    failures: 0,
    arrival: state.arrivals,
  };
  return { ...state, arrivals: state.arrivals + 1, nodes: new Map(state.nodes).set(sessionKey, node) };
}

function left(event: NetworkEvent & { type: "left" }, state: NetworkState, effects: Effect[]): NetworkState {
  if (!state.nodes.has(event.sessionKey)) return state;
  const nodes = new Map(state.nodes);
  nodes.delete(event.sessionKey);
  const index = stageOf(state, event.sessionKey);
  // Waiting for somebody who left on purpose is no recovery.
  const interruptedAt = event.cause === "drained" ? null : state.interruptedAt;
  const without = vacate({ ...state, nodes, interruptedAt }, event.sessionKey);
  if (index === null || state.phase === "finished") return without;
  const reason = `The node of stage ${index + 1} ${event.cause === "silent" ? "fell silent" : "left"}.`;
  return interrupt(without, event.now, 0, event.cause !== "drained", reason, effects);
}

function heard(
  sender: SessionKey,
  message: RunMessage,
  now: number,
  state: NetworkState,
  effects: Effect[],
): NetworkState {
  if (message.type === "links") return withLinks(state, sender, message.status);
  const index = stageOf(state, sender);
  const stage = index === null ? undefined : state.stages[index];
  // Of an old pipeline, or from a node that has no part in this one.
  if (index === null || stage === undefined || message.generation !== state.generation) return state;
  const isTail = index === state.stages.length - 1;
  switch (message.type) {
    case "ready":
      return state.phase === "forming"
        ? ready(withStage(state, index, { ready: true }), now, effects)
        : state;
    case "stepped": {
      if (message.step <= stage.stepped || message.step > reachable(state)) return state;
      const next = withStage(state, index, { stepped: message.step });
      const losses =
        isTail && message.loss !== null
          ? new Map(state.losses).set(message.step, message.loss)
          : state.losses;
      return finishSteps({ ...next, losses }, now, effects);
    }
    case "saved":
      if (message.step <= stage.saved || message.step > reachable(state)) return state;
      return saved(state, index, sender, message.step, effects);
    case "checkpoint":
      if (checkpointDue(state, sender, message) === null) return state;
      return checkpoint(
        state,
        index,
        message.step,
        { sha256: message.sha256, bytes: message.bytes },
        effects,
      );
    case "evaluated":
      if (!isTail || message.step <= state.evaluatedStep || message.step >= state.nextGrant) return state;
      return evaluated(state, message.step, message.loss, now, effects);
    case "trouble":
      return trouble(state, index, sender, message.code, now, effects);
  }
}

function withLinks(state: NetworkState, sender: SessionKey, links: LinkStatus): NetworkState {
  const node = state.nodes.get(sender);
  if (node === undefined) return state;
  return { ...state, nodes: new Map(state.nodes).set(sender, { ...node, links }) };
}

function trouble(
  state: NetworkState,
  index: number,
  sender: SessionKey,
  code: string,
  now: number,
  effects: Effect[],
): NetworkState {
  if (state.phase !== "training" && state.phase !== "forming") return state;
  const couldNotLoad = state.phase === "forming" && !isLinkTrouble(code);
  const next = couldNotLoad
    ? blame(distrust(state, index, sender), sender)
    : state.fruitless >= SUSPECT_AFTER
      ? suspect(state, index)
      : state;
  const delayMs = Math.min(TROUBLE_DELAY_LIMIT_MS, TROUBLE_DELAY_MS * 2 ** Math.min(state.fruitless, 10));
  const counted = { ...next, fruitless: state.fruitless + 1 };
  return interrupt(counted, now, delayMs, true, `Stage ${index + 1} had trouble: ${code}.`, effects);
}

/** A link needs two: it says nothing about the node that reports it. */
function isLinkTrouble(code: string): boolean {
  return code.startsWith("link") || code.startsWith("peer");
}

/**
 * SECURITY: it is the reporter or a neighbour, and nobody can say which. All of them may lose their
 * stage to a spare node, so that one that lies or cannot be reached does not stop the run for ever.
 */
function suspect(state: NetworkState, index: number): NetworkState {
  return state.stages
    .slice(Math.max(0, index - 1), index + 2)
    .reduce((next, { holder }) => (holder === null ? next : blame(next, holder)), state);
}

/** The node could not load the step it offered, so it does not have it. */
function distrust(state: NetworkState, stage: number, key: SessionKey): NetworkState {
  const at = state.stages[stage]?.saved;
  return withSteps(state, key, stage, (steps) => steps.filter((step) => step !== at));
}

function blame(state: NetworkState, key: SessionKey): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const nodes = new Map(state.nodes).set(key, { ...node, failures: node.failures + 1 });
  return vacate({ ...state, nodes }, key);
}
