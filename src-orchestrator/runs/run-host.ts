import type { RunView } from "../../src-protocol/api.ts";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import type { GoBackQuestion } from "../../src-protocol/go-back.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { PutAside } from "../../src-protocol/operator.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { completeCheckpoints } from "../stores/checkpoints.ts";
import type { CompleteCheckpoint } from "../stores/checkpoints.ts";
import { awaitedNodes } from "./forming.ts";
import { sharedNeeds } from "./needs.ts";
import { memberStageOf, stageOf, startNetwork, teamMembers } from "./network-state.ts";
import { nextWake } from "./network.ts";
import { checkpointDue } from "./progress.ts";
import type { CheckpointMessage } from "./progress.ts";
import type { Moment, NetworkEvent, NetworkNode, NetworkState, Remembered, Row } from "./network-state.ts";
import { RunJournal } from "./run-journal.ts";
import type { JournalPorts } from "./run-journal.ts";
import { RunMemory } from "./run-memory.ts";
import type { Happened, Outcome } from "./run-memory.ts";
import { runView } from "./run-view.ts";
import type { StageFacts } from "./stage-facts.ts";
import { storeRow } from "../stores/run-store.ts";
import type { Store } from "../stores/store.ts";

export type { StageFacts };

/** A live connection to a node, as far as the run needs it. */
export interface NodeConnection {
  say(text: string): void;
  /** Tells the host that the node is `alive` as soon as it answers. */
  ask(): void;
}

type Untimed<Event> = Event extends unknown ? Omit<Event, keyof Moment> : never;
/** An event as its sender knows it: the host says when it is. */
export type Happening<Type extends NetworkEvent["type"] = NetworkEvent["type"]> = Untimed<
  Extract<NetworkEvent, { type: Type }>
>;

export type NeighbourPair = readonly [SessionKey, SessionKey];

export interface Watcher {
  changed(): void;
  point(point: HistoryPoint): void;
}

/** How long those who were there when the process before this one was killed are waited for, and a quarter of its absence. */
const GRACE_MS = 3_000;
/** More of them need longer to be let in. */
const GRACE_PER_NODE_MS = 2;
/** What was done since the journal was begun is done again by the process after this one, before it answers anybody. */
const MOST_AGAIN_MS = 500;
/** To begin it takes this part of that at most. */
const BEGINS_AT_MOST = 1 / 8;
/** The journal says so often how late it is, and is tried again where it could not be written. */
const BEAT_MS = 5_000;

/** When something is due is found out so often at most: what waits for that is a moment late. */
const WAKE_EVERY_MS = 10;

/** The living run: holds the pure network's state, carries out what it asks for, and wakes it in time. */
export class RunHost {
  readonly run: RunSpec;
  readonly facts: readonly StageFacts[];
  private readonly store: Store;
  private readonly steady: () => number;
  private readonly date: () => number;
  /** Of the network's clock. */
  readonly block: () => number;
  private readonly connections = new Map<SessionKey, NodeConnection>();
  private readonly watchers = new Set<Watcher>();
  private readonly onCheckpoints: (complete: readonly CompleteCheckpoint[]) => void;
  private readonly onForgotten: (digests: readonly string[]) => void;
  private readonly chunksSha256: (sha256: string) => string | null;
  private readonly onLink: (step: number, stage: number, link: string) => void;
  private readonly ownerOf: (hotkey: Ss58Address) => Ss58Address;
  private readonly onPutAside: (news: PutAside) => void;
  private readonly onQuestion: (detail: string) => void;
  private readonly memory: RunMemory;
  private readonly journal: RunJournal | null;
  private readonly beat: NodeJS.Timeout;
  /** Since the journal was begun, and how long that took. */
  private workMs = 0;
  private beginMs = 0;
  /** Of the network's clock before that of this process. */
  private aheadMs = 0;
  /** The network's clock stands still there: see `awaited`. */
  private heldAt: number | null = null;
  /** Nodes of before this process that are not back. That we were away makes nobody late, so nothing is late meanwhile. */
  private readonly awaited = new Set<SessionKey>();
  private graceMs = 0;
  private grace: NodeJS.Timeout | undefined;
  private wake: NodeJS.Timeout | null = null;
  private wakeSetAt = -Infinity;
  private wakeLater: NodeJS.Timeout | null = null;
  private closed = false;
  private neighboursTold: ((pairs: readonly NeighbourPair[]) => void) | null = null;
  private neighboursSaid: string | null = null;

