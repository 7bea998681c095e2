import { sumText } from "../../src-protocol/control.ts";
import { addersOf, shardCount } from "../../src-protocol/sum-shards.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import { applyToStep, openStep, ownerAt } from "../routing/step-book.ts";
import type { StepEffect, StepEvent } from "../routing/step-book.ts";
import type {
  Agreed,
  Member,
  ReplicaEffect,
  ReplicaEvent,
  ReplicaMessage,
  ReplicaOutcome,
  ReplicaRun,
  SumOrder,
} from "./replica-run.ts";
import { averaged, evaluationPatienceMs, hopsAt, lateAt, whoIsLate } from "./lateness.ts";
import { endingAt, nextEnding } from "./leaving.ts";
import { answeredBy, askedFor, heardFrom, lookAround, nextLook, stoodStill, toAsk } from "./liveness.ts";

/** A replica that was fenced is given the state again after so long, twice as long each time in a row. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** A step waits so long for a replica that takes over the state and gets no more of it. */
const ADOPT_STALL_MS = 5_000;

/** What belongs to one round of sums. */
const NO_SUMS: Pick<ReplicaRun, "signed" | "orders" | "totals" | "tiedSums" | "lacking"> = {
  signed: new Map(),
  orders: [],
  totals: new Map(),
  tiedSums: new Map(),
  lacking: new Map(),
};

/** It left on purpose, or was given another stage: that is no loss that has to be caught up. */
export function isPlanned(code: string): boolean {
  return code === "drained" || code === "moved";
}

/** Everything at `step`, which begins with the event `begin`. `live`: who has loaded its state, by stage. */
export function replicaRun(options: {
  readonly run: ReplicaRun["run"];
  readonly signs: ReplicaRun["signs"];
  readonly step: number;
  readonly live: readonly (readonly SessionKey[])[];
  readonly agreed: readonly (Agreed | null)[];
  readonly evaluatedStep: number;
  /** Left out: no stage does. */
  readonly tied?: ReadonlySet<number>;
  readonly now: number;
}): ReplicaRun {
  const { run, signs, step, live, now } = options;
  const members = new Map<SessionKey, Member>();
  for (const [stage, keys] of live.entries())
    for (const key of keys) members.set(key, { stage, phase: "live", faults: 0, notBefore: 0, since: now });
  return {
    run,
    stages: live.length,
    tied: options.tied ?? new Set(),
    signs,
    members,
    step,
    book: openStep(step, run.microBatches, live),
    asking: new Set(),
    evaluation: null,
    evaluatedStep: options.evaluatedStep,
    losses: new Map(),
    hops: new Map(),
    accused: new Map(),
    round: 0,
    ...NO_SUMS,
    disputed: new Map(),
    isHeld: false,
    phaseSince: now,
    lost: null,
    redone: { byLostStages: 0, byOthers: 0 },
    paces: new Map(),
    lives: new Map(),
    silent: new Set(),
    ends: new Map(),
    nearEnd: new Set(),
    leaving: new Set(),
    openedAt: now,
    usual: { hop: null, phase: null, step: null },
    agreed: options.agreed,
    told: new Map(),
  };
}

export function applyToReplicas(event: ReplicaEvent, run: ReplicaRun): ReplicaOutcome {
  const effects: ReplicaEffect[] = [];
  const next = settle(handle(event, run, effects), event.now, effects);
  return { run: next, effects };
}

function handle(event: ReplicaEvent, run: ReplicaRun, effects: ReplicaEffect[]): ReplicaRun {
  const { now } = event;
  switch (event.type) {
    case "begin":
      effects.push({ type: "members" });
      // Also to know how long an answer takes when nothing is wrong.
      return open(ask(run, liveKeys(run).flat(), now, effects), run.step, now, effects);
    case "added":
      effects.push({ type: "members" });
      return withMember(run, event.key, {
        stage: event.stage,
        phase: "loading",
        faults: 0,
        notBefore: 0,
        since: now,
      });
    case "warm": {
      const member = run.members.get(event.key);
      return member?.phase === "loading" ? withMember(run, event.key, { ...member, phase: "warm" }) : run;
    }
    case "gone":
      return gone(run, event.key, event.code, now, effects);
    case "ends": {
      const ends = new Map(run.ends);
      if (event.at === null || !run.members.has(event.key)) ends.delete(event.key);
      else ends.set(event.key, event.at);
      return { ...run, ends };
    }
    case "stood":
      return stoodStill(run, event.key);
    case "alive":
      return run.members.has(event.key) ? back(answeredBy(run, event.key, now), event.key, now) : run;
    case "message":
      if (!run.members.has(event.key)) return run;
      return heard(
        back(heardFrom(run, event.key, now), event.key, now),
        event.key,
        event.message,
        now,
        effects,
      );
    case "tick":
      return tick(run, now, effects);
  }
}

