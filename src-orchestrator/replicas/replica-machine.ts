import { shardCount } from "../../src-protocol/sum-shards.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { firstOpen, openCells } from "../routing/cells.ts";
import { applyToStep, cellOf, openStep, ownerAt } from "../routing/step-book.ts";
import type { StepBook, StepEffect, StepEvent } from "../routing/step-book.ts";
import { judgeAccusation } from "./accusation.ts";
import { ADOPT_STALL_MS, adopt, adopted, mayJoin, mayTakeOver, tellTake, warm } from "./adoption.ts";
import { averaged, evaluationPatienceMs, hopsAt, lateAt, whoIsLate } from "./lateness.ts";
import { valueAt, withValue } from "./by-micro-batch.ts";
import { endingAt, nextEnding } from "./leaving.ts";
import { answeredBy, ask, heardFrom, lookAround, nextLook, stoodStill, toAsk } from "./liveness.ts";
import { again, evaluationOf, lossOf, measured, withLoss } from "./losses.ts";
import { isSameSet, liveKeys, paused, pauseMs, withMember, without } from "./members.ts";
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
import { judgeSums, sharesOf, tiesAgreed } from "./told-sums.ts";

/** What belongs to one round of sums. */
const NO_SUMS: Pick<ReplicaRun, "signed" | "orders" | "totals" | "tiedSums" | "ties" | "lacking"> = {
  signed: new Map(),
  orders: [],
  totals: new Map(),
  tiedSums: new Map(),
  ties: [],
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
    losses: [],
    hops: [],
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
    isUngiven: false,
    usual: { hop: null, phase: null, step: null },
    agreed: options.agreed,
    told: new Map(),
  };
}

export function applyToReplicas(event: ReplicaEvent, run: ReplicaRun): ReplicaOutcome {
  const outcome = applyUngiven(event, run);
  if (!outcome.run.isUngiven) return outcome;
  const given = applyUngiven({ type: "give", now: event.now }, outcome.run);
  return { run: given.run, effects: [...outcome.effects, ...given.effects] };
}

/** As `applyToReplicas`, but that nobody is given anything of a step that this has opened: who is moved now has no part in it. */
export function applyUngiven(event: ReplicaEvent, before: ReplicaRun): ReplicaOutcome {
  const effects: ReplicaEffect[] = [];
  const run = before.isUngiven ? { ...before, isUngiven: false } : before;
  const next = settle(handle(event, run, effects), run.book, event.now, effects);
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
        ...(event.resumes !== undefined && { resumes: event.resumes }),
      });
    case "warm":
      return warm(run, event, effects);
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
    case "give":
      return run;
    case "tick":
      return tick(run, now, effects);
  }
}

/** What follows from what is true now, whatever changed it. */
function settle(before: ReplicaRun, book: StepBook, now: number, effects: ReplicaEffect[]): ReplicaRun {
  const ending = { ...before, ...endingAt(before, now) };
  if (!isSameSet(ending.leaving, before.leaving)) effects.push({ type: "members" });
  let run = adopt(ending, now, effects);
  run = release(run, now, effects);
  if (!run.isUngiven) run = lease(run, now, effects);
  return hopsAt(run, book, now);
}