  constructor(options: {
    store: Store;
    run: RunSpec;
    /** Of its stages. */
    facts: readonly StageFacts[];
    /** By the store. */
    remembered: () => Remembered;
    /** Milliseconds of a clock that nobody sets, and of the wall clock: see `Moment`. */
    steady: () => number;
    date: () => number;
    block: () => number;
    /** What all stages can be brought back from, at the start and whenever that changes. */
    onCheckpoints: (complete: readonly CompleteCheckpoint[]) => void;
    /** These checkpoints are no longer needed by this run. */
    onForgotten: (digests: readonly string[]) => void;
    /** What the chunks of a stored file are known by; null: not known yet. */
    chunksSha256?: (sha256: string) => string | null;
    /** A stage has saved a step that counts, and says this of its chain there. */
    onLink?: (step: number, stage: number, link: string) => void;
    /** To whom the work of a hotkey is paid; left out: to itself. */
    ownerOf?: (hotkey: Ss58Address) => Ss58Address;
    /** A replica was put aside. */
    onPutAside?: (news: PutAside) => void;
    /** The run stands still until its operator has decided. */
    onQuestion?: (detail: string) => void;
    /** How many computers may hold one stage, and of which network; left out: one. */
    replicas?: { readonly network: string; readonly most: number; readonly isAsking?: boolean };
    /** Left out: a killed process takes with it what it knows. */
    journal?: JournalPorts;
  }) {
    this.store = options.store;
    this.run = options.run;
    this.steady = options.steady;
    this.date = options.date;
    this.block = options.block;
    this.onCheckpoints = options.onCheckpoints;
    this.onForgotten = options.onForgotten;
    this.chunksSha256 = options.chunksSha256 ?? (() => null);
    this.onLink = options.onLink ?? (() => undefined);
    this.ownerOf = options.ownerOf ?? ((hotkey) => hotkey);
    this.onPutAside = options.onPutAside ?? (() => undefined);
    this.onQuestion = options.onQuestion ?? (() => undefined);
    this.facts = options.facts;
    const needs = options.facts.map(({ memoryBytes }) => memoryBytes);
    const fresh = (): NetworkState =>
      startNetwork(options.run, needs, options.remembered(), options.steady(), {
        network: "",
        most: 1,
        ...options.replicas,
        flops: options.facts.map(({ flops }) => flops),
        sums: options.facts.map(({ sumValues: values, tiedValues, boundaryBytes }) => ({
          values,
          tiedValues,
          boundaryBytes,
        })),
        tied: new Set(options.facts.flatMap(({ isTied }, stage) => (isTied ? [stage] : []))),
      });
    this.journal = options.journal === undefined ? null : new RunJournal(options.journal, fresh());
    // First what the store had not got yet.
    this.memory = this.restored() ?? this.begun(fresh());
    this.beginJournal();
    this.beat = setInterval(() => this.beats(), BEAT_MS).unref();
    this.onCheckpoints(this.complete());
    this.setWake();
  }

  private get state(): NetworkState {
    return this.memory.state;
  }

  /** The network's clock. */
  private clock(): number {
    return this.heldAt ?? this.steady() + this.aheadMs;
  }

  private begun(state: NetworkState): RunMemory {
    const kept = { state, lanes: new Map(), now: this.steady(), date: this.date() };
    return new RunMemory(kept, (message) => this.textOf(message));
  }

  /** All as it was when the process before this one was killed; null: all begins anew, from what the store has then. */
  private restored(): RunMemory | null {
    const found = this.journal?.restore(this.date(), (message) => this.textOf(message)) ?? null;
    if (found === null) return null;
    const { memory, rows } = found;
    if (!this.storesNow(rows) || memory === null) return null;
    this.heldAt = memory.now;
    for (const key of memory.state.nodes.keys()) this.awaited.add(key);
    this.graceMs = GRACE_MS + Math.abs(this.date() - memory.date) / 4 + this.awaited.size * GRACE_PER_NODE_MS;
    return memory;
  }

  /** Rows that may be there already; false: the store takes them not. */
  private storesNow(rows: readonly Row[]): boolean {
    let isStored = false;
    const write = (): void => {
      for (const row of rows) storeRow(this.store, this.run.runId, row);
      isStored = true;
    };
    this.store.write(write, rows.length).catch(() => {});
    this.store.flush();
    return isStored;
  }

