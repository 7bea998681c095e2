import type { PeerAddress } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { modelFilesOf } from "../../src-protocol/model.ts";
import {
  bankSaves,
  candidates,
  LONGEST_RETURN_MS,
  LONGEST_WAIT_MS,
  SETTLE_MS,
  teamMembers,
  WAIT_PER_STEP_MS,
  withStage,
} from "./network-state.ts";
import type { Effect, GoneNode, Moment, NetworkNode, NetworkState } from "./network-state.ts";
import { fillTeam, tellMembers } from "../replicas/team.ts";
import { replicasHere, sharedNeeds } from "./needs.ts";
import { stepMs } from "./progress.ts";
import { canHold, place } from "./placement.ts";
import type { Candidate, Placement } from "./placement.ts";
import { givenUp, plus, redoneFrom } from "./redone.ts";

/** A stored point can be this much newer than the snapshots behind it: they are written in the background. */
const SNAPSHOT_LAG_STEPS = 2;
/** A run that has more than so many steps does not begin again from nothing without its operator's word. */
const MUCH_STEPS = 32;
/** A node that has been near so much trouble is left out when there are others. */
const DOUBTFUL_FAILURES = 3;
/** A node that has loaded nothing more of its stage for so long is taken out of the pipeline. */
export const FORMING_LIMIT_MS = 120_000;
/**
 * SECURITY: less than this is no progress. So a node that only says it loads has an end: it can say
 * so no more often than its stage's files have quarters of a megabyte.
 */
const PROGRESS_BYTES = 250_000;

/** When each stage that is not ready counts as given up; null: it is ready, or nobody has it. */
export function loadDeadlines({ stages, formingSince }: NetworkState): (number | null)[] {
  return stages.map(({ holder, ready, loaded }) =>
    holder === null || ready ? null : (loaded?.at ?? formingSince) + FORMING_LIMIT_MS,
  );
}

/** Its holder has loaded so much of a stage's files. */
export function loading(state: NetworkState, index: number, bytes: number, now: number): NetworkState {
  const stage = state.stages[index];
  if (state.phase !== "forming" || stage === undefined || stage.ready) return state;
  const { corpus, model } = state.run;
  const files =
    corpus.bytes + modelFilesOf(model).reduce((sum, { bytes }) => sum + bytes, 0) + (state.needs[index] ?? 0);
  const known = stage.loaded?.bytes ?? 0;
  if (bytes > files || bytes < Math.min(files, known + PROGRESS_BYTES)) return state;
  return withStage(state, index, { loaded: { bytes, at: now } });
}

/** Forms a pipeline when that is due and every stage can have a node. */
export function form(state: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const { now } = at;
  if (state.phase !== "waiting" || now < state.formAfter) return state;
  const banked = state.stages.reduce((next, _, index) => bankSaves(next, index), state);
  const able = candidates(banked);
  const shared = sharedPlacement(banked, able);
  const placement = shared ?? placed(banked, able);
  // Nobody can go back before there are enough of them, so nothing is asked, and nothing said of what would be lost.
  if (placement === null)
    return state.shortSince === null && state.wouldLose === 0
      ? state
      : { ...state, shortSince: null, wouldLose: 0, wouldResume: null };
  const { holders, resumeStep } = placement;
  const hasStrangers = state.trusted.size > 0 && holders.some((key) => able.get(key)?.isTrusted !== true);
  // Where it went back on purpose, nothing is missed.
  const known = state.ceiling === null ? Math.max(state.knownStep, state.step) : state.knownStep;
  const lost = known - resumeStep;
  const shortSince = lost > SNAPSHOT_LAG_STEPS ? (state.shortSince ?? now) : null;
  if (shortSince !== null) {
    const first = hasStrangers ? state.strangersAfter : state.settleUntil;
    const ofBefore = state.knownStep - resumeStep;
    const isEarly = ofBefore > SNAPSHOT_LAG_STEPS && isOwnerAway(state);
    const sinceStart = isEarly ? returnedBy(state.openedAt, patienceMs(ofBefore), shortSince) : 0;
    const until = Math.max(first, sinceStart, goneUntil(banked, resumeStep, shortSince));
    const isAgreed = state.mayResume !== null && resumeStep >= state.mayResume;
    if (now < until && !isAgreed) {
      const waitsUntil = at.date + until - now;
      return { ...state, shortSince, wouldLose: lost, wouldResume: null, settleUntil: until, waitsUntil };
    }
    if (state.isAsking && !isAgreed && isMuch(state, lost, resumeStep))
      return { ...state, shortSince, wouldLose: lost, wouldResume: resumeStep, settleUntil: 0 };
  }
  const generation = state.generation + 1;
  const members = holders.flatMap((key) => state.nodes.get(key) ?? []);
  const next: NetworkState = {
    ...banked,
    phase: "forming",
    team:
      shared === null
        ? null
        : { run: null, extras: new Map(), movedAt: -Infinity, weighedStep: resumeStep, bare: new Map() },
    ...redoneFrom(state, resumeStep),
    shortSince: null,
    wouldLose: 0,
    wouldResume: null,
    knownStep: known,
    generation,
    formingSince: now,
    step: resumeStep,
    resumeStep,
    nextGrant: resumeStep,
    losses: new Map(),
    pace: [],
    // Newer states of a past that may not have happened are forgotten when a step has been finished.
    stages: state.stages.map(({ checkpoints, saves, states }, index) => ({
      holder: holders[index] ?? null,
      lastHolder: members[index] ?? null,
      ready: false,
      loaded: null,
      stepped: resumeStep,
      saved: resumeStep,
      saves,
      states,
      savedHere: savedBy(members[index] && able.get(members[index].sessionKey), index, resumeStep),
      namedHere: null,
      checkpoints,
    })),
  };
  effects.push({
    type: "store",
    row: {
      kind: "generation",
      generation,
      resumeStep,
      ...(next.team !== null && { isShared: true }),
      at: at.date,
      holders: members.map(({ sessionKey, hotkey }) => ({ sessionKey, hotkey })),
    },
  });
  for (const [stage, node] of members.entries()) {
    const own = resumeStep === 0 || next.stages[stage]?.savedHere.includes(resumeStep) === true;
    effects.push({
      type: "send",
      to: node.sessionKey,
      message: {
        type: "assign",
        generation,
        run: state.run,
        stage,
        resumeStep,
        resumeDigest: resumeStep === 0 ? null : (state.stages[stage]?.saves.get(resumeStep) ?? null),
        checkpointSha256: own ? null : (state.stages[stage]?.checkpoints.get(resumeStep)?.sha256 ?? null),
        previous: next.team === null ? peerOf(members[stage - 1]) : null,
        next: next.team === null ? peerOf(members[stage + 1]) : null,
        ...(next.team !== null && { joins: false, replicas: replicasHere(next) }),
      },
    });
  }
  if (next.team === null) return next;
  tellMembers(next, effects);
  return fillTeam(next, at, effects);
}

