import type { PeerAddress, ReplicaPeer } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { replicasHere, sharedNeeds } from "../runs/needs.ts";
import { canHold } from "../runs/placement.ts";
import { mayTakeOver } from "./adoption.ts";
import { mayResumeIn } from "./members.ts";
import { microBatchMs } from "./lateness.ts";
import { coverFor, moveFor, stageFor } from "./replica-placement.ts";
import type { Placed, Pools } from "./replica-placement.ts";
import { teamMembers, withClaims, withStage } from "../runs/network-state.ts";
import type {
  Effect,
  Moment,
  NetworkNode,
  NetworkState,
  RunMessage,
  SavedStep,
} from "../runs/network-state.ts";
import { finishSteps, saved } from "../runs/progress.ts";
import { withPutAside } from "./put-aside.ts";
import { applyUngiven, isPlanned, nextReplicaWake, replicaRun } from "./replica-machine.ts";
import type { Agreed, ReplicaEffect, ReplicaEvent, ReplicaRun } from "./replica-run.ts";

/**
 * Nodes beside the holders of the stages: in a run with replicas nobody waits in reserve. Until all
 * holders are ready they load; then they take the state over, one after another, at the next step.
 */
export interface Team {
  /** Null until the holders are ready. */
  readonly run: ReplicaRun | null;
  /** The others, by the stage that they are given. */
  readonly extras: ReadonlyMap<SessionKey, Extra>;
  /** When a node was last moved to another stage, by `Moment.now`; -Infinity: never. */
  readonly movedAt: number;
  /** After which step that was last considered. */
  readonly weighedStep: number;
  /** Stages that nobody holds since a moment ago. */
  readonly bare: ReadonlyMap<number, Bare>;
}

/** Its computers have gone in this step, and one of them may be back in a moment: the others keep what they have done. */
interface Bare {
  readonly step: number;
  /** Why the last one was fenced. */
  readonly code: string;
  /** So long one is waited for, by `Moment.now`. */
  readonly until: number;
}

interface Extra {
  readonly stage: number;
  readonly isWarm: boolean;
}

/** Until a node that was moved has loaded and works, and those near it were measured anew, nobody else moves. */
const MOVE_EVERY_MS = 60_000;

/** For who was started again: as long as a step takes, which all others would do again without it, within these limits. */
const SHORTEST_BARE_MS = 4_000;
const LONGEST_BARE_MS = 10_000;
/** Its state is read from its disk. */
const RESUME_STALL_MS = 60_000;

/** States that a node can go back to. */
const MOST_CLAIMS = 16;

/** What the rest of the network has to do with it. */
export interface TeamNews {
  readonly evaluated: readonly { readonly step: number; readonly loss: number }[];
  /** Nobody has the stage any more, or nobody knows which state is right. */
  readonly ended: { readonly stage: number; readonly code: string } | null;
}

export interface TeamOutcome extends TeamNews {
  readonly state: NetworkState;
}

type Untimed<Event> = Event extends unknown ? Omit<Event, "now"> : never;

/** How many computers hold each stage, and of them, how many work. */
export function replicaCounts(state: NetworkState): { readonly live: number; readonly loading: number }[] {
  const members = [...teamMembers(state)];
  const run = state.team?.run ?? null;
  return state.stages.map(({ ready }, index) => {
    const here = members.filter(([, stage]) => stage === index);
    const live =
      run === null ? Number(ready) : here.filter(([key]) => run.members.get(key)?.phase === "live").length;
    return { live, loading: here.length - live };
  });
}