  /** Whoever was there before this process was can come back from now on. */
  open(): void {
    for (const { hotkey, owner } of this.nodes()) if (this.ownerOf(hotkey) !== owner) this.bound(hotkey);
    if (this.heldAt === null) return;
    this.grace = setTimeout(() => {
      for (const sessionKey of this.awaited) this.forget(sessionKey);
      this.goOnWith(null);
    }, this.graceMs);
    this.grace.unref();
    this.goOnWith(null);
  }

  /** It is back, or was waited for long enough: when that is true of all, time goes on. */
  private goOnWith(key: SessionKey | null): void {
    if (key !== null) this.awaited.delete(key);
    if (this.heldAt === null || this.awaited.size > 0) return;
    this.aheadMs = this.heldAt - this.steady();
    this.heldAt = null;
    clearTimeout(this.grace);
    this.setWake();
  }

  private beginJournal(): void {
    if (this.journal === null) return;
    const from = this.steady();
    // What the journal says no more has to be there.
    this.store.flush();
    if (!this.store.isBroken) this.journal.begin(this.memory);
    this.workMs = 0;
    this.beginMs = this.steady() - from;
  }

  private get isJournalDue(): boolean {
    if (this.journal?.isOpen !== true) return false;
    const isLong = this.workMs > MOST_AGAIN_MS && this.beginMs < this.workMs * BEGINS_AT_MOST;
    return isLong || this.journal.isFull;
  }

  private beats(): void {
    this.happens({ type: "beat", now: this.clock(), date: this.date() });
    if (this.journal?.isOpen === false) this.beginJournal();
  }

  /** Written down before anything is done. */
  private happens(happened: Happened): Outcome {
    this.journal?.note(happened);
    const from = this.steady();
    const outcome = this.memory.take(happened);
    this.workMs += this.steady() - from;
    if (outcome.untold !== null) this.sayHeard(outcome.untold);
    return outcome;
  }

  view(): RunView {
    return runView(this.state, this.facts, this.block());
  }

  /** Bytes of memory that each stage takes of a newcomer. */
  needs(): readonly number[] {
    return this.state.mostReplicas > 1 ? sharedNeeds(this.state) : this.state.needs;
  }

  /** What its operator is asked: whether work is given up; null: nothing. */
  question(): GoBackQuestion | null {
    const { wouldResume, wouldLose } = this.state;
    if (wouldResume === null) return null;
    const awaited = awaitedNodes(this.state).map(({ node: { sessionKey, hotkey }, stage, date }) => ({
      sessionKey,
      hotkey,
      stage,
      goneAt: Math.max(0, Math.round(date)),
    }));
    return {
      resumeStep: wouldResume,
      lostSteps: wouldLose,
      ...(awaited.length > 0 && { awaited }),
    };
  }

  /** Live nodes, in the order of their arrival. */
  nodes(): readonly NetworkNode[] {
    return [...this.state.nodes.values()];
  }

  /** Replicas that were put aside, the newest first. */
  putAside(): readonly PutAside[] {
    return this.state.putAside;
  }

  /** The pipeline at work, or the last one, and how long ago it began to train. */
  pipeline(): { readonly generation: number; readonly elapsedMs: number } {
    const { generation, startedAt } = this.state;
    return { generation, elapsedMs: this.clock() - startedAt };
  }

  /**
   * The oldest step that a stage can be brought back to, by a checkpoint or by a node's own disk: work of
   * before is never done again.
   */
  oldestRestorable(): number {
    const steps = this.state.stages.flatMap(({ checkpoints, saves }) => [
      ...checkpoints.keys(),
      ...saves.keys(),
    ]);
    return steps.length === 0 ? 0 : Math.min(...steps);
  }

  isConnected(key: SessionKey): boolean {
    return this.connections.has(key);
  }

  /** The stage that a node holds now. */
  stageOf(key: SessionKey): number | null {
    return memberStageOf(this.state, key);
  }

  /** It trains its stage now; else it gets ready, or waits. */
  isLive(key: SessionKey): boolean {
    const member = this.state.team?.run?.members.get(key);
    if (member !== undefined) return member.phase === "live";
    return this.state.phase === "training" && this.stageOf(key) !== null;
  }

  /** Which stage's checkpoint this would be, of which state; null when it would change nothing. */
  checkpointDue(key: SessionKey, message: CheckpointMessage): ReturnType<typeof checkpointDue> {
    return checkpointDue(this.state, key, message);
  }

