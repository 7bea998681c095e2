import { applyToStep, cellOf, openStep } from "../../src-orchestrator/routing/step-book.ts";
import type { StepBook, StepEffect, StepEvent } from "../../src-orchestrator/routing/step-book.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { NextReplicas } from "../../src-worker/replicas/next-replicas.ts";
import type { ReplicaLoad } from "../../src-protocol/peer.ts";
import { OwnLoad } from "../../src-worker/replicas/own-load.ts";
import type { Pass } from "../../src-worker/replicas/own-load.ts";
import { HeadWindow } from "../../src-worker/routing/head-window.ts";
import { WorkOrder, lastFrom } from "../../src-worker/routing/work-order.ts";
import { EventQueue } from "./event-queue.ts";
import type { Random } from "./random.ts";

/**
 * One step of one run, micro-batch by micro-batch: the product's own book decides who owns what, and its own
 * routing where each goes. What is simulated is the time that computing and sending take, and who
 * comes and goes meanwhile.
 */

export interface StepNode {
  readonly key: SessionKey;
  readonly stage: number;
  /** Of the median computer. */
  readonly speed: number;
}

export type Change = { readonly at: number } & (
  | { readonly type: "comes"; readonly node: StepNode }
  /** It finishes what it has, and gets nothing more. */
  | { readonly type: "leaves"; readonly key: SessionKey }
  | { readonly type: "goes"; readonly key: SessionKey }
);

export interface StepOptions {
  readonly stages: number;
  readonly microBatches: number;
  readonly nodes: readonly StepNode[];
  /** By time, ms from the step's beginning. */
  readonly changes: readonly Change[];
  /** Of a micro-batch on the median computer, there and back; ms. */
  readonly workMs: number;
  /** What a micro-batch costs besides, whatever the computer; ms. */
  readonly eachMs: number;
  /** One way, with what is sent; ms. */
  readonly linkMs: number;
  readonly random: Random;
}

export interface StepResult {
  /** Null: a stage had nobody left. */
  readonly ms: number | null;
  /** Passes of a whole micro-batch over a stage: all that had to be done, and those that were done again. */
  readonly work: number;
  readonly redone: number;
  readonly lost: number;
}

/** A third of the work is the way there. */
const FORWARD = 1 / 3;
/** As the product's heads do. */
const ON_THE_WAY = 2;
/** How often a replica looks whether it has to tell its senders what it has to do; ms. */
const LOOK_MS = 500;

interface Worker extends StepNode {
  readonly next: NextReplicas;
  readonly load: OwnLoad;
  /** The pass that it works on. */
  ends: (ms: number | null) => void;
  readonly window: HeadWindow;
  readonly order: WorkOrder;
  isBusy: boolean;
  isGone: boolean;
  isLeaving: boolean;
  isAsking: boolean;
  /** What it has to do is not what it has told. */
  hasNews: boolean;
  inFlight: number;
}

interface Cell {
  owner: Worker | null;
  hasOutput: boolean;
  isQueuedBack: boolean;
  isDone: boolean;
}

type Happening =
  | {
      readonly type: "arrives";
      readonly stage: number;
      readonly microBatch: number;
      readonly from: SessionKey;
      readonly at: Worker;
    }
  | {
      readonly type: "returns";
      readonly stage: number;
      readonly microBatch: number;
      readonly from: SessionKey;
      readonly load: ReplicaLoad;
    }
  | { readonly type: "looks"; readonly worker: Worker }
  | {
      readonly type: "tells";
      readonly from: SessionKey;
      readonly to: readonly (readonly [Worker, ReplicaLoad])[];
    }
  | { readonly type: "ends"; readonly by: Worker; readonly microBatch: number; readonly isBack: boolean }
  | { readonly type: "changes"; readonly change: Change };

export function simulateStep(options: StepOptions): StepResult {
  return new Step(options).run();
}