/** Every node without a stage gets the one that can do least, of those that it has the memory for. */
export function fillTeam(before: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  if (before.team === null || before.phase === "finished" || before.phase === "waiting") return before;
  let state = bringBack(before, at, effects);
  const members = teamMembers(state);
  const pools = { ...poolsOf(state, at), members: [...poolsOf(state, at).members] };
  const added: [SessionKey, number][] = [];
  const needs = sharedNeeds(before);
  for (const node of state.nodes.values()) {
    if (members.has(node.sessionKey)) continue;
    const fits = (index: number): boolean => canHold(node, needs[index] ?? 0);
    const stage = stageFor({ owner: node.owner, canHold: fits }, pools);
    if (stage === null) continue;
    pools.members.push(placedAs(node, stage, false));
    added.push([node.sessionKey, stage]);
    state = given(withExtra(state, node.sessionKey, { stage, isWarm: false }), node, stage, effects);
  }
  if (added.length === 0) return state;
  if ((state.team?.run ?? null) === null) {
    tellMembers(state, effects);
    return state;
  }
  return added.reduce(
    (next, [key, stage]) =>
      withEnd(inTeam(next, { type: "added", key, stage }, at, effects).state, key, at, effects),
    state,
  );
}

/** Who has the state of a stage that nobody holds goes on with it, in the step under way. */
export function bringBack(before: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  let state = before;
  for (const stage of before.team?.bare.keys() ?? [])
    for (const node of before.nodes.values()) {
      const run = state.team?.run ?? null;
      if (run === null || !mayResume(run, node.sessionKey, stage)) continue;
      const held = stateOfNow(state, node, stage);
      if (held === null || !canHold(node, sharedNeeds(state)[stage] ?? 0)) continue;
      const { sessionKey: key } = node;
      state = given(state, node, stage, effects, held);
      state = inTeam(state, { type: "added", key, stage, resumes: held.step }, at, effects).state;
      state = withEnd(state, key, at, effects);
    }
  return state;
}

/** It could not load the state that it says it has: it is not told to again. */
export function distrusted(state: NetworkState, key: SessionKey): NetworkState {
  const { stage, resumes } = state.team?.run?.members.get(key) ?? {};
  if (stage === undefined || resumes === undefined) return state;
  return withClaims(state, key, stage, (claims) => claims.filter(({ step }) => step !== resumes));
}

/** It has no part in this step, and gets ready for this stage at most. */
function mayResume(run: ReplicaRun, key: SessionKey, stage: number): boolean {
  const { members, book, step } = run;
  if (!mayResumeIn(run, stage) || !mayTakeOver(run, key)) return false;
  const member = members.get(key);
  if (member === undefined) return true;
  const isIdle = member.phase === "loading" || member.phase === "warm";
  return member.stage === stage && isIdle && member.resumes !== step && !book.fenced.has(key);
}

/** What it says it has of the stage, where that is what all have agreed on after the last step; null: it is not. */
function stateOfNow(
  { stages, step }: NetworkState,
  { claims }: NetworkNode,
  stage: number,
): SavedStep | null {
  const known = stages[stage]?.saves.get(step);
  return claims.get(stage)?.find((each) => each.step === step && each.digest === known) ?? null;
}

/** A stage has lost its last replica: whether one that has its state is waited for, while all others stand by. */
function stoodBy(
  state: NetworkState,
  { stage, code }: { readonly stage: number; readonly code: string },
  { now }: Moment,
): NetworkState | null {
  const { team, gone } = state;
  const run = team?.run ?? null;
  if (team === null || run === null || !isBare(run, stage)) return null;
  if (isPlanned(code)) return null;
  // Others may need what it gives to take the step, and nobody could give it.
  if (!mayResumeIn(run, stage) && run.ties.length > 0) return null;
  if (![...gone.values()].some(({ node }) => stateOfNow(state, node, stage) !== null)) return null;
  const bare = new Map(team.bare).set(stage, { step: run.step, code, until: now + bareMs(run) });
  return withStage({ ...state, team: { ...team, bare } }, stage, { holder: null });
}

function bareMs({ usual }: ReplicaRun): number {
  return Math.min(LONGEST_BARE_MS, Math.max(SHORTEST_BARE_MS, usual.step ?? 0));
}