/** What follows from what is true now, whatever changed it. */
function settle(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const ending = { ...before, ...endingAt(before, now) };
  if (!isSameSet(ending.leaving, before.leaving)) effects.push({ type: "members" });
  let run = adopt(ending, now, effects);
  run = release(run, now, effects);
  run = lease(run, now, effects);
  return hopsAt(run, now);
}

/** When a `tick` would change something; null: nothing waits. */
export function nextReplicaWake(run: ReplicaRun): number | null {
  const times: number[] = [];
  for (const [key, member] of run.members) {
    if (member.phase === "adopting") times.push(member.since + ADOPT_STALL_MS);
    const isDue = run.agreed[member.stage]?.step === run.step && mayJoin(run);
    if (member.phase === "warm" && isDue && mayTakeOver(run, key)) times.push(member.notBefore);
  }
  for (const at of [lateAt(run), nextLook(run), nextEnding(run)]) if (at !== null) times.push(at);
  return times.length === 0 ? null : Math.min(...times);
}

function heard(
  run: ReplicaRun,
  key: SessionKey,
  message: ReplicaMessage,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  const member = run.members.get(key);
  if (member === undefined) return run;
  const { stage } = member;
  if (message.type === "adopted") return adopted(run, key, member, message.step, now, effects);
  if (message.type === "loading")
    return member.phase === "adopting" ? withMember(run, key, { ...member, since: now }) : run;
  if (message.type === "accuse") return accused(run, key, member, message, now, effects);
  if (member.phase !== "live") return run;
  switch (message.type) {
    case "ask":
      return stage === 0 ? { ...run, asking: new Set([...run.asking, key]) } : run;
    case "routed": {
      const { step, microBatch, to } = message;
      if (step !== run.step) return run;
      const event = { type: "routed", stage: stage + 1, microBatch, by: key, to } as const;
      return book(run, event, now, effects);
    }
    case "counted": {
      const { step, microBatch, loss } = message;
      const losses =
        stage === run.stages - 1 && loss !== null && step === run.step
          ? new Map(run.losses).set(`${microBatch}/${key}`, loss)
          : run.losses;
      // It may have been on its way when the step was over.
      if (step < run.step) return run;
      const cell = run.book.stages[stage]?.cells[microBatch];
      const isAgain = cell?.isCounted === true && step === run.step;
      const redone = isAgain ? { ...run.redone, byOthers: run.redone.byOthers + 1 } : run.redone;
      const event = { type: "counted", step, stage, microBatch, by: key } as const;
      return moving(book({ ...run, losses, redone }, event, now, effects), stage, now, effects);
    }
    case "summed":
      return summed(run, key, stage, message, now, effects);
    case "lacking":
      if (message.step !== run.step || message.round !== run.round) return run;
      return { ...run, lacking: new Map(run.lacking).set(key, message.of) };
    case "saved": {
      if (message.step !== run.step + 1) return run;
      const { digest, link, stateSha256 } = message;
      if (stateSha256 === null) return fence(run, key, "no-digest", now, effects);
      const told = new Map(run.told).set(key, { digest, link, stateSha256 });
      const result = `${stateSha256} ${digest}`;
      return book({ ...run, told }, { type: "result", stage, by: key, digest: result }, now, effects);
    }
    case "measured":
      return measured(run, stage, message, effects);
  }
}

