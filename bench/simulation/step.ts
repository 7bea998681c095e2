import { applyToStep, openStep } from "../../src-orchestrator/routing/step-book.ts";
import type { StepBook, StepEffect, StepEvent } from "../../src-orchestrator/routing/step-book.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { NextReplicas } from "../../src-worker/replicas/next-replicas.ts";
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

interface Worker extends StepNode {
  readonly next: NextReplicas;
  readonly forwards: number[];
  readonly backwards: number[];
  isBusy: boolean;
  isGone: boolean;
  isAsking: boolean;
  inFlight: number;
}

interface Cell {
  owner: Worker | null;
  hasOutput: boolean;
  isQueuedBack: boolean;
  isDone: boolean;
}

type Happening =
  | { readonly type: "arrives"; readonly stage: number; readonly microBatch: number; readonly at: Worker }
  | {
      readonly type: "returns";
      readonly stage: number;
      readonly microBatch: number;
      readonly from: SessionKey;
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
        if (other.stage === stage + 1) next.told(other.key, options.workMs / other.speed);
  }

  run(): StepResult {
    const { stages, microBatches } = this.#options;
    for (const worker of this.#workers.values()) this.#pump(worker);
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
    const next = new NextReplicas(() => this.#now, this.#options.random.next);
    return {
      ...node,
      next,
      forwards: [],
      backwards: [],
      isBusy: false,
      isGone: false,
      isAsking: false,
      inFlight: 0,
    };
  }

  #keysOf(stage: number): SessionKey[] {
    return [...this.#workers.values()]
      .filter((each) => each.stage === stage && !each.isGone)
      .map(({ key }) => key);
  }

  /** Everybody hears who is at the next stage. */
  #admit(): void {
    for (let stage = 0; stage + 1 < this.#options.stages; stage++) {
      const keys = this.#keysOf(stage + 1);
      for (const worker of this.#workers.values()) if (worker.stage === stage) worker.next.admit(keys);
    }
  }

  #happens(event: Happening): void {
    switch (event.type) {
      case "changes":
        return this.#changes(event.change);
      case "arrives":
        return this.#arrives(event.at, event.microBatch);
      case "returns":
        return this.#returns(event.stage, event.microBatch, event.from);
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
      return this.#pump(worker);
    }
    const worker = this.#workers.get(change.key);
    if (worker === undefined || worker.isGone) return;
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
        return this.#arrives(worker, effect.microBatch);
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
          this.#send(sender, microBatch);
        return;
      }
      case "commit":
        this.#isOver = true;
        return;
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

  #arrives(worker: Worker, microBatch: number): void {
    if (worker.isGone) return;
    const cell = this.#cell(worker.stage, microBatch);
    if (cell.owner !== null && cell.owner !== worker) return;
    cell.owner = worker;
    worker.inFlight += 1;
    worker.forwards.push(microBatch);
    this.#pump(worker);
  }

  #pump(worker: Worker): void {
    if (worker.isBusy || worker.isGone) return;
    const back = worker.backwards.shift();
    const microBatch = back ?? worker.forwards.shift();
    if (worker.stage === 0) this.#ask(worker);
    if (microBatch === undefined) return;
    worker.isBusy = true;
    const { workMs, stages } = this.#options;
    const isBack = back !== undefined || worker.stage === stages - 1;
    const share = back !== undefined ? 1 - FORWARD : worker.stage === stages - 1 ? 1 : FORWARD;
    this.#queue.push(this.#now + (workMs * share) / worker.speed, {
      type: "ends",
      by: worker,
      microBatch,
      isBack,
    });
  }

  /** As the product's heads do: one in hand while another one is worked on, and not too many on their way. */
  #ask(worker: Worker): void {
    if (worker.isGone || worker.forwards.length > 0 || worker.inFlight > this.#options.stages * ON_THE_WAY)
      return;
    worker.isAsking = true;
    this.#tell({ type: "lease", by: worker.key, until: Infinity });
  }

  #ends(worker: Worker, microBatch: number, isBack: boolean): void {
    worker.isBusy = false;
    if (worker.isGone) return;
    const { stage } = worker;
    const cell = this.#cell(stage, microBatch);
    if (cell.owner === worker) {
      if (isBack) this.#counted(worker, microBatch, cell);
      else {
        cell.hasOutput = true;
        const behind = this.#cell(stage + 1, microBatch);
        if (behind.owner === null) this.#send(worker, microBatch);
        else if (behind.isDone) this.#return(stage, microBatch, behind.owner.key);
      }
    }
    this.#pump(worker);
  }

  #counted(worker: Worker, microBatch: number, cell: Cell): void {
    const { stage, key: by } = worker;
    cell.isDone = true;
    worker.inFlight -= 1;
    this.#tell({ type: "counted", step: 0, stage, microBatch, by });
    if (stage > 0) this.#return(stage - 1, microBatch, by);
  }

  #return(stage: number, microBatch: number, from: SessionKey): void {
    this.#queue.push(this.#now + this.#options.linkMs, { type: "returns", stage, microBatch, from });
  }

  #returns(stage: number, microBatch: number, from: SessionKey): void {
    const cell = this.#cell(stage, microBatch);
    const { owner } = cell;
    if (owner === null || owner.isGone) return;
    const { workMs } = this.#options;
    owner.next.told(from, workMs / (this.#workers.get(from)?.speed ?? 1));
    owner.next.answered(from);
    if (!cell.hasOutput || cell.isDone || cell.isQueuedBack) return;
    cell.isQueuedBack = true;
    owner.backwards.push(microBatch);
    this.#pump(owner);
  }

  #send(worker: Worker, microBatch: number): void {
    const stage = worker.stage + 1;
    const to = worker.next.choose(() => true);
    const at = to === null ? undefined : this.#workers.get(to);
    if (to === null || at === undefined) return;
    worker.next.sent(to);
    this.#tell({ type: "routed", stage, microBatch, by: worker.key, to });
    this.#queue.push(this.#now + this.#options.linkMs, { type: "arrives", stage, microBatch, at });
    this.#cell(stage, microBatch).owner = at;
  }
}