function isBare({ book }: ReplicaRun, stage: number): boolean {
  return book.stages[stage]?.live.size === 0;
}

/** Stages that nobody holds, while all others stand by. */
export function bareStages(state: NetworkState): number[] {
  return bareUntil(state).map(({ stage }) => stage);
}

/** Until when each stage that nobody holds is waited for. */
function bareUntil(state: NetworkState): {
  readonly stage: number;
  readonly code: string;
  readonly until: number;
}[] {
  const { team, gone } = state;
  const run = team?.run ?? null;
  if (team === null || run === null) return [];
  return [...team.bare].flatMap(([stage, { code, until }]) => {
    if (!isBare(run, stage)) return [];
    // It has taken the step: its part is in the next one.
    if (!mayResumeIn(run, stage)) return [{ stage, code, until: Infinity }];
    const back = [...run.members.values()].filter(
      (each) => each.stage === stage && each.resumes === run.step,
    );
    const loading = back.filter(({ phase }) => phase === "loading");
    const untils = loading.map(({ since }) => since + RESUME_STALL_MS);
    // Whoever is back has the state, and not the sum that the others take the step with.
    const isInVain =
      run.book.isTaken &&
      back.length > 0 &&
      loading.length === 0 &&
      ![...gone.values()].some(({ node }) => stateOfNow(state, node, stage) !== null);
    return [{ stage, code, until: isInVain ? -Infinity : Math.max(until, ...untils) }];
  });
}

/** What its owner has said of its end, before it was a member. */
function withEnd(state: NetworkState, key: SessionKey, moment: Moment, effects: Effect[]): NetworkState {
  const at = state.nodes.get(key)?.endsAt ?? null;
  return at === null ? state : inTeam(state, { type: "ends", key, at }, moment, effects).state;
}

/** The node is told to load the stage, and to take its state over from a replica, or from its own disk (`held`). */
function given(
  state: NetworkState,
  node: NetworkNode,
  stage: number,
  effects: Effect[],
  held: SavedStep | null = null,
): NetworkState {
  const { sessionKey, hotkey } = node;
  const { generation } = state;
  effects.push(
    { type: "store", row: { kind: "replica", generation, stage, sessionKey, hotkey } },
    {
      type: "send",
      to: sessionKey,
      message: {
        type: "assign",
        generation,
        run: state.run,
        stage,
        resumeStep: state.step,
        resumeDigest: held?.digest ?? null,
        checkpointSha256: null,
        previous: null,
        next: null,
        joins: held === null,
        replicas: replicasHere(state),
      },
    },
  );
  return state;
}

/**
 * Once a step, and not soon again: a node moves from the richest stage to the poorest, where that helps.
 * It goes when a step has just been opened, and nothing of it is given yet, so that nothing has to be done again.
 */
export function balanceTeam(before: NetworkState, at: Moment, effects: Effect[]): TeamOutcome {
  const { team, phase, step } = before;
  const run = team?.run ?? null;
  const nothing = { state: before, evaluated: [], ended: null };
  if (team === null || run === null || phase !== "training" || team.weighedStep === step) return nothing;
  // Somebody who has its state is waited for.
  if (bareStages(before).length > 0) return nothing;
  const nodes = new Map(before.nodes);
  for (const [key, { stage }] of run.members) {
    const node = nodes.get(key);
    const ms = microBatchMs(run, key);
    if (node !== undefined && ms !== null)
      nodes.set(key, { ...node, speed: (before.flops[stage] ?? 1) / ms });
  }
  const weighed: NetworkState = { ...before, nodes, team: { ...team, weighedStep: step } };
  const needs = sharedNeeds(before);
  const fits = (key: SessionKey, stage: number): boolean => {
    const node = nodes.get(key);
    return node !== undefined && canHold(node, needs[stage] ?? 0);
  };
  const pools = poolsOf(weighed, at);
  const isSoon = at.now < team.movedAt + MOVE_EVERY_MS;
  const move = coverFor(pools, fits) ?? (isSoon ? null : moveFor(pools, fits));
  const node = move === null ? undefined : nodes.get(move.key);
  if (move === null || node === undefined) return { ...nothing, state: weighed };
  const left = leaveTeam(weighed, move.key, "moved", at, effects);
  if (left.ended !== null || left.state.team === null) return left;
  const free: NetworkState = { ...left.state, team: { ...left.state.team, movedAt: at.now } };
  const added = inTeam(
    given(free, node, move.to, effects),
    { type: "added", key: move.key, stage: move.to },
    at,
    effects,
  );
  const known = withEnd(added.state, move.key, at, effects);
  return { ...added, state: known, evaluated: [...left.evaluated, ...added.evaluated] };
}

