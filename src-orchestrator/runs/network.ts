import type { Country } from "../../src-protocol/countries.ts";
import { GRADIENT_NOT_FINITE, TENSOR_NOT_FINITE } from "../../src-protocol/failure.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import {
  balanceTeam,
  bringBack,
  beginTeam,
  distrusted,
  fillTeam,
  inTeam,
  leaveTeam,
  nextTeamWake,
  warmed,
} from "../replicas/team.ts";
import type { TeamOutcome } from "../replicas/team.ts";
import { notReached, withLinks } from "./reach.ts";
import { form, halt, interrupt, loadDeadlines, loading, mayShare } from "./forming.ts";
import { blame } from "./blame.ts";
import { bankSaves, memberStageOf, stageOf, vacate, withClaims, withStage } from "./network-state.ts";
import type {
  Effect,
  Moment,
  NetworkEvent,
  NetworkNode,
  NetworkState,
  RunMessage,
  SavedStep,
} from "./network-state.ts";
import { weigh } from "./proof.ts";
import { mayChangeReserve, tellReserve } from "./reserve.ts";
import { toldOnce } from "./told-once.ts";
import {
  checkpoint,
  checkpointDue,
  checkpointLost,
  evaluated,
  evaluationDue,
  finishSteps,
  reachable,
  ready,
  saved,
  stepMs,
} from "./progress.ts";

/** A peer that died is noticed within this time on its own connection; so a broken link waits for it. */
const TROUBLE_DELAY_MS = 200;
const TROUBLE_DELAY_LIMIT_MS = 5_000;
/**
 * So many tries in a row, and as many for each spare computer that may do better, are made with such pauses. What
 * has come to nothing then is tried with pauses that double: as long as it has lasted, about.
 */
const PATIENT_TRIES = 6;
const LONGEST_PAUSE_MS = 300_000;
/**
 * When an orchestrator starts again, all who worked for it come back at about the same time. What the first few
 * began as a pipeline without replicas would be begun anew a moment later.
 */
const TOGETHER_MS = 150;
/** A pipeline is given up after as long as so many of its steps took, before its first step after five minutes. */
const STALLED_STEPS = 30;
const SHORTEST_STALL_MS = 60_000;
const FIRST_STEP_MS = 300_000;
const LONGEST_STALL_MS = 24 * 3_600_000;
/** So many generations in a row without a finished step are no accident. */
const SUSPECT_AFTER = 2;
/** SECURITY: of all who come and go, no more are remembered. */
const MOST_GONE = 64;
/** A stranger that has been near so much trouble is doubted like all others. */
const DOUBTED_FIRST = 4;

/** The only thing that changes a network, and it is pure: time comes with the event, what is to be done comes back. */
export function apply(
  event: NetworkEvent,
  state: NetworkState,
): { readonly state: NetworkState; readonly effects: readonly Effect[] } {
  const effects: Effect[] = [];
  const next = handle(event, state, effects);
  const told = mayChangeReserve(event, state, next) ? tellReserve(next, effects) : next;
  return { state: told, effects: toldOnce(effects) };
}

function handle(event: NetworkEvent, state: NetworkState, effects: Effect[]): NetworkState {
  switch (event.type) {
    case "joined":
      return welcome(joined(event, anew(state, event)), event.sessionKey, event, effects);
    case "moved":
      return alive(moved(event, state), event.sessionKey, event, effects);
    case "alive":
      return alive(state, event.sessionKey, event, effects);
    case "left":
      return left(event, anew(state, event), effects);
    case "bound":
      return bound(event, state);
    case "message":
      return heard(event.sessionKey, event.message, event, state, effects);
    case "checkpointLost":
      return checkpointLost(event.sha256, state, effects);
    case "goBack":
      return form({ ...state, mayResume: event.resumeStep }, event, effects);
    case "tick":
      return tick(state, event, effects);
  }
}