/** The stage that had lost a replica, or (null) the whole step, has gone on. */
function moving(run: ReplicaRun, stage: number | null, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const { lost } = run;
  if (lost === null || (stage !== null && stage !== lost.stage)) return run;
  effects.push({ type: "moving", ms: now - lost.at });
  return { ...run, lost: null };
}

/** Nothing of it counts, and what it owned is given to others of its stage. It stays a member and comes back with a later step. */
function fence(
  run: ReplicaRun,
  key: SessionKey,
  code: string,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  return book(run, { type: "lost", replica: key, code }, now, effects);
}

function gone(
  run: ReplicaRun,
  key: SessionKey,
  code: string,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  if (!run.members.has(key)) return run;
  const fenced = fence(run, key, code, now, effects);
  const members = new Map(fenced.members);
  const paces = new Map(fenced.paces);
  const lives = new Map(fenced.lives);
  const ends = new Map(fenced.ends);
  ends.delete(key);
  members.delete(key);
  paces.delete(key);
  lives.delete(key);
  effects.push({ type: "members" });
  return { ...fenced, members, paces, lives, ends, silent: without(fenced.silent, key) };
}

function ask(
  run: ReplicaRun,
  keys: readonly SessionKey[],
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  for (const to of keys) effects.push({ type: "ask", to });
  return keys.reduce((next, key) => askedFor(next, key, now), run);
}

/** It gives no sign of life: others of its stage do its part, and it is given nothing until it does. */
function silenced(run: ReplicaRun, key: SessionKey, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const member = run.members.get(key);
  if (member === undefined) return run;
  if (member.phase === "adopting")
    return { ...withMember(run, key, paused(member, now)), silent: new Set([...run.silent, key]) };
  // Nobody else has the state: its connection decides whether it is gone.
  if ((run.book.stages[member.stage]?.live.size ?? 0) < 2) return ask(run, [key], now, effects);
  const next = fence(run, key, "silent", now, effects);
  return { ...next, silent: new Set([...next.silent, key]) };
}

/** Who was silent is given something again after its pause. */
function back(run: ReplicaRun, key: SessionKey, now: number): ReplicaRun {
  const member = run.members.get(key);
  if (member === undefined || !run.silent.has(key)) return run;
  const notBefore = now + pauseMs(member.faults - 1);
  return withMember({ ...run, silent: without(run.silent, key) }, key, { ...member, notBefore });
}

/** Feeds the book, and does what it wants. */
function book(run: ReplicaRun, event: StepEvent, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const outcome = applyToStep(event, run.book);
  let next: ReplicaRun = { ...run, book: outcome.book };
  for (const effect of outcome.effects) next = perform(next, effect, now, effects);
  const isFenced = outcome.effects.some(({ type }) => type === "fenced");
  for (const effect of outcome.effects) if (effect.type === "fenced") tellFenced(run, effect, effects);
  if (isFenced) effects.push({ type: "members" });
  return next;
}

function perform(run: ReplicaRun, effect: StepEffect, now: number, effects: ReplicaEffect[]): ReplicaRun {
  switch (effect.type) {
    case "leased": {
      const heldBy = ownerAt(run.book, 1, effect.microBatch);
      effects.push({
        type: "send",
        to: effect.to,
        message: {
          type: "lease",
          generation: run.signs.generation,
          step: run.step,
          microBatch: effect.microBatch,
          pass: "forward",
          heldBy,
        },
      });
      return { ...run, asking: without(run.asking, effect.to) };
    }
    case "given": {
      const { to, microBatch, from, heldBy } = effect;
      const { generation } = run.signs;
      effects.push({
        type: "send",
        to,
        message: { type: "yours", generation, step: run.step, microBatch, from, heldBy },
      });
      return run;
    }
    case "fenced":
      return fenced(run, effect.replica, effect.code, now, effects);
    case "redo": {
      const { byLostStages, byOthers } = run.redone;
      return { ...run, redone: { byLostStages: byLostStages + 1, byOthers } };
    }
    case "reopened":
      return run;
    case "commit":
      // Sent when nobody takes over the state any more: see `release`.
      return { ...run, isHeld: true, phaseSince: now };
    case "take": {
      const ties = tiesAgreed(run);
      for (const [key, { phase }] of run.members)
        if (phase === "live")
          effects.push({
            type: "send",
            to: key,
            message: {
              type: "take",
              generation: run.signs.generation,
              step: run.step,
              ...(ties.length > 0 && { ties }),
            },
          });
      return { ...run, phaseSince: now };
    }
    case "reload":
      return fence(run, effect.replica, "other-result", now, effects);
    case "disagreed":
      effects.push({ type: "ended", stage: effect.stage, code: "results-differ" });
      return run;
    case "closed":
      return closed(run, effect.stage, effect.digest, now, effects);
  }
}