/** Who has which stage, as placement sees it. */
function poolsOf(state: NetworkState, { now }: Moment): Pools {
  const run = state.team?.run ?? null;
  const members = [...teamMembers(state)].flatMap(([key, stage]) => {
    const node = state.nodes.get(key);
    return node === undefined ? [] : [placedAs(node, stage, run?.members.get(key)?.phase === "live")];
  });
  return { flops: state.flops, members, most: state.mostReplicas, now };
}

function placedAs(
  { sessionKey: key, owner, speed, endsAt }: NetworkNode,
  stage: number,
  isLive: boolean,
): Placed {
  return { key, owner, stage, speed, endsAt, isLive };
}

/** All holders are ready: the first step begins. */
export function beginTeam(state: NetworkState, at: Moment, effects: Effect[]): TeamOutcome {
  const { team, run, stages, generation } = state;
  if (team === null) return { state, evaluated: [], ended: null };
  const started = replicaRun({
    run,
    signs: { network: state.network, runId: run.runId, generation },
    step: state.resumeStep,
    live: stages.map(({ holder }) => (holder === null ? [] : [holder])),
    agreed: stages.map((): Agreed | null => null),
    evaluatedStep: state.evaluatedStep,
    tied: state.tied,
    now: at.now,
  });
  const { extras } = team;
  let next: NetworkState = { ...state, team: { ...team, run: started, extras: new Map() } };
  const news: ReplicaEvent[] = [];
  for (const [key, { stage, isWarm }] of extras) {
    news.push({ type: "added", key, stage, now: at.now });
    if (isWarm) news.push({ type: "warm", key, now: at.now });
  }
  for (const event of news) next = inTeam(next, event, at, effects).state;
  for (const key of teamMembers(next).keys()) next = withEnd(next, key, at, effects);
  return inTeam(next, { type: "begin" }, at, effects);
}

/** A node beside the holders is ready: see the event `warm`. */
export function warmed(
  state: NetworkState,
  key: SessionKey,
  { step, sumRound }: Pick<Extract<RunMessage, { type: "ready" }>, "step" | "sumRound">,
  at: Moment,
  effects: Effect[],
): TeamOutcome {
  const extra = state.team?.extras.get(key);
  if (extra !== undefined)
    return { state: withExtra(state, key, { ...extra, isWarm: true }), evaluated: [], ended: null };
  const has = { ...(step !== undefined && { step }), ...(sumRound !== undefined && { sumRound }) };
  return inTeam(state, { type: "warm", key, ...has }, at, effects);
}

/** A node has gone or cannot go on: another replica takes its place, where there is one. */
export function leaveTeam(
  before: NetworkState,
  key: SessionKey,
  code: string,
  at: Moment,
  effects: Effect[],
): TeamOutcome {
  const { team } = before;
  if (team === null) return { state: before, evaluated: [], ended: null };
  const extras = new Map(team.extras);
  extras.delete(key);
  const outcome = inTeam({ ...before, team: { ...team, extras } }, { type: "gone", key, code }, at, effects);
  if ((outcome.state.team?.run ?? null) === null) tellMembers(outcome.state, effects);
  return outcome;
}

