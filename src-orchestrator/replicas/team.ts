import type { PeerAddress, ReplicaPeer } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { canHold } from "../runs/placement.ts";
import { teamMembers, withClaims, withStage } from "../runs/network-state.ts";
import type { Effect, Moment, NetworkNode, NetworkState } from "../runs/network-state.ts";
import { finishSteps, saved } from "../runs/progress.ts";
import { applyToReplicas, nextReplicaWake, replicaRun } from "./replica-machine.ts";
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
}

interface Extra {
  readonly stage: number;
  readonly isWarm: boolean;
}

/** Snapshots on a node's disk. */
const SLOTS = 3;

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

/** Every node without a stage gets the one that has the least, of those that it has the memory for. */
export function fillTeam(before: NetworkState, at: Moment, effects: Effect[]): NetworkState {
  const { team, mostReplicas } = before;
  if (team === null || before.phase === "finished" || before.phase === "waiting") return before;
  const members = teamMembers(before);
  let state = before;
  const added: SessionKey[] = [];
  for (const node of before.nodes.values()) {
    if (members.has(node.sessionKey)) continue;
    const stage = poorest(state, node, members, mostReplicas);
    if (stage === null) continue;
    members.set(node.sessionKey, stage);
    added.push(node.sessionKey);
    state = withExtra(state, node.sessionKey, { stage, isWarm: false });
    effects.push(
      {
        type: "store",
        row: {
          kind: "replica",
          generation: state.generation,
          stage,
          sessionKey: node.sessionKey,
          hotkey: node.hotkey,
        },
      },
      {
        type: "send",
        to: node.sessionKey,
        message: {
          type: "assign",
          generation: state.generation,
          run: state.run,
          stage,
          resumeStep: state.step,
          resumeDigest: null,
          checkpointSha256: null,
          previous: null,
          next: null,
          joins: true,
        },
      },
    );
  }
  if (added.length === 0) return state;
  if ((state.team?.run ?? null) === null) {
    tellMembers(state, effects);
    return state;
  }
  let next = state;
  for (const key of added) {
    const stage = members.get(key);
    if (stage !== undefined) next = inTeam(next, { type: "added", key, stage }, at, effects).state;
  }
  return next;
}

/** Fewest computers first; what they can do is not measured across stages, whose work differs. */
function poorest(
  state: NetworkState,
  node: NetworkNode,
  members: ReadonlyMap<SessionKey, number>,
  most: number,
): number | null {
  let best: { stage: number; count: number } | null = null;
  for (const stage of state.stages.keys()) {
    const count = [...members.values()].filter((each) => each === stage).length;
    if (count >= most || !canHold(node, state.needs[stage] ?? 0)) continue;
    if (best === null || count < best.count) best = { stage, count };
  }
  return best?.stage ?? null;
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
    now: at.now,
  });
  const { extras } = team;
  let next: NetworkState = { ...state, team: { run: started, extras: new Map() } };
  const news: ReplicaEvent[] = [];
  for (const [key, { stage, isWarm }] of extras) {
    news.push({ type: "added", key, stage, now: at.now });
    if (isWarm) news.push({ type: "warm", key, now: at.now });
  }
  for (const event of news) next = inTeam(next, event, at, effects).state;
  return inTeam(next, { type: "begin" }, at, effects);
}

/** A node beside the holders is ready. */
export function warmed(state: NetworkState, key: SessionKey, at: Moment, effects: Effect[]): TeamOutcome {
  const extra = state.team?.extras.get(key);
  if (extra !== undefined)
    return { state: withExtra(state, key, { ...extra, isWarm: true }), evaluated: [], ended: null };
  return inTeam(state, { type: "warm", key }, at, effects);
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

export function nextTeamWake({ team }: NetworkState): number | null {
  const run = team?.run ?? null;
  return run === null ? null : nextReplicaWake(run);
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
  const outcome = applyToReplicas({ ...event, now: at.now } as ReplicaEvent, team.run);
  let state: NetworkState = { ...before, team: { ...team, run: outcome.run } };
  const evaluated: { step: number; loss: number }[] = [];
  let ended: TeamNews["ended"] = null;
  for (const effect of outcome.effects) {
    if (effect.type === "evaluated") evaluated.push(effect);
    else if (effect.type === "ended") ended ??= effect;
    else state = taken(state, effect, at, effects);
  }
  for (const index of state.stages.keys()) state = withLiveHolder(state, index);
  return { state, evaluated, ended };
}

function taken(
  state: NetworkState,
  effect: Exclude<ReplicaEffect, { type: "evaluated" | "ended" }>,
  at: Moment,
  effects: Effect[],
): NetworkState {
  switch (effect.type) {
    case "send":
      effects.push(effect);
      return state;
    case "members":
      tellMembers(state, effects);
      return state;
    case "fenced":
      return fenced(state, effect.stage, effect.code);
    case "moving":
      return recovered(state, effect.ms, effects);
    case "closed":
      return closed(state, effect, effects);
    case "stepped": {
      const losses =
        effect.loss === null ? state.losses : new Map(state.losses).set(effect.step, effect.loss);
      // The step may not be counted twice: every stage has said that it took it.
      return finishSteps({ ...state, losses, nextGrant: effect.step + 1 }, at, effects);
    }
  }
}

function fenced(state: NetworkState, stage: number, code: string): NetworkState {
  const text = `A replica of stage ${stage + 1} was put aside: ${code}.`;
  const times = state.lastTrouble?.text === text ? state.lastTrouble.times + 1 : 1;
  if (code === "drained") return state;
  return { ...state, lastTrouble: { text, times } };
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
  for (const key of by)
    state = withClaims(state, key, stage, (claims) =>
      [{ step, digest }, ...claims.filter((each) => each.step !== step)].slice(0, SLOTS),
    );
  effects.push({ type: "link", step, stage, link });
  return saved(withStage(state, stage, { stepped: step }), stage, step, digest, effects);
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
      return [{ ...peerOf(node), live: state.team?.run?.members.get(key)?.phase === "live" }];
    });
  for (const [key, stage] of members)
    effects.push({
      type: "send",
      to: key,
      message: {
        type: "members",
        generation: state.generation,
        previous: at(stage - 1, key),
        own: at(stage, key),
        next: at(stage + 1, key),
      },
    });
}

function peerOf({ sessionKey, linkAddress: address, otherAddresses }: NetworkNode): PeerAddress {
  return { sessionKey, address, ...(otherAddresses.length > 0 && { others: [...otherAddresses] }) };
}