/** The next time at which a `tick` would change something; null: never. */
export function nextWake(state: NetworkState): number | null {
  switch (state.phase) {
    case "waiting": {
      const times = [state.formAfter, state.settleUntil, state.strangersAfter].filter((time) => time !== 0);
      return times.length === 0 ? null : Math.min(...times);
    }
    case "forming":
      return earliest(loadDeadlines(state));
    case "training":
      return earliest([stallsAt(state), nextTeamWake(state)]);
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

function earliest(times: readonly (number | null)[]): number | null {
  const due = times.filter((time) => time !== null);
  return due.length === 0 ? null : Math.min(...due);
}

function tick(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const { now } = at;
  if (state.phase === "forming" && now >= (earliest(loadDeadlines(state)) ?? Infinity)) {
    const deadlines = loadDeadlines(state);
    const late = state.stages.map(({ holder }, index) =>
      now >= (deadlines[index] ?? Infinity) ? holder : null,
    );
    const benched = late.reduce((next, key) => (key === null ? next : blame(next, key)), state);
    return interrupt(benched, at, 0, true, "A slice was not loaded in time.", effects);
  }
  if (state.phase === "training" && now >= (stallsAt(state) ?? Infinity)) {
    const doubted = state.stages.reduce(
      (next, { holder }) => (holder === null ? next : blame(next, holder)),
      state,
    );
    const counted = { ...doubted, fruitless: state.fruitless + 1 };
    return interrupt(counted, at, 0, true, "No step was finished for a long time.", effects);
  }
  if (state.phase === "finished" && state.haltAt !== null && now >= state.haltAt) {
    halt(state, "The run is finished.", effects);
    return { ...state, haltAt: null };
  }
  if (state.phase === "training" && state.team !== null)
    return follow(inTeam(state, { type: "tick" }, at, effects), at, effects);
  // Times that have passed are cleared, so that nobody is woken for them again.
  const next = {
    ...state,
    formAfter: now >= state.formAfter ? 0 : state.formAfter,
    settleUntil: now >= state.settleUntil ? 0 : state.settleUntil,
    strangersAfter: now >= state.strangersAfter ? 0 : state.strangersAfter,
  };
  return form(next, at, effects);
}

function joined(event: NetworkEvent & { type: "joined" }, state: NetworkState): NetworkState {
  const {
    sessionKey,
    hotkey,
    owner = hotkey,
    linkAddress,
    otherAddresses = [],
    memoryBytes,
    endsInMs,
    country = null,
  } = event;
  // SECURITY: what it says it has is looked up in `saves` whenever it is to count.
  const claims = new Map<number, readonly SavedStep[]>();
  for (const { runId, stage, steps } of event.restorable)
    if (runId === state.run.runId && stage < state.stages.length) claims.set(stage, steps);
  const node: NetworkNode = {
    sessionKey,
    hotkey,
    owner,
    linkAddress,
    otherAddresses,
    links: null,
    reserve: null,
    reach: "unknown",
    memoryBytes,
    speed: null,
    endsAt: endsInMs === undefined ? null : event.now + endsInMs,
    country,
    claims,
    onDisk: null,
    failures: 0,
    arrival: state.arrivals,
  };
  const nodes = new Map(state.nodes).set(sessionKey, node);
  const isStart = state.arrivals === 0 && state.mostReplicas > 1 && state.trusted.size > state.stages.length;
  const formAfter = isStart ? Math.max(state.formAfter, event.now + TOGETHER_MS) : state.formAfter;
  const gone = new Map([...state.gone].filter(([, before]) => !isBack(before.node, node)));
  return { ...state, arrivals: state.arrivals + 1, formAfter, nodes, gone };
}

/** It has brought back, by whatever session, all that the other one had when it went. */
function isBack(gone: NetworkNode, node: NetworkNode): boolean {
  return (
    gone.hotkey === node.hotkey &&
    [...gone.claims].every(([stage, steps]) => {
      const newest = steps.reduce<SavedStep | null>((a, b) => (a === null || b.step > a.step ? b : a), null);
      const held = node.claims.get(stage) ?? [];
      return (
        newest === null || held.some(({ step, digest }) => step === newest.step && digest === newest.digest)
      );
    })
  );
}

/**
 * Other computers, or others' addresses: what has failed so often may not fail again, and is tried at once. SECURITY:
 * that one of them may be to blame is not forgotten, for keys cost nothing.
 */
function anew(state: NetworkState, { now }: Moment): NetworkState {
  if (state.phase !== "waiting" || state.nextTry === null || now >= state.formAfter) return state;
  return { ...state, fruitless: Math.min(state.fruitless, SUSPECT_AFTER), formAfter: now, nextTry: null };
}

/** How long a pipeline that came to nothing again is not formed; 0: nobody is told to wait for longer than usual. */
function longPauseMs({ fruitless, nodes, stages }: NetworkState): number {
  const tries = PATIENT_TRIES * (1 + Math.max(0, nodes.size - stages.length));
  if (fruitless <= tries) return 0;
  return Math.min(LONGEST_PAUSE_MS, TROUBLE_DELAY_LIMIT_MS * 2 ** Math.min(10, fruitless - tries));
}

/**
 * Somebody whose work was found good is there again: it does not wait for strangers that hold stages
 * and have not finished a step.
 */
function welcome(state: NetworkState, key: SessionKey, at: Moment, effects: Effect[]): NetworkState {
  const isTrusted = (node: NetworkNode | undefined): boolean =>
    node !== undefined && state.trusted.has(node.hotkey);
  const isIdle = state.phase !== "finished" && state.step === state.resumeStep;
  if (!isIdle || state.phase === "waiting" || !isTrusted(state.nodes.get(key)))
    return admitted(state, at, effects);
  const strangers = state.stages.flatMap(({ holder }) =>
    holder === null || isTrusted(state.nodes.get(holder)) ? [] : [holder],
  );
  if (strangers.length === 0) return admitted(state, at, effects);
  const open = strangers.reduce((next, holder) => vacate(next, holder), state);
  return interrupt(open, at, 0, false, "A node that is known takes part.", effects);
}

/**
 * Where each stage has one holder, the first computer more makes them a pipeline of replicas: it begins anew
 * from the newest step that all have, once. From then on whoever comes joins those who work.
 */
function admitted(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const { phase, team } = state;
  const isPlain = (phase === "training" || phase === "forming") && team === null;
  if (isPlain && mayShare(state))
    return interrupt(state, at, 0, false, "Another computer takes part.", effects);
  return form(fillTeam(state, at, effects), at, effects);
}

function ends(
  state: NetworkState,
  key: SessionKey,
  endsInMs: number | null,
  at: Moment,
  effects: Effect[],
): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const endsAt = endsInMs === null ? null : at.now + endsInMs;
  const told = { ...state, nodes: new Map(state.nodes).set(key, { ...node, endsAt }) };
  return follow(inTeam(told, { type: "ends", key, at: endsAt }, at, effects), at, effects);
}

function withCountry(state: NetworkState, key: SessionKey, country: Country | null): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  return { ...state, nodes: new Map(state.nodes).set(key, { ...node, country }) };
}