/** The holder of a stage is one of its live replicas: who speaks for it. */
function withLiveHolder(state: NetworkState, index: number): NetworkState {
  const run = state.team?.run ?? null;
  const holder = state.stages[index]?.holder ?? null;
  if (run === null || (holder !== null && run.members.get(holder)?.phase === "live")) return state;
  const other = [...run.members].find(([, { stage, phase }]) => stage === index && phase === "live");
  const node = other === undefined ? undefined : state.nodes.get(other[0]);
  if (node === undefined) return state;
  const known = new Set(node.claims.get(index)?.map(({ step }) => step));
  const savedHere = state.stages[index]?.savedHere.filter((step) => known.has(step)) ?? [];
  return withStage(state, index, { holder: node.sessionKey, lastHolder: node, savedHere });
}

export function nextTeamWake(state: NetworkState): number | null {
  const run = state.team?.run ?? null;
  if (run === null) return null;
  const times = [...bareUntil(state).map(({ until }) => until), nextReplicaWake(run) ?? Infinity];
  const next = Math.min(...times);
  return next === Infinity ? null : next;
}

/** Feeds the replicas' machine, and takes over into the network's state what it says. */
export function inTeam(
  before: NetworkState,
  event: Untimed<ReplicaEvent>,
  at: Moment,
  effects: Effect[],
): TeamOutcome {
  const { team } = before;
  if (team === null || team.run === null) return { state: before, evaluated: [], ended: null };
  const outcome = applyUngiven({ ...event, now: at.now } as ReplicaEvent, team.run);
  let state: NetworkState = { ...before, team: { ...team, run: outcome.run } };
  const evaluated: { step: number; loss: number }[] = [];
  let ended: TeamNews["ended"] = null;
  for (const effect of outcome.effects) {
    if (effect.type === "evaluated") evaluated.push(effect);
    else if (effect.type !== "ended") state = taken(state, effect, at, effects);
    else {
      const waiting = stoodBy(state, effect, at);
      if (waiting === null) ended ??= effect;
      else state = waiting;
    }
  }
  for (const index of state.stages.keys()) state = withLiveHolder(state, index);
  state = withoutPast(state, at);
  return { state, evaluated, ended: ended ?? tooLong(state, at) };
}

/** Nobody has come in time for a stage that nobody holds. */
function tooLong(state: NetworkState, { now }: Moment): TeamNews["ended"] {
  return bareUntil(state).find(({ until }) => now >= until) ?? null;
}

/** In the next step others may hold the stage: who comes is one of them. */
function withoutPast(state: NetworkState, { now }: Moment): NetworkState {
  const { team } = state;
  const run = team?.run ?? null;
  if (team === null || run === null || [...team.bare.values()].every(({ step }) => step === run.step))
    return state;
  // Whose stage had taken the step when it went, is waited for in the next one.
  const bare = new Map(
    [...team.bare].flatMap(([stage, each]) => {
      if (each.step === run.step) return [[stage, each]];
      return isBare(run, stage) ? [[stage, { ...each, step: run.step, until: now + bareMs(run) }]] : [];
    }),
  );
  return { ...state, team: { ...team, bare } };
}

function taken(
  state: NetworkState,
  effect: Exclude<ReplicaEffect, { type: "evaluated" | "ended" }>,
  at: Moment,
  effects: Effect[],
): NetworkState {
  switch (effect.type) {
    case "send":
    case "ask":
      effects.push(effect);
      return state;
    case "members":
      tellMembers(state, effects);
      return state;
    case "fenced":
      return noted(fenced(state, effect.stage, effect.code), effect, at, effects);
    case "moving":
      return recovered(state, effect.ms, effects);
    case "closed":
      return closed(state, effect, effects);
    case "stepped": {
      const losses =
        effect.loss === null ? state.losses : new Map(state.losses).set(effect.step, effect.loss);
      const { generation } = state;
      const row = { kind: "shares", generation, step: effect.step - 1, stages: effect.shares } as const;
      effects.push({ type: "store", row });
      // The step may not be counted twice: every stage has said that it took it.
      return finishSteps({ ...state, losses, nextGrant: effect.step + 1 }, at, effects);
    }
  }
}