/** Whether the stages would be shared if a pipeline were formed of those who are here. */
export function mayShare(state: NetworkState): boolean {
  const banked = state.stages.reduce((next, _, index) => bankSaves(next, index), state);
  return sharedPlacement(banked, candidates(banked)) !== null;
}

/**
 * Who would hold the stages, were they shared: those who have the memory for that. Null: nobody is left to share one
 * with them, so that a plain pipeline is faster; or only that one keeps the newest steps.
 */
function sharedPlacement(state: NetworkState, able: ReadonlyMap<SessionKey, Candidate>): Placement | null {
  const { nodes, stages, mostReplicas } = state;
  if (mostReplicas === 1 || nodes.size <= stages.length) return null;
  const needs = sharedNeeds(state);
  const open = stages.reduce((next, { holder }, index) => {
    const node = holder === null ? undefined : nodes.get(holder);
    const isLeft = node === undefined || canHold(node, needs[index] ?? 0);
    return isLeft ? next : withStage(next, index, { holder: null });
  }, state);
  const shared = placed({ ...open, needs }, able);
  if (shared === null || shared.resumeStep < (placed(state, able)?.resumeStep ?? 0)) return null;
  const isShared = [...nodes.values()].some(
    (node) => !shared.holders.includes(node.sessionKey) && needs.some((bytes) => canHold(node, bytes)),
  );
  return isShared ? shared : null;
}

/** More than checkpoints leave open, or (nearly) all that there is. */
function isMuch({ run }: NetworkState, lost: number, resumeStep: number): boolean {
  return lost > (resumeStep === 0 ? MUCH_STEPS : run.checkpointEverySteps);
}

/** How long after the start owners of lost steps are waited for: they may have much to read from their disks. */
function patienceMs(lostSteps: number): number {
  return Math.min(LONGEST_WAIT_MS, SETTLE_MS + WAIT_PER_STEP_MS * lostSteps);
}

/**
 * Who was not there in time, while nobody could begin without it, is given as long again from when that was possible:
 * where all have gone, they come back one after another.
 */
function returnedBy(at: number, waitMs: number, shortSince: number, againMs = waitMs): number {
  return shortSince > at + waitMs ? shortSince + againMs : at + waitMs;
}

/**
 * Until when those who have gone and would bring more steps back are waited for: no longer than it takes to do them
 * again. 0: nobody would bring any.
 */
function goneUntil(state: NetworkState, resumeStep: number, shortSince: number): number {
  const { steps, computers } = wouldBring(state, resumeStep);
  const times = computers.map(({ at, stepMs }) => {
    const soonMs = Math.min(LONGEST_WAIT_MS, steps * Math.min(WAIT_PER_STEP_MS, stepMs ?? Infinity));
    const returnMs = Math.min(LONGEST_RETURN_MS, steps * (stepMs ?? WAIT_PER_STEP_MS));
    return returnedBy(at, soonMs, shortSince, returnMs);
  });
  return Math.max(0, ...times);
}