/** Only of those who share a stage is it asked. */
function alive(state: NetworkState, key: SessionKey, at: Moment, effects: Effect[]): NetworkState {
  if (state.phase !== "training" || (state.team?.run ?? null) === null) return state;
  return follow(inTeam(state, { type: "alive", key }, at, effects), at, effects);
}

/** Its neighbours find it by its key; the next pipeline dials it where it is now. */
function moved(event: NetworkEvent & { type: "moved" }, state: NetworkState): NetworkState {
  const { sessionKey, linkAddress, otherAddresses } = event;
  const node = state.nodes.get(sessionKey);
  if (node === undefined) return state;
  const isElsewhere =
    JSON.stringify([linkAddress, otherAddresses]) !== JSON.stringify([node.linkAddress, node.otherAddresses]);
  // Its worker says anew that it waits: why, it is told once more.
  const here = { ...node, linkAddress, otherAddresses, reserve: null };
  const nodes = new Map(state.nodes).set(sessionKey, here);
  return { ...(isElsewhere ? anew(state, event) : state), nodes };
}

/** The next placement goes by it; who has a stage keeps it. */
function bound({ hotkey, owner }: NetworkEvent & { type: "bound" }, state: NetworkState): NetworkState {
  const theirs = [...state.nodes.values()].filter((node) => node.hotkey === hotkey && node.owner !== owner);
  if (theirs.length === 0) return state;
  const nodes = new Map(state.nodes);
  for (const node of theirs) nodes.set(node.sessionKey, { ...node, owner });
  return { ...state, nodes };
}