function fenced(
  run: ReplicaRun,
  key: SessionKey,
  code: string,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  const member = run.members.get(key);
  if (member === undefined) return run;
  const { stage } = member;
  effects.push({ type: "fenced", key, stage, code });
  const left = withMember(run, key, paused(member, now));
  if (left.book.stages[stage]?.live.size === 0) effects.push({ type: "ended", stage, code });
  // Others may wait for what it was to add up.
  const isAdder = (left.orders[stage]?.shards ?? 1) > 1;
  const next = isAdder ? resummed(left) : left;
  return {
    ...next,
    lost: isPlanned(code) ? run.lost : (run.lost ?? { stage, at: now }),
    isHeld: next.book.isCommitted && next.isHeld,
    asking: without(run.asking, key),
    evaluation: again(next.evaluation, now),
  };
}

/** Evaluations that have not come may have been with whoever is lost: doing one twice harms nobody. */
function again(evaluation: ReplicaRun["evaluation"], now: number): ReplicaRun["evaluation"] {
  if (evaluation === null) return null;
  const { count, losses } = evaluation;
  const waiting = Array.from({ length: count }, (_, i) => i).filter((i) => !losses.has(i));
  return { ...evaluation, waiting, since: now };
}

/** Those who have to do with the stage send what it had to another one. */
function tellFenced(
  run: ReplicaRun,
  { replica, code }: Extract<StepEffect, { type: "fenced" }>,
  effects: ReplicaEffect[],
): void {
  const stage = run.members.get(replica)?.stage;
  if (stage === undefined) return;
  const { generation } = run.signs;
  for (const [key, member] of run.members) {
    const isNear = Math.abs(member.stage - stage) <= 1;
    if (!isNear || (member.phase !== "live" && key !== replica)) continue;
    effects.push({
      type: "send",
      to: key,
      message: { type: "fenced", generation, step: run.step, replica, code: code.slice(0, 64) },
    });
  }
}

function open(before: ReplicaRun, step: number, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const { steps, microBatches, evaluateEverySteps, evaluationMicroBatches: count } = before.run;
  const isLast = step === steps;
  const isDue = (isLast || step % evaluateEverySteps === 0) && step > before.evaluatedStep;
  const live = liveKeys(before);
  for (const key of live.flat())
    effects.push({
      type: "send",
      to: key,
      message: { type: "open", generation: before.signs.generation, step },
    });
  const waiting = Array.from({ length: count }, (_, i) => i);
  return {
    ...before,
    step,
    book: openStep(step, isLast ? 0 : microBatches, live),
    evaluation: isDue ? { count, waiting, losses: new Map(), since: now } : null,
    losses: new Map(),
    hops: new Map(),
    accused: new Map(),
    ...NO_SUMS,
    disputed: new Map(),
    told: new Map(),
    isHeld: false,
    phaseSince: now,
    openedAt: now,
  };
}

export function liveKeys({ members, stages }: Pick<ReplicaRun, "members" | "stages">): SessionKey[][] {
  const live: SessionKey[][] = Array.from({ length: stages }, () => []);
  for (const [key, { stage, phase }] of members) if (phase === "live") live[stage]?.push(key);
  return live.map((keys) => keys.sort());
}

/** Heads that wait get what is to be done: evaluations first, with the parameters before the step. */
function lease(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  let run = before;
  for (const key of before.asking) if (!run.leaving.has(key)) run = leaseTo(run, key, now, effects);
  return run;
}