/** When a `tick` would change something; null: nothing waits. */
export function nextReplicaWake(run: ReplicaRun): number | null {
  const times: number[] = [];
  for (const [key, member] of run.members) {
    if (member.phase === "adopting") times.push(member.since + ADOPT_STALL_MS);
    const isDue = run.agreed[member.stage]?.step === run.step && mayJoin(run);
    if (member.phase === "warm" && isDue && mayTakeOver(run, key)) times.push(member.notBefore);
  }
  if (run.isUngiven) times.push(run.openedAt);
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
  if (message.type === "accuse") {
    const verdict = judgeAccusation(run, key, member, message);
    if (verdict.type === "paused") return withMember(verdict.run, key, paused(member, now));
    return verdict.type === "fence" ? fence(verdict.run, verdict.key, verdict.code, now, effects) : run;
  }
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
          ? withLoss(run.losses, microBatch, key, loss)
          : run.losses;
      // It may have been on its way when the step was over.
      if (step < run.step) return run;
      const cell = cellOf(run.book, stage, microBatch);
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
    case "measured": {
      const told = measured(run, stage, message);
      if (told.loss !== null) effects.push({ type: "evaluated", step: run.step, loss: told.loss });
      return told.run;
    }
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
          ...(effect.isAgain && { isAgain: true }),
        },
      });
      return { ...run, asking: without(run.asking, effect.to) };
    }
    case "given": {
      const { to, microBatch, from, heldBy, isAgain } = effect;
      const { generation } = run.signs;
      effects.push({
        type: "send",
        to,
        message: {
          type: "yours",
          generation,
          step: run.step,
          microBatch,
          from,
          heldBy,
          ...(isAgain && { isAgain }),
        },
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
      const next = { ...run, ties: tiesAgreed(run), phaseSince: now };
      for (const [key, { phase }] of run.members) if (phase === "live") tellTake(next, key, effects);
      return next;
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
  return {
    ...before,
    step,
    book: openStep(step, isLast ? 0 : microBatches, live),
    evaluation: isDue ? evaluationOf(count, now) : null,
    losses: [],
    hops: [],
    accused: new Map(),
    ...NO_SUMS,
    disputed: new Map(),
    told: new Map(),
    isHeld: false,
    phaseSince: now,
    openedAt: now,
  };
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
    const head = run.book.stages[0];
    const isOpen = head !== undefined && firstOpen(head.cells) !== null;
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
    const sums = sharesOf(run.book.stages[stage]?.cells ?? openCells(0));
    const message = { generation, step: run.step, round, sums, ...order, live: [...order.live] };
    for (const key of order.live)
      effects.push({ type: "send", to: key, message: { type: "commit", ...message } });
  }
  const next = { ...run, ...NO_SUMS, members, round, orders, isHeld: false, phaseSince: now };
  // Also to know how long an answer takes at a step's end.
  return ask(next, toAsk(next, liveKeys(next).flat()), now, effects);
}

function summed(
  run: ReplicaRun,
  key: SessionKey,
  stage: number,
  message: Extract<ReplicaMessage, { type: "summed" }>,
  now: number,
  effects: ReplicaEffect[],
): ReplicaRun {
  const verdict = judgeSums(run, key, stage, message);
  switch (verdict.type) {
    case "nothing":
      return run;
    case "fence":
      return fence(run, verdict.key, verdict.code, now, effects);
    case "summed":
      return book(verdict.run, { type: "summed", stage, by: key }, now, effects);
    case "split":
      return resummed(verdict.run);
    case "liars":
      return verdict.liars.reduce(
        (next, liar) => fence(next, liar, "wrong-sum", now, effects),
        resummed(verdict.run),
      );
  }
}

/** The sums are asked for once more. */
function resummed(run: ReplicaRun): ReplicaRun {
  if (!run.book.isCommitted || run.book.isTaken) return run;
  return { ...run, book: applyToStep({ type: "resum" }, run.book).book, isHeld: true };
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
  const shares = run.book.stages.map(({ cells }) => sharesOf(cells));
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
  return { ...open(retired({ ...gone, members, usual }, effects), step, now, effects), isUngiven: true };
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

function tick(before: ReplicaRun, now: number, effects: ReplicaEffect[]): ReplicaRun {
  let run = before;
  for (const { replica, code, microBatches, accusers } of whoIsLate(before, now)) {
    const accused = new Map(run.accused);
    for (const key of accusers) accused.set(key, new Set([...(accused.get(key) ?? []), replica]));
    let { hops } = run;
    for (const at of microBatches) {
      const hop = valueAt(hops, at);
      if (hop !== undefined) hops = withValue(hops, at, { ...hop, late: hop.late + 1 });
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