function left(event: NetworkEvent & { type: "left" }, state: NetworkState, effects: Effect[]): NetworkState {
  if (!state.nodes.has(event.sessionKey)) return state;
  const gone = withGone(state, event.sessionKey, event);
  const nodes = new Map(state.nodes);
  nodes.delete(event.sessionKey);
  if (state.team !== null) return leftTeam(event, { ...state, nodes, gone }, effects);
  const index = stageOf(state, event.sessionKey);
  // Waiting for somebody who left on purpose is no recovery.
  const interruptedAt = event.cause === "drained" ? null : state.interruptedAt;
  const without = vacate({ ...state, nodes, gone, interruptedAt }, event.sessionKey);
  if (index === null || state.phase === "finished") return without;
  const reason = `The computer of slice ${index + 1} ${event.cause === "silent" ? "fell silent" : "left"}.`;
  return interrupt(without, event, 0, event.cause !== "drained", reason, effects);
}

/** What has been done may be there no more without it: so it is remembered for a while. */
function withGone(state: NetworkState, key: SessionKey, { now: at, date }: Moment): NetworkState["gone"] {
  const index = stageOf(state, key);
  const node = (index === null ? state : bankSaves(state, index)).nodes.get(key);
  if (node === undefined || node.claims.size === 0) return state.gone;
  const gone = new Map(state.gone).set(key, { node, at, date, stepMs: stepMs(state) ?? state.stepMs });
  return new Map([...gone].slice(-MOST_GONE));
}

/** A replica goes: the others of its stage go on, and only when there is none the pipeline is formed anew. */
function leftTeam(
  event: NetworkEvent & { type: "left" },
  state: NetworkState,
  effects: Effect[],
): NetworkState {
  const index = stageOf(state, event.sessionKey);
  const reason = `The computer of slice ${(index ?? 0) + 1} ${event.cause === "silent" ? "fell silent" : "left"}.`;
  const isHolder = index !== null && (state.team?.run ?? null) === null;
  const left = leaveTeam(state, event.sessionKey, event.cause, event, effects);
  if (state.phase === "finished") return vacate(left.state, event.sessionKey);
  if (isHolder || left.ended !== null)
    return interrupt(
      vacate(left.state, event.sessionKey),
      event,
      0,
      event.cause !== "drained",
      reason,
      effects,
    );
  const next = follow(left, event, effects);
  // Somebody may have waited for its place.
  return next.team === null ? next : fillTeam(next, event, effects);
}

/** What the replicas' machine has said concerns the whole run. */
function follow({ state, evaluated, ended }: TeamOutcome, at: Moment, effects: Effect[]): NetworkState {
  const next = evaluated.reduce((now, { step, loss }) => judged(now, step, loss, at, effects), state);
  if (next.team === null) return next;
  if (ended === null) {
    const balanced = balanceTeam(bringBack(next, at, effects), at, effects);
    if (balanced.ended !== null || balanced.evaluated.length > 0) return follow(balanced, at, effects);
    // Whoever moves has gone.
    return balanced.state.team?.run?.isUngiven === true
      ? follow(inTeam(balanced.state, { type: "give" }, at, effects), at, effects)
      : balanced.state;
  }
  const text = `Slice ${ended.stage + 1} has no computer left: ${ended.code}.`;
  const lastTrouble = { text, times: 1 };
  const counted = { ...next, fruitless: next.fruitless + 1, lastTrouble };
  return later(counted, at, 0, text, effects);
}