function leaseTo(run: ReplicaRun, key: SessionKey, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const { evaluation, step } = run;
  const [microBatch, ...waiting] = evaluation?.waiting ?? [];
  if (evaluation === null || microBatch === undefined) {
    const isOpen = run.book.stages[0]?.cells.some(({ owner }) => owner === null) === true;
    return isOpen ? book(run, { type: "lease", by: key }, now, effects) : run;
  }
  const { generation } = run.signs;
  effects.push({
    type: "send",
    to: key,
    message: { type: "lease", generation, step, microBatch, pass: "evaluate", heldBy: null },
  });
  return { ...run, asking: without(run.asking, key), evaluation: { ...evaluation, waiting, since: now } };
}

/** Every micro-batch is counted: the sums are asked for, as soon as nothing has to be waited for. */
function release(run: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  if (!run.isHeld || !run.book.isCommitted || run.evaluation !== null) return run;
  const members = new Map(run.members);
  for (const [key, member] of run.members) {
    if (member.phase !== "adopting") continue;
    if (now < member.since + ADOPT_STALL_MS) return run;
    members.set(key, paused(member, now));
  }
  const round = run.round + 1;
  const { generation } = run.signs;
  const orders = run.book.stages.map(({ live }, stage): SumOrder => {
    const keys = [...live].sort();
    const isRecount = run.disputed.get(stage)?.live.join() === keys.join();
    return { live: keys, shards: shardCount(keys.length), isRecount };
  });
  for (const [stage, order] of orders.entries()) {
    const sums = sumsOf(run.book.stages[stage]?.cells ?? []);
    const message = { generation, step: run.step, round, sums, ...order, live: [...order.live] };
    for (const key of order.live)
      effects.push({ type: "send", to: key, message: { type: "commit", ...message } });
  }
  const next = { ...run, ...NO_SUMS, members, round, orders, isHeld: false, phaseSince: now };
  // Also to know how long an answer takes at a step's end.
  return ask(next, toAsk(next, liveKeys(next).flat()), now, effects);
}

/** The sums are asked for once more. */
function resummed(run: ReplicaRun): ReplicaRun {
  if (!run.book.isCommitted || run.book.isTaken) return run;
  return { ...run, book: applyToStep({ type: "resum" }, run.book).book, isHeld: true };
}

function sumsOf(
  cells: ReplicaRun["book"]["stages"][number]["cells"],
): { replica: SessionKey; microBatches: number[] }[] {
  const sums = new Map<SessionKey, number[]>();
  for (const [microBatch, { owner }] of cells.entries())
    if (owner !== null) sums.set(owner, [...(sums.get(owner) ?? []), microBatch]);
  return [...sums]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([replica, microBatches]) => ({ replica, microBatches }));
}

/** Whoever is there when the sums are asked for has part in them. */
function mayJoin({ book, isHeld }: ReplicaRun): boolean {
  return !book.isCommitted || isHeld;
}

function mayTakeOver({ silent, leaving }: ReplicaRun, key: SessionKey): boolean {
  return !silent.has(key) && !leaving.has(key);
}

/** Who is ready for it takes over the state of its stage, while the others work on the step. */
function adopt(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  if (!mayJoin(before) || before.step === before.run.steps) return before;
  let run = before;
  for (const [key, member] of before.members) {
    const { stage, phase, notBefore } = member;
    const agreed = run.agreed[stage] ?? null;
    const from = giversFor(run, key, stage);
    const isReady =
      phase === "warm" && notBefore <= now && !run.book.fenced.has(key) && mayTakeOver(run, key);
    if (!isReady || agreed === null || agreed.step !== run.step || from.length === 0) continue;
    const { step, link, stateSha256 } = agreed;
    const { generation } = run.signs;
    effects.push({
      type: "send",
      to: key,
      message: { type: "adopt", generation, step, link, stateSha256, from },
    });
    const [giver] = from;
    run = withMember(run, key, { ...member, phase: "adopting", since: now, ...(giver && { giver }) });
  }
  return run;
}