class Step {
  readonly #options: StepOptions;
  readonly #queue = new EventQueue<Happening>();
  readonly #workers = new Map<SessionKey, Worker>();
  readonly #cells: Cell[][];
  /** Of each stage, those who work on it. */
  #replicas: number[] = [];
  #book: StepBook;
  #now = 0;
  #redone = 0;
  #lost = 0;
  #isOver = false;

  constructor(options: StepOptions) {
    const { stages, microBatches, nodes, changes } = options;
    this.#options = options;
    for (const node of nodes) this.#workers.set(node.key, this.#worker(node));
    const live = Array.from({ length: stages }, (_, stage) => this.#keysOf(stage));
    this.#book = openStep(0, microBatches, live);
    this.#cells = Array.from({ length: stages }, () =>
      Array.from({ length: microBatches }, () => ({
        owner: null,
        hasOutput: false,
        isQueuedBack: false,
        isDone: false,
      })),
    );
    for (const change of changes) this.#queue.push(change.at, { type: "changes", change });
    this.#admit();
    // Who was there in the steps before knows the others' pace.
    for (const { stage, next } of this.#workers.values())
      for (const other of nodes)
        if (other.stage === stage + 1)
          next.told(
            other.key,
            { workMs: options.workMs / other.speed, backlogMs: 0, taken: 0 },
            2 * options.linkMs,
          );
  }

  run(): StepResult {
    const { stages, microBatches } = this.#options;
    for (const worker of this.#workers.values()) this.#begins(worker);
    while (!this.#isOver) {
      const next = this.#queue.pop();
      if (next === undefined) break;
      this.#now = next.at;
      this.#happens(next.event);
    }
    const result = { work: stages * microBatches, redone: this.#redone, lost: this.#lost };
    return { ms: this.#isOver ? this.#now : null, ...result };
  }

  #worker(node: StepNode): Worker {
    const now = (): number => this.#now;
    const { random, stages, microBatches } = this.#options;
    const load = new OwnLoad(now);
    // As after the steps before.
    for (const pass of ["forward", "backward"] as const) load.begins(pass)(this.#passMs(node, pass));
    return {
      ...node,
      next: new NextReplicas(now, random.next),
      load,
      ends: () => undefined,
      window: new HeadWindow(now, stages * ON_THE_WAY),
      order: new WorkOrder(() => lastFrom(microBatches, stages, this.#replicas[node.stage] ?? 1)),
      isBusy: false,
      isGone: false,
      isLeaving: false,
      isAsking: false,
      hasNews: false,
      inFlight: 0,
    };
  }

  #begins(worker: Worker): void {
    this.#pump(worker);
    if (worker.stage > 0)
      this.#queue.push(this.#now + this.#options.random.next() * LOOK_MS, { type: "looks", worker });
  }

  #passMs({ stage, speed }: StepNode, pass: Pass): number {
    const { stages, workMs, eachMs } = this.#options;
    return shareOf(pass, stage === stages - 1) * (workMs / speed + eachMs);
  }

  #isAgain(stage: number, microBatch: number): boolean {
    return cellOf(this.#book, stage, microBatch)?.isAgain === true;
  }

  #keysOf(stage: number): SessionKey[] {
    return [...this.#workers.values()]
      .filter((each) => each.stage === stage && !each.isGone)
      .map(({ key }) => key);
  }

  /** Everybody hears who is at the next stage. */
  #admit(): void {
    this.#replicas = Array.from({ length: this.#options.stages }, (_, stage) => this.#keysOf(stage).length);
    for (let stage = 0; stage + 1 < this.#options.stages; stage++) {
      const keys = this.#keysOf(stage + 1).filter((key) => this.#workers.get(key)?.isLeaving === false);
      for (const worker of this.#workers.values()) if (worker.stage === stage) worker.next.admit(keys);
    }
  }

  #happens(event: Happening): void {
    switch (event.type) {
      case "changes":
        return this.#changes(event.change);
      case "arrives":
        return this.#arrives(event.at, event.microBatch, event.from);
      case "returns":
        return this.#returns(event);
      case "looks":
        return this.#looks(event.worker);
      case "tells":
        for (const [sender, load] of event.to)
          if (!sender.isGone) sender.next.told(event.from, load, 2 * this.#options.linkMs);
        return;
      case "ends":
        return this.#ends(event.by, event.microBatch, event.isBack);
    }
  }

  #changes(change: Change): void {
    if (change.type === "comes") {
      const worker = this.#worker(change.node);
      this.#workers.set(worker.key, worker);
      this.#tell({ type: "joined", stage: worker.stage, replica: worker.key });
      this.#admit();
      return this.#begins(worker);
    }
    const worker = this.#workers.get(change.key);
    if (worker === undefined || worker.isGone) return;
    if (change.type === "leaves") {
      worker.isLeaving = true;
      worker.isAsking = false;
      return this.#admit();
    }
    worker.isGone = true;
    this.#lost += 1;
    this.#admit();
    this.#tell({ type: "lost", replica: worker.key, code: "closed" });
    for (const each of this.#workers.values()) if (each.isAsking) this.#ask(each);
  }

  /** Feeds the book, and does what it says. */
  #tell(event: StepEvent): void {
    const { book, effects } = applyToStep(event, this.#book);
    this.#book = book;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: StepEffect): void {
    switch (effect.type) {
      case "leased": {
        const worker = this.#workers.get(effect.to);
        if (worker === undefined) return;
        worker.isAsking = false;
        return this.#arrives(worker, effect.microBatch, null);
      }
      case "redo": {
        const { stage, microBatch, input } = effect;
        const cell = this.#cell(stage, microBatch);
        if (cell.owner !== null) this.#redone += cell.isDone ? 1 : cell.hasOutput ? FORWARD : 0;
        this.#cells[stage]?.splice(microBatch, 1, {
          owner: null,
          hasOutput: false,
          isQueuedBack: false,
          isDone: false,
        });
        const sender = input === null ? undefined : this.#workers.get(input);
        if (sender !== undefined && this.#cell(stage - 1, microBatch).hasOutput)
          this.#send(sender, microBatch, true);
        return;
      }
      case "commit":
        this.#isOver = true;
        return;
      case "given":
      case "fenced":
      case "take":
      case "reopened":
      case "reload":
      case "disagreed":
      case "closed":
        return;
    }
  }

  #cell(stage: number, microBatch: number): Cell {
    const cell = this.#cells[stage]?.[microBatch];
    if (cell === undefined) throw new Error(`there is no micro-batch ${microBatch} on stage ${stage}`);
    return cell;
  }

  #arrives(worker: Worker, microBatch: number, from: SessionKey | null): void {
    if (worker.isGone) return;
    const cell = this.#cell(worker.stage, microBatch);
    if (cell.owner !== null && cell.owner !== worker) return;
    cell.owner = worker;
    worker.inFlight += 1;
    worker.order.add("forward", microBatch, this.#isAgain(worker.stage, microBatch));
    if (from !== null) worker.load.took(from);
    worker.hasNews = true;
    this.#pump(worker);
  }

  #pump(worker: Worker): void {
    if (worker.isBusy || worker.isGone) return;
    const work = worker.order.next();
    if (worker.stage === 0) this.#ask(worker);
    if (work === null) return;
    const { pass, microBatch } = work;
    worker.isBusy = true;
    const { stages } = this.#options;
    const isBack = pass === "backward" || worker.stage === stages - 1;
    worker.ends = worker.load.begins(pass);
    this.#queue.push(this.#now + this.#passMs(worker, pass), {
      type: "ends",
      by: worker,
      microBatch,
      isBack,
    });
  }

  /** As the product's heads do: one in hand while another one is worked on, and not too many on their way. */
  #ask(worker: Worker): void {
    if (worker.isGone || worker.isLeaving || worker.order.waiting.forward > 0) return;
    if (worker.inFlight > worker.window.most(worker.load.workMs)) return;
    worker.isAsking = true;
    this.#tell({ type: "lease", by: worker.key });
  }

  #ends(worker: Worker, microBatch: number, isBack: boolean): void {
    worker.isBusy = false;
    worker.hasNews = true;
    worker.ends(null);
    if (worker.isGone) return;
    const { stage } = worker;
    const cell = this.#cell(stage, microBatch);
    if (cell.owner === worker) {
      if (isBack) this.#counted(worker, microBatch, cell);
      else {
        cell.hasOutput = true;
        const behind = this.#cell(stage + 1, microBatch);
        if (behind.owner === null) this.#send(worker, microBatch);
        else if (behind.isDone) this.#return(stage, microBatch, behind.owner);
      }
    }
    this.#pump(worker);
  }

  #counted(worker: Worker, microBatch: number, cell: Cell): void {
    const { stage, key: by } = worker;
    cell.isDone = true;
    worker.inFlight -= 1;
    this.#tell({ type: "counted", step: 0, stage, microBatch, by });
    if (stage > 0) this.#return(stage - 1, microBatch, worker);
  }

  #return(stage: number, microBatch: number, worker: Worker): void {
    const owner = this.#cell(stage, microBatch).owner?.key;
    if (owner === undefined) return;
    const load = worker.load.of(owner, worker.order.waiting);
    this.#queue.push(this.#now + this.#options.linkMs, {
      type: "returns",
      stage,
      microBatch,
      from: worker.key,
      load,
    });
  }

  #returns({ stage, microBatch, from, load }: Extract<Happening, { type: "returns" }>): void {
    const cell = this.#cell(stage, microBatch);
    const { owner } = cell;
    if (owner === null || owner.isGone) return;
    owner.next.told(from, load, 2 * this.#options.linkMs);
    owner.next.answered(from);
    owner.window.returned(microBatch);
    if (!cell.hasOutput || cell.isDone || cell.isQueuedBack) return;
    cell.isQueuedBack = true;
    owner.order.add("backward", microBatch, this.#isAgain(stage, microBatch));
    this.#pump(owner);
  }

  /** Senders hear what it has to do, as soon as a link allows. */
  #looks(worker: Worker): void {
    if (worker.isGone || this.#isOver) return;
    this.#queue.push(this.#now + LOOK_MS, { type: "looks", worker });
    if (!worker.hasNews) return;
    worker.hasNews = false;
    const senders = [...this.#workers.values()].filter(
      ({ stage, isGone }) => stage === worker.stage - 1 && !isGone,
    );
    const to = senders.map((sender) => [sender, worker.load.of(sender.key, worker.order.waiting)] as const);
    this.#queue.push(this.#now + this.#options.linkMs, { type: "tells", from: worker.key, to });
  }

  /** `isHeap`: all of the stage send what a lost one had of theirs. */
  #send(worker: Worker, microBatch: number, isHeap = false): void {
    const stage = worker.stage + 1;
    const senders = isHeap ? Math.max(1, this.#replicas[worker.stage] ?? 1) : 1;
    const to = worker.next.choose(() => true, senders);
    const at = to === null ? undefined : this.#workers.get(to);
    if (to === null || at === undefined) return;
    worker.next.sent(to);
    worker.window.sent(microBatch);
    this.#tell({ type: "routed", stage, microBatch, by: worker.key, to });
    this.#queue.push(this.#now + this.#options.linkMs, {
      type: "arrives",
      stage,
      microBatch,
      from: worker.key,
      at,
    });
    this.#cell(stage, microBatch).owner = at;
  }
}

/** Of the work on a micro-batch; the tail does both ways at once. */
function shareOf(pass: Pass, isTail: boolean): number {
  if (isTail) return pass === "forward" ? 1 : 0;
  return pass === "forward" ? FORWARD : 1 - FORWARD;
}