  namesCheckpoint(sha256: string): boolean {
    return this.state.stages.some(({ checkpoints }) =>
      [...checkpoints.values()].some((checkpoint) => checkpoint.sha256 === sha256),
    );
  }

  watch(watcher: Watcher): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** `lane`: the name of what is said and heard from now on. */
  join(event: Happening<"joined">, connection: NodeConnection, lane: string): void {
    // While we were away its process has ended, and this is the one after it: that one does not come back.
    const [before, ...others] = [...this.awaited].filter(
      (key) => this.state.nodes.get(key)?.hotkey === event.hotkey,
    );
    if (before !== undefined && others.length === 0) this.forget(before);
    this.connections.set(event.sessionKey, connection);
    this.dispatch({ ...event, owner: this.ownerOf(event.hotkey) }, lane);
  }

  /**
   * Whether the node goes on from where its last connection was, of which it has heard so much. True: then what it
   * has not heard is to be said again, and it says again what we have not.
   */
  resumes(key: SessionKey, hotkey: Ss58Address, lane: string, heard: number): boolean {
    const its = this.memory.lanes.get(key);
    if (its?.id !== lane || this.state.nodes.get(key)?.hotkey !== hotkey) return false;
    const mayBe = its.mayAcknowledge(heard);
    if (mayBe) this.acknowledged(key, heard);
    return mayBe;
  }

  /** Said to the node, and not heard by it as far as we know. */
  unheard(key: SessionKey): readonly string[] {
    return this.memory.lanes.get(key)?.unheard ?? [];
  }

  /** It has heard so much of what was said to it. */
  acknowledged(key: SessionKey, count: number): void {
    const lane = this.memory.lanes.get(key);
    if (lane?.mayAcknowledge(count) === true && lane.acknowledged !== count)
      this.happens({ type: "acknowledged", key, count });
  }

  /** A message of it came to nothing. */
  heardOnly(key: SessionKey): void {
    this.happens({ type: "heard", key });
  }

  /** So much of what the node said counts, and is not to be said again. */
  heard(key: SessionKey): number {
    return this.memory.lanes.get(key)?.heard ?? 0;
  }

  private sayHeard(key: SessionKey): void {
    const message: OrchestratorMessage = { type: "heartbeat", heard: this.heard(key) };
    this.connections.get(key)?.say(JSON.stringify(message));
  }

  /** There is no going on with it. */
  forget(sessionKey: SessionKey): void {
    this.connections.delete(sessionKey);
    if (this.state.nodes.has(sessionKey)) this.dispatch({ type: "left", sessionKey, cause: "closed" });
  }

  /** Its payout address has changed. */
  bound(hotkey: Ss58Address): void {
    this.dispatch({ type: "bound", hotkey, owner: this.ownerOf(hotkey) });
  }

  /** The same node by another connection, and perhaps at another address: nothing else has changed. */
  goOn(event: Happening<"moved">, connection: NodeConnection): void {
    this.connections.set(event.sessionKey, connection);
    this.dispatch(event);
  }

  /** Only the connection that is the node's now can take it away. */
  leave(event: Happening<"left">, connection: NodeConnection): void {
    if (this.connections.get(event.sessionKey) !== connection) return;
    this.connections.delete(event.sessionKey);
    this.dispatch(event);
  }

  dispatch(happening: Happening, lane?: string): void {
    if (this.closed) return;
    const event: NetworkEvent = { ...happening, now: this.clock(), date: this.date() };
    const before = this.state;
    const outcome = this.happens({ type: "event", event, ...(lane !== undefined && { lane }) });
    const { state } = this;
    if (state !== before) this.noteLink(event, before);
    this.carryOut(outcome);
    if (this.isJournalDue) this.beginJournal();
    if (event.type === "joined" || event.type === "moved" || event.type === "left")
      this.goOnWith(event.sessionKey);
    this.setWake();
    if (state.wouldResume !== null && state.wouldResume !== before.wouldResume)
      this.onQuestion(this.view().detail);
    if (state.stages !== before.stages || state.team !== before.team) this.nameNeighbours();
    if (state !== before) for (const watcher of this.watchers) watcher.changed();
  }

  /** Who may be joined by a relay is told now and whenever the pipeline changes. */
  nameNeighboursTo(told: (pairs: readonly NeighbourPair[]) => void): void {
    this.neighboursTold = told;
    this.nameNeighbours();
  }