/** @see heard */
function heardInTeam(
  sender: SessionKey,
  message: RunMessage,
  at: Moment,
  state: NetworkState,
  effects: Effect[],
): NetworkState | null {
  const isBegun = (state.team?.run ?? null) !== null;
  switch (message.type) {
    case "ready":
      if (stageOf(state, sender) !== null && !isBegun) return null;
      return follow(warmed(state, sender, message, at, effects), at, effects);
    case "loading":
      if (stageOf(state, sender) !== null && !isBegun) return null;
      return follow(inTeam(state, { type: "message", key: sender, message }, at, effects), at, effects);
    case "ask":
    case "routed":
    case "counted":
    case "summed":
    case "lacking":
    case "adopted":
    case "measured":
    case "accuse":
    case "saved":
      return follow(inTeam(state, { type: "message", key: sender, message }, at, effects), at, effects);
    case "trouble": {
      if (stageOf(state, sender) !== null && !isBegun) return null;
      const left = leaveTeam(distrusted(state, sender), sender, message.code, at, effects);
      const doubted = blameOnly(left.state, sender);
      const next = follow({ ...left, state: doubted }, at, effects);
      return next.team === null ? next : fillTeam(next, at, effects);
    }
    default:
      return null;
  }
}

function blameOnly(state: NetworkState, key: SessionKey): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined) return state;
  const nodes = new Map(state.nodes).set(key, { ...node, failures: node.failures + 1 });
  return { ...state, nodes };
}

function heard(
  sender: SessionKey,
  message: RunMessage,
  at: Moment,
  before: NetworkState,
  effects: Effect[],
): NetworkState {
  if (message.type === "links") return withLinks(before, sender, message.status, effects);
  if (message.type === "country") return withCountry(before, sender, message.country);
  if (message.type === "stood")
    return before.phase === "training"
      ? follow(inTeam(before, { type: "stood", key: sender }, at, effects), at, effects)
      : before;
  if (message.type === "ends") return ends(before, sender, message.endsInMs, at, effects);
  const state = withDisk(before, sender, message);
  if (state.team !== null) {
    const isOfNow = message.generation === state.generation;
    if (memberStageOf(state, sender) === null) return state;
    const next = isOfNow ? heardInTeam(sender, message, at, state, effects) : null;
    if (next !== null) return next;
  }
  const index = memberStageOf(state, sender);
  const stage = index === null ? undefined : state.stages[index];
  // Of an old pipeline, or from a node that has no part in this one.
  if (index === null || stage === undefined) return state;
  if (message.generation !== state.generation && message.type !== "checkpoint") return state;
  const isTail = index === state.stages.length - 1;
  switch (message.type) {
    case "ready":
      return state.phase === "forming"
        ? begun(ready(withStage(state, index, { ready: true }), at.now, effects), at, effects)
        : state;
    case "loading":
      return loading(state, index, message.bytes, at.now);
    case "stepped": {
      if (message.step <= stage.stepped || message.step > reachable(state)) return state;
      const next = withStage(state, index, { stepped: message.step });
      const losses =
        isTail && message.loss !== null
          ? new Map(state.losses).set(message.step, message.loss)
          : state.losses;
      return finishSteps({ ...next, losses }, at, effects);
    }
    case "saved":
      // Granted, and trained: or it is nothing that could have been saved.
      if (message.step <= stage.saved || message.step > Math.min(stage.stepped, reachable(state)))
        return state;
      return saved(state, index, message, effects);
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
      if (!isTail || !evaluationDue(state, message.step)) return state;
      return judged(state, message.step, message.loss, at, effects);
    case "ask":
    case "routed":
    case "counted":
    case "summed":
    case "lacking":
    case "adopted":
    case "measured":
    case "accuse":
      return state;
    case "trouble":
      return trouble(notReached(state, index, message, effects), index, sender, message, at, effects);
  }
}