/** Who gives to the fewest newcomers first, and among those not the same one to each: the next ones give what is left. */
function giversFor({ book, members }: ReplicaRun, newcomer: SessionKey, stage: number): SessionKey[] {
  const live = [...(book.stages[stage]?.live ?? [])].sort();
  const first = Number.parseInt(newcomer.slice(0, 8), 16) % Math.max(1, live.length);
  const gives = (key: SessionKey): number =>
    [...members.values()].filter(({ phase, giver }) => phase === "adopting" && giver === key).length;
  const counts = new Map(live.map((key) => [key, gives(key)]));
  return [...live.slice(first), ...live.slice(0, first)].toSorted(
    (a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0),
  );
}

function adopted(
  run: ReplicaRun,
  key: SessionKey,
  member: Member,
  step: number,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  if (member.phase !== "adopting") return run;
  const isInTime = step === run.step && mayJoin(run) && !run.book.fenced.has(key);
  // It is told to take over the state of the next step.
  if (!isInTime) return withMember(run, key, { ...member, phase: "warm" });
  const { book } = applyToStep({ type: "joined", stage: member.stage, replica: key }, run.book);
  effects.push({ type: "members" });
  return withMember(ask({ ...run, book }, [key], now, effects), key, { ...member, phase: "live" });
}

function paused(member: Member, now: number): Member {
  const { faults } = member;
  return { ...member, phase: "warm", faults: faults + 1, notBefore: now + pauseMs(faults), since: now };
}

/** Each fault in a row doubles it. */
function pauseMs(faults: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(Math.max(0, faults), 20));
}

type Message<T extends ReplicaMessage["type"]> = Extract<ReplicaMessage, { type: T }>;

/** A replica has the whole sum: of parts that their makers, and of shards that whoever added them has signed, once. */
function summed(
  before: ReplicaRun,
  key: SessionKey,
  stage: number,
  { step, round, parts, totals: adds, tied }: Message<"summed">,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  const here = before.book.stages[stage];
  const order = before.orders[stage];
  if (step !== before.step || round !== before.round || here === undefined || order === undefined)
    return before;
  if (!before.book.isCommitted || before.isHeld || before.book.isTaken) return before;
  const due = sumsOf(here.cells).map(({ replica }) => replica);
  const areAdders = adds.every(({ by }, shard) => {
    const all = addersOf(order, shard);
    return by === (all.includes(key) ? key : all[0]);
  });
  const isDue = adds.length === (order.shards === 1 ? 0 : order.shards) && areAdders;
  if (parts.map(({ by }) => by).join() !== due.join() || !isDue)
    return fence(before, key, "wrong-sums", now, effects);
  if ((tied !== undefined) !== before.tied.has(stage)) return fence(before, key, "wrong-sums", now, effects);
  const signed = new Map(before.signed);
  const totals = new Map(before.totals);
  const told = [
    ...parts.map((part) => ({ ...part, shard: null, name: "" })),
    ...adds.map((total, shard) => ({ ...total, shard, name: `${stage}/${shard}/${total.by}` })),
  ];
  for (const { by, sha256, signature, shard, name } of told) {
    const known = shard === null ? signed.get(by) : totals.get(name);
    if (known === sha256) continue;
    const { network, runId, generation } = before.signs;
    const of = { network, runId, generation, stage, step, round, sha256, ...(shard !== null && { shard }) };
    // SECURITY: without the signature anybody could say that another one has sent two sums.
    if (!verifySession(by, sumText(of), signature)) return fence(before, key, "bad-signature", now, effects);
    if (known !== undefined) return fence(before, by, "two-sums", now, effects);
    if (shard === null) signed.set(by, sha256);
    else totals.set(name, sha256);
  }
  const tiedSums = tied === undefined ? before.tiedSums : new Map(before.tiedSums).set(key, tied);
  const run: ReplicaRun = { ...before, signed, totals, tiedSums };
  if (order.isRecount) {
    const liars = wrongAdders(run, stage, order);
    if (liars === null) return book(run, { type: "summed", stage, by: key }, now, effects);
    const disputed = new Map(run.disputed);
    disputed.delete(stage);
    const settled: ReplicaRun = { ...run, disputed };
    if (liars.length === 0) return book(settled, { type: "summed", stage, by: key }, now, effects);
    return liars.reduce((next, liar) => fence(next, liar, "wrong-sum", now, effects), resummed(settled));
  }
  if (!isSplit(run, stage, order)) return book(run, { type: "summed", stage, by: key }, now, effects);
  const dispute = { live: order.live, totals: run.totals };
  return resummed({ ...run, disputed: new Map(run.disputed).set(stage, dispute) });
}