  private nameNeighbours(): void {
    if (this.neighboursTold === null) return;
    const members = [...teamMembers(this.state)];
    // Of hundreds there are ten thousand pairs, and who has part in a run changes seldom.
    const said = members.join();
    if (said === this.neighboursSaid) return;
    this.neighboursSaid = said;
    const pairs = members.flatMap(([key, index]) =>
      members.flatMap(([other, at]): NeighbourPair[] =>
        at === index + 1 || (at === index && key < other) ? [[key, other]] : [],
      ),
    );
    this.neighboursTold(pairs);
  }

  /** Nothing happens any more; a process after this one may go on. */
  stop(): void {
    this.closed = true;
    clearInterval(this.beat);
    clearTimeout(this.grace);
    if (this.wake !== null) clearTimeout(this.wake);
    if (this.wakeLater !== null) clearTimeout(this.wakeLater);
    this.journal?.close();
  }

  /** Nobody goes on from here. */
  close(): void {
    this.stop();
    this.journal?.remove();
  }

  private noteLink(event: NetworkEvent, before: NetworkState): void {
    if (event.type !== "message" || event.message.type !== "saved" || before.team !== null) return;
    const stage = stageOf(before, event.sessionKey);
    if (stage !== null) this.onLink(event.message.step, stage, event.message.link);
  }

  private carryOut({ effects, said }: Pick<Outcome, "effects" | "said">): void {
    const rows = effects.flatMap((effect) => (effect.type === "store" ? [effect.row] : []));
    if (rows.length > 0) {
      const { runId } = this.run;
      const write = (): void => rows.forEach((row) => storeRow(this.store, runId, row));
      // A failed commit is reported once by the store itself.
      this.store.writeLater(write, rows.length).catch(() => {});
      // Who holds a stage is on disk before anybody works on it: receipts are checked against it.
      if (rows.some(({ kind }) => kind === "generation" || kind === "replica")) this.store.flush();
      this.publish(rows);
    }
    for (const effect of effects) {
      if (effect.type === "link") this.onLink(effect.step, effect.stage, effect.link);
      if (effect.type === "putAside") this.onPutAside(effect.news);
      if (effect.type === "ask") this.connections.get(effect.to)?.ask();
    }
    for (const { to, text } of said) this.connections.get(to)?.say(text);
  }

  private textOf(message: OrchestratorMessage): string {
    return JSON.stringify(this.committed(message));
  }

  /** An assignment says what the chunks of its files are known by. */
  private committed(message: OrchestratorMessage): OrchestratorMessage {
    if (message.type !== "assign") return message;
    const { corpus, model } = this.run;
    const files = [
      ...(corpus.chunks === undefined ? [corpus.sha256] : []),
      ...(model.kind === "onnx" ? [model.file.sha256] : []),
      ...(message.checkpointSha256 === null ? [] : [message.checkpointSha256]),
    ];
    const chunkLists = files.flatMap((sha256) => {
      const chunksSha256 = this.chunksSha256(sha256);
      return chunksSha256 === null ? [] : [{ sha256, chunksSha256 }];
    });
    return chunkLists.length === 0 ? message : { ...message, chunkLists };
  }

  private complete(): readonly CompleteCheckpoint[] {
    return completeCheckpoints(this.state.stages.map(({ checkpoints }) => checkpoints));
  }

  private publish(rows: readonly Row[]): void {
    for (const row of rows) {
      if (row.kind === "point") for (const watcher of this.watchers) watcher.point(row.point);
    }
    if (rows.some(({ kind }) => kind === "checkpoint" || kind === "forgetCheckpoint"))
      this.onCheckpoints(this.complete());
    const forgotten = rows.flatMap((row) => (row.kind === "forgetCheckpoint" ? [row.sha256] : []));
    if (forgotten.length > 0) this.onForgotten(forgotten);
  }

  /** When something is due takes as long to find out as there is under way: many messages at once are one time. */
  private setWake(): void {
    const tooSoonMs = this.wakeSetAt + WAKE_EVERY_MS - this.steady();
    if (tooSoonMs > 0) {
      this.wakeLater ??= setTimeout(() => {
        this.wakeLater = null;
        this.setWake();
      }, tooSoonMs).unref();
      return;
    }
    this.wakeSetAt = this.steady();
    if (this.wake !== null) clearTimeout(this.wake);
    this.wake = null;
    const at = nextWake(this.state);
    if (at === null || this.closed || this.heldAt !== null) return;
    this.wake = setTimeout(() => this.dispatch({ type: "tick" }), Math.max(1, at - this.clock()));
    this.wake.unref();
  }
}