/** SECURITY: it counts as what it said when it came: what `saves` has of it. */
function withDisk(state: NetworkState, sender: SessionKey, message: RunMessage): NetworkState {
  const stage = memberStageOf(state, sender);
  if (message.type !== "saved" || message.generation !== state.generation || stage === null) return state;
  const { onDisk } = message;
  const node = state.nodes.get(sender);
  if (onDisk === undefined || node === undefined) return state;
  const nodes = new Map(state.nodes).set(sender, {
    ...node,
    onDisk: { stage, steps: onDisk.map(({ step }) => step) },
  });
  return withClaims({ ...state, nodes }, sender, stage, () => onDisk);
}

/** Where stages have replicas, the first step begins when the pipeline trains. */
function begun(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  if (state.phase !== "training" || state.team === null) return state;
  return follow(beginTeam(state, at, effects), at, effects);
}

/** What is not believed is not shown either, and ends nothing. */
function judged(
  state: NetworkState,
  step: number,
  loss: number,
  at: Moment,
  effects: Effect[],
): NetworkState {
  const weighed = weigh(state, step, loss, at, effects);
  return weighed.returns > state.returns ? weighed : evaluated(weighed, step, loss, at.now, effects);
}

function trouble(
  state: NetworkState,
  index: number,
  sender: SessionKey,
  { code, message }: RunMessage & { type: "trouble" },
  at: Moment,
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
  // What the numbers were helps whoever brought the model; a peer's own text stays short.
  const told = isOfNumbers(code)
    ? `${code}. ${message.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 400)}`
    : `${code}.`;
  const text = `Slice ${index + 1} had trouble: ${told}`;
  const before = state.lastTrouble;
  // Which stage first meets what is no number is a matter of chance.
  const isAgain = before?.text === text || (isOfNumbers(code) && OF_NUMBERS.test(before?.text ?? ""));
  const times = before !== null && isAgain ? before.times + 1 : 1;
  const counted = { ...next, fruitless: state.fruitless + 1, lastTrouble: { text, times } };
  return later(counted, at, delayMs, text, effects);
}

/** A pipeline has come to nothing: the next one is formed after a pause, `delayMs` as long as that may still help. */
function later(
  state: NetworkState,
  at: Moment,
  delayMs: number,
  reason: string,
  effects: Effect[],
): NetworkState {
  const long = longPauseMs(state);
  const nextTry = long === 0 ? null : at.date + long;
  return interrupt({ ...state, nextTry }, at, Math.max(delayMs, long), true, reason, effects);
}

const OF_NUMBERS = new RegExp(`had trouble: (${GRADIENT_NOT_FINITE}|${TENSOR_NOT_FINITE})\\.`);

function isOfNumbers(code: string): boolean {
  return code === GRADIENT_NOT_FINITE || code === TENSOR_NOT_FINITE;
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
  const group = state.stages
    .slice(Math.max(0, index - 1), index + 2)
    .flatMap(({ holder }) => (holder === null ? [] : (state.nodes.get(holder) ?? [])));
  // Who has done good work loses its stage to a stranger's word last.
  const strangers = group.filter(
    ({ hotkey, failures }) => !state.trusted.has(hotkey) && failures < DOUBTED_FIRST,
  );
  return (strangers.length > 0 ? strangers : group).reduce(
    (next, { sessionKey }) => blame(next, sessionKey),
    state,
  );
}

/** The node could not load the step it offered, so it does not have it. */
function distrust(state: NetworkState, stage: number, key: SessionKey): NetworkState {
  const at = state.resumeStep;
  const here = state.stages[stage]?.savedHere.filter((step) => step !== at) ?? [];
  return withStage(
    withClaims(state, key, stage, (claims) => claims.filter(({ step }) => step !== at)),
    stage,
    { savedHere: here },
  );
}