export interface AwaitedNode extends GoneNode {
  readonly stage: number;
}

/** Who has gone and would bring more steps back than this one, and how many more. */
function wouldBring(
  state: NetworkState,
  resumeStep: number,
): { readonly steps: number; readonly computers: readonly AwaitedNode[] } {
  const { gone, nodes } = state;
  const all = new Map([...[...gone].map(([key, { node }]) => [key, node] as const), ...nodes]);
  const back = placed({ ...state, nodes: all }, candidates({ ...state, nodes: all }));
  if (back === null || back.resumeStep <= resumeStep + SNAPSHOT_LAG_STEPS) return { steps: 0, computers: [] };
  const computers = back.holders.flatMap((key, stage) => {
    const its = nodes.has(key) ? undefined : gone.get(key);
    return its === undefined ? [] : [{ ...its, stage }];
  });
  return { steps: back.resumeStep - resumeStep, computers };
}

/** While its operator is asked: who would bring back what is to be given up, as far as that is known. */
export function awaitedNodes(state: NetworkState): readonly AwaitedNode[] {
  if (state.wouldResume === null) return [];
  const banked = state.stages.reduce((next, _, index) => bankSaves(next, index), state);
  return wouldBring(banked, state.wouldResume).computers;
}

/** Somebody whose work was found good before is not there, and could bring what the others lack. */
function isOwnerAway({ nodes, trusted }: NetworkState): boolean {
  const here = new Set([...nodes.values()].map(({ hotkey }) => hotkey));
  return [...trusted].some((owner) => !here.has(owner));
}

/** Steps of the stage, up to the one it goes on from, that its new holder has on its own disk. */
function savedBy(node: Candidate | undefined, stage: number, resumeStep: number): readonly number[] {
  return (node?.restorable.get(stage) ?? []).filter((step) => step <= resumeStep);
}

/**
 * Leaves out as many of the nodes that failed again and again as can be spared. What only they say
 * they have is given up for an older step, but never for the beginning of the run.
 */
function placed(state: NetworkState, able: ReadonlyMap<SessionKey, Candidate>): Placement | null {
  const without = (left: ReadonlySet<SessionKey>): Placement | null =>
    place(
      state.stages.map(({ holder, checkpoints }, index) => ({
        holder: holder === null || left.has(holder) ? null : holder,
        stored: new Set([...checkpoints.keys()].filter((step) => step <= (state.ceiling ?? step))),
        needBytes: state.needs[index] ?? 0,
      })),
      new Map([...able].filter(([key]) => !left.has(key))),
    );
  const everybody = without(new Set());
  const doubtful = [...state.nodes.values()]
    .filter(({ failures }) => failures >= DOUBTFUL_FAILURES)
    .sort((a, b) => b.failures - a.failures || b.arrival - a.arrival)
    .map(({ sessionKey }) => sessionKey);
  for (let count = doubtful.length; count > 0; count--) {
    const others = without(new Set(doubtful.slice(0, count)));
    if (others !== null && (others.resumeStep > 0 || everybody?.resumeStep === 0)) return others;
  }
  return everybody;
}

/** Training stops: everybody re-forms when each stage has a node, at the earliest after `delayMs`. */
export function interrupt(
  state: NetworkState,
  at: Moment,
  delayMs: number,
  unexpected: boolean,
  reason: string,
  effects: Effect[],
): NetworkState {
  if (state.phase !== "training" && state.phase !== "forming") return form(state, at, effects);
  const wasTraining = state.phase === "training";
  const members = [...teamMembers(state).keys()];
  const run = state.team?.run ?? null;
  const stopped: NetworkState = {
    ...state,
    phase: "waiting",
    team: null,
    ...(run !== null && { givenUp: givenUp(run), redone: plus(state.redone, run.redone) }),
    stages: state.stages.map((stage) => ({ ...stage, ready: false })),
    pace: [],
    stepMs: stepMs(state) ?? state.stepMs,
    shortSince: null,
    interruptedAt: unexpected && wasTraining ? (state.interruptedAt ?? at.now) : state.interruptedAt,
    formAfter: delayMs === 0 ? 0 : at.now + delayMs,
  };
  const formed = form(stopped, at, effects);
  // A newer assignment stops the old work by itself.
  if (formed.phase === "waiting") halt(formed, reason, effects, members);
  return formed;
}

export function halt(
  state: NetworkState,
  reason: string,
  effects: Effect[],
  members: readonly SessionKey[] = [...teamMembers(state).keys()],
): void {
  for (const to of members)
    if (state.nodes.has(to))
      effects.push({ type: "send", to, message: { type: "halt", generation: state.generation, reason } });
}

function peerOf(node: NetworkNode | undefined): PeerAddress | null {
  if (node === undefined) return null;
  const { sessionKey, linkAddress: address, otherAddresses } = node;
  return { sessionKey, address, ...(otherAddresses.length > 0 && { others: [...otherAddresses] }) };
}