function fenced(state: NetworkState, stage: number, code: string): NetworkState {
  const text = `A computer of slice ${stage + 1} was put aside: ${code}.`;
  const times = state.lastTrouble?.text === text ? state.lastTrouble.times + 1 : 1;
  if (isPlanned(code)) return state;
  return { ...state, lastTrouble: { text, times } };
}

/** Who has left the network is not put aside. */
function noted(
  state: NetworkState,
  { key, stage, code }: Extract<ReplicaEffect, { type: "fenced" }>,
  { date }: Moment,
  effects: Effect[],
): NetworkState {
  const node = state.nodes.get(key);
  if (node === undefined || isPlanned(code)) return state;
  const { sessionKey, hotkey } = node;
  // SECURITY: it is shown in a terminal, and may be the computer's own word.
  const why = code.replaceAll(/[^\x20-\x7e]/g, "?");
  const said = { hotkey, sessionKey, stage, step: state.step, code: why, at: Math.max(0, Math.round(date)) };
  const putAside = withPutAside(state.putAside, said);
  effects.push({ type: "putAside", news: putAside[0] });
  return { ...state, putAside };
}

function recovered(state: NetworkState, lastRecoveryMs: number, effects: Effect[]): NetworkState {
  const recoveries = state.recoveries + 1;
  effects.push({ type: "store", row: { kind: "recovery", recoveries, lastRecoveryMs } });
  return { ...state, recoveries, lastRecoveryMs };
}

function closed(
  before: NetworkState,
  { stage, agreed, by }: Extract<ReplicaEffect, { type: "closed" }>,
  effects: Effect[],
): NetworkState {
  const { step, digest, link } = agreed;
  let state = before;
  const last = before.stages[stage]?.saves.get(step - 1);
  // In their memory; the others are on their disks.
  const held = [{ step, digest }, ...(last === undefined ? [] : [{ step: step - 1, digest: last }])];
  for (const key of by)
    state = withClaims(state, key, stage, (claims) =>
      [...held, ...claims.filter((each) => each.step < step - 1)].slice(0, MOST_CLAIMS),
    );
  effects.push({ type: "link", step, stage, link });
  return saved(withStage(state, stage, { stepped: step }), stage, agreed, effects);
}

function withExtra(state: NetworkState, key: SessionKey, extra: Extra): NetworkState {
  const { team } = state;
  if (team === null || team.run !== null) return state;
  return { ...state, team: { ...team, extras: new Map(team.extras).set(key, extra) } };
}

/** Everybody hears who is near. */
export function tellMembers(state: NetworkState, effects: Effect[]): void {
  const members = teamMembers(state);
  const at = (stage: number, except: SessionKey): ReplicaPeer[] =>
    [...members].flatMap(([key, index]) => {
      const node = state.nodes.get(key);
      if (index !== stage || key === except || node === undefined) return [];
      return [{ ...peerOf(node), live: takesWork(state, key) }];
    });
  for (const [key, stage] of members)
    effects.push({
      type: "send",
      to: key,
      message: {
        type: "members",
        generation: state.generation,
        ...(state.team?.run?.leaving.has(key) === true && { leaving: true }),
        previous: at(stage - 1, key),
        own: at(stage, key),
        next: at(stage + 1, key),
      },
    });
}

/** Micro-batches may go to it. */
function takesWork({ team }: NetworkState, key: SessionKey): boolean {
  const run = team?.run ?? null;
  return run?.members.get(key)?.phase === "live" && !run.leaving.has(key);
}

function peerOf({ sessionKey, linkAddress: address, otherAddresses }: NetworkNode): PeerAddress {
  return { sessionKey, address, ...(otherAddresses.length > 0 && { others: [...otherAddresses] }) };
}