/**
 * What each stage that holds parameters with others gives, as most of its replicas have told. Whoever told another
 * digest finds that out and has no part in the step.
 */
function tiesAgreed({ tied, tiedSums, book: { stages } }: ReplicaRun): { stage: number; sha256: string }[] {
  return [...tied].flatMap((stage) => {
    const counts = new Map<string, number>();
    for (const key of stages[stage]?.live ?? []) {
      const digest = tiedSums.get(key);
      if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    const most = [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0];
    return most === undefined ? [] : [{ stage, sha256: most[0] }];
  });
}

/** The two who add a shard have signed different totals. */
function isSplit({ totals }: ReplicaRun, stage: number, order: SumOrder): boolean {
  return Array.from({ length: order.shards }).some((_, shard) => {
    const said = addersOf(order, shard).flatMap((by) => totals.get(`${stage}/${shard}/${by}`) ?? []);
    return new Set(said).size > 1;
  });
}

/** Who has signed another total of a shard than most who add them all, now or before; null: not all have told. */
function wrongAdders(run: ReplicaRun, stage: number, order: SumOrder): SessionKey[] | null {
  const wrong = new Set<SessionKey>();
  for (let shard = 0; shard < order.shards; shard++) {
    const counts = new Map<string, number>();
    for (const by of order.live) {
      const digest = run.totals.get(`${stage}/${shard}/${by}`);
      if (digest === undefined) return null;
      counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    const [right] = [...counts].toSorted(([, a], [, b]) => b - a)[0] ?? [];
    for (const by of order.live)
      for (const round of [run.totals, run.disputed.get(stage)?.totals])
        if ((round?.get(`${stage}/${shard}/${by}`) ?? right) !== right) wrong.add(by);
  }
  return [...wrong];
}

function measured(
  run: ReplicaRun,
  stage: number,
  { step, microBatch, loss }: Message<"measured">,
  effects: ReplicaEffect[],
): ReplicaRun {
  const { evaluation } = run;
  if (stage !== run.stages - 1 || step !== run.step || evaluation === null) return run;
  if (microBatch >= evaluation.count || evaluation.losses.has(microBatch)) return run;
  const losses = new Map(evaluation.losses).set(microBatch, loss);
  if (losses.size < evaluation.count) return { ...run, evaluation: { ...evaluation, losses } };
  effects.push({ type: "evaluated", step, loss: mean(evaluation.count, (i) => losses.get(i)) });
  return { ...run, evaluation: null, evaluatedStep: step };
}

function mean(count: number, of: (index: number) => number | undefined): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += of(i) ?? Number.NaN;
  return sum / count;
}

/** What the replicas of a stage agree on is its state; with the last stage's the step is over. */
function closed(
  before: ReplicaRun,
  stage: number,
  result: string,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  const step = before.step + 1;
  if (before.agreed[stage]?.step === step) return before;
  const here = before.book.stages[stage];
  const by = [...(here?.results ?? [])].flatMap(([key, its]) => (its === result ? [key] : []));
  const told = by.map((key) => before.told.get(key)).find((each) => each !== undefined);
  if (told === undefined) return before;
  const agreed: Agreed = { step, ...told };
  effects.push({ type: "closed", stage, agreed, by });
  const run = {
    ...before,
    agreed: before.agreed.map((each, index) => (index === stage ? agreed : each)),
  };
  if (!run.agreed.every((each) => each?.step === step)) return run;
  const loss = lossOf(run);
  const gone = moving(run, null, now, effects);
  const shares = run.book.stages.map(({ cells }) => sumsOf(cells));
  effects.push({ type: "stepped", step, loss, shares });
  const members = new Map(
    [...gone.members].map(([key, member]) => [
      key,
      member.phase === "live" ? { ...member, faults: 0 } : member,
    ]),
  );
  const usual = {
    ...gone.usual,
    phase: averaged(gone.usual.phase, now - gone.phaseSince),
    step: averaged(gone.usual.step, now - gone.openedAt),
  };
  return open(retired({ ...gone, members, usual }, effects), step, now, effects);
}

/** Who leaves soon has finished what it had, and has no part in the next step. */
function retired(run: ReplicaRun, effects: ReplicaEffect[]): ReplicaRun {
  if (run.leaving.size === 0) return run;
  effects.push({ type: "members" });
  const members = new Map(
    [...run.members].map(([key, member]) => [
      key,
      run.leaving.has(key) && member.phase === "live" ? { ...member, phase: "warm" as const } : member,
    ]),
  );
  return { ...run, members };
}

function lossOf({ book: { stages }, losses, run }: ReplicaRun): number | null {
  const tail = stages.at(-1)?.cells ?? [];
  const loss = mean(run.microBatches, (i) => losses.get(`${i}/${tail[i]?.owner ?? ""}`));
  return Number.isFinite(loss) ? loss : null;
}

/** A peer's word against another's, unless the book knows better. */
function accused(
  run: ReplicaRun,
  by: SessionKey,
  member: Member,
  { step, replica, microBatch, code }: Message<"accuse">,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  if (step !== run.step) return run;
  if (replica === by) {
    if (member.phase === "adopting") return withMember(run, by, paused(member, now));
    return member.phase === "live" ? fence(run, by, code, now, effects) : run;
  }
  const its = run.members.get(replica);
  if (its?.phase !== "live" || Math.abs(its.stage - member.stage) > 1) return run;
  // Who takes the state over can say one thing only: that what it was given is not what all agreed on.
  const isTakingOver = member.phase === "adopting" && code === "wrong-state" && its.stage === member.stage;
  if (member.phase !== "live" && !isTakingOver) return run;
  let name = code;
  if (code === "not-its-micro-batch") {
    const owner = ownerAt(run.book, its.stage, microBatch ?? -1);
    if (microBatch === null || owner === null) return run;
    if (owner !== replica) return fence(run, replica, code, now, effects);
    // It owns it, and is said to have sent it to one more than it told.
    if (its.stage >= member.stage || ownerAt(run.book, member.stage, microBatch) === by) return run;
    name = "sent-to-two";
  }
  const others = run.accused.get(by) ?? new Set<SessionKey>();
  const next = { ...run, accused: new Map(run.accused).set(by, new Set([...others, replica])) };
  const alone = (stage: number): boolean => run.book.stages[stage]?.live.size === 1;
  // SECURITY: nobody can say which of the two lies. Who accuses a second one in the same step is doubted itself,
  // and so is whoever would take a stage's last replica away.
  const isLast = alone(its.stage) && (isTakingOver || !alone(member.stage));
  const isDoubted = isLast || [...others].some((key) => key !== replica);
  if (isDoubted && isTakingOver) return withMember(next, by, paused(member, now));
  return fence(next, isDoubted ? by : replica, isDoubted ? "accuses-others" : name, now, effects);
}

function tick(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  let run = before;
  for (const { replica, code, microBatches, accusers } of whoIsLate(before, now)) {
    const accused = new Map(run.accused);
    for (const key of accusers) accused.set(key, new Set([...(accused.get(key) ?? []), replica]));
    const hops = new Map(run.hops);
    for (const at of microBatches) {
      const hop = hops.get(at);
      if (hop !== undefined) hops.set(at, { ...hop, late: hop.late + 1 });
    }
    run = fence({ ...run, hops, accused }, replica, code, now, effects);
  }
  const look = lookAround(run, now);
  run = ask(run, look.ask, now, effects);
  for (const key of look.silent) run = silenced(run, key, now, effects);
  const { evaluation } = run;
  if (
    evaluation !== null &&
    evaluation.waiting.length === 0 &&
    now >= evaluation.since + evaluationPatienceMs(run)
  )
    run = { ...run, evaluation: again(evaluation, now) };
  return run;
}

function withMember(run: ReplicaRun, key: SessionKey, member: Member): ReplicaRun {
  return { ...run, members: new Map(run.members).set(key, member) };
}

function isSameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}

function without(keys: ReadonlySet<SessionKey>, key: SessionKey): ReadonlySet<SessionKey> {
  return new Set([...keys].filter((each) => each !== key));
}
