import type { SessionKey } from "../../src-protocol/keys.ts";
import { OPEN, cellAt, firstOpen, openCells, ownedCells, withCell as withCellOf } from "./cells.ts";
import type { Cell, Cells } from "./cells.ts";

/**
 * Who does what of one step, where every stage may have many replicas: a pure machine. A micro-batch
 * has one owner on each stage, and what the owner adds to its gradient sum counts once. A replica
 * that is lost, or breaks the rules, is fenced: nothing of it counts in this step, and what it owned
 * is done again by others of its stage alone, from what the neighbours kept. The step is committed
 * when every stage has counted every micro-batch; then sums are added up, and the digests of the
 * results compared.
 */

export interface StageBook {
  /** Replicas that may work in this step. */
  readonly live: ReadonlySet<SessionKey>;
  readonly cells: Cells;
  /** Since the commit: who has the sums of all, and could take the optimiser step. */
  readonly summed: ReadonlySet<SessionKey>;
  /** After the optimiser step: digests of the parameters. */
  readonly results: ReadonlyMap<SessionKey, string>;
}

export interface StepBook {
  readonly step: number;
  readonly stages: readonly StageBook[];
  readonly fenced: ReadonlySet<SessionKey>;
  readonly isCommitted: boolean;
  /** Everybody on every stage had the sums: the optimiser step is taken, and nothing is reopened any more. */
  readonly isTaken: boolean;
}

export type StepEvent =
  /** A head's replica asks for its next micro-batch. Its lease ends with the step, or when it is `lost`. */
  | { readonly type: "lease"; readonly by: SessionKey }
  /** A replica of the stage before has sent the micro-batch to `to`; `by` keeps it. */
  | {
      readonly type: "routed";
      readonly stage: number;
      readonly microBatch: number;
      readonly by: SessionKey;
      readonly to: SessionKey;
    }
  | {
      readonly type: "counted";
      readonly step: number;
      readonly stage: number;
      readonly microBatch: number;
      readonly by: SessionKey;
    }
  /** Lost, too late, or caught by a peer at what `code` says. */
  | { readonly type: "lost"; readonly replica: SessionKey; readonly code: string }
  /** `hasSum`: it has the whole sum of its stage, with which the others take the step. */
  | {
      readonly type: "joined";
      readonly stage: number;
      readonly replica: SessionKey;
      readonly hasSum?: boolean;
    }
  /** It has the whole sum of its stage. */
  | { readonly type: "summed"; readonly stage: number; readonly by: SessionKey }
  /** The sums are asked for once more: nobody has them. */
  | { readonly type: "resum" }
  | { readonly type: "result"; readonly stage: number; readonly by: SessionKey; readonly digest: string };

export type StepEffect =
  /** `isAgain`: as its cell says. */
  | {
      readonly type: "leased";
      readonly to: SessionKey;
      readonly microBatch: number;
      readonly isAgain: boolean;
    }
  /**
   * The micro-batch is `to`'s to work on, as `from` gives it. `heldBy`: whoever has it at the stage behind already,
   * from a lost one.
   */
  | {
      readonly type: "given";
      readonly to: SessionKey;
      readonly microBatch: number;
      readonly from: SessionKey;
      readonly heldBy: SessionKey | null;
      readonly isAgain: boolean;
    }
  | { readonly type: "fenced"; readonly replica: SessionKey; readonly code: string }
  /**
   * To be done again by another replica of `stage`: `y` is kept by `input`; null: it comes by itself, as that
   * stage is doing it again.
   */
  | {
      readonly type: "redo";
      readonly stage: number;
      readonly microBatch: number;
      readonly input: SessionKey | null;
    }
  /** Micro-batches that each replica's sum has, by stage. */
  | { readonly type: "commit"; readonly sums: readonly ReadonlyMap<SessionKey, readonly number[]>[] }
  /** All sums are everywhere: time for the optimiser step. */
  | { readonly type: "take" }
  /** A sum was lost between commit and optimiser step, so its part is done again first. */
  | { readonly type: "reopened"; readonly stage: number }
  /** Replicas of the stage whose result is not the others' take the state from one that has it. */
  | {
      readonly type: "reload";
      readonly stage: number;
      readonly replica: SessionKey;
      readonly from: SessionKey;
    }
  /** All live replicas of the stage have told a result, and no digest has more than half of them. */
  | { readonly type: "disagreed"; readonly stage: number }
  | { readonly type: "closed"; readonly stage: number; readonly digest: string };

export interface StepOutcome {
  readonly book: StepBook;
  readonly effects: readonly StepEffect[];
}

export function openStep(
  step: number,
  microBatches: number,
  replicas: readonly (readonly SessionKey[])[],
): StepBook {
  return {
    step,
    stages: replicas.map((live) => ({
      live: new Set(live),
      cells: openCells(microBatches),
      summed: new Set<SessionKey>(),
      results: new Map<SessionKey, string>(),
    })),
    fenced: new Set(),
    isCommitted: false,
    isTaken: false,
  };
}

export function applyToStep(event: StepEvent, book: StepBook): StepOutcome {
  switch (event.type) {
    case "lease":
      return lease(event, book);
    case "routed":
      return routed(event, book);
    case "counted":
      return counted(event, book);
    case "lost":
      return fence(book, event.replica, event.code);
    case "joined":
      return joined(event, book);
    case "summed":
      return summed(event, book);
    case "resum":
      return book.isTaken ? unchanged(book) : unchanged(withoutSums(book));
    case "result":
      return told(event, book);
  }
}

type Of<T extends StepEvent["type"]> = Extract<StepEvent, { type: T }>;

function unchanged(book: StepBook): StepOutcome {
  return { book, effects: [] };
}

function lease({ by }: Of<"lease">, book: StepBook): StepOutcome {
  const head = book.stages[0];
  const microBatch = head === undefined ? null : firstOpen(head.cells);
  if (head?.live.has(by) !== true || microBatch === null) return unchanged(book);
  const cell = { ...(cellAt(head.cells, microBatch) ?? OPEN), owner: by };
  const next = withCell(book, 0, microBatch, cell);
  return { book: next, effects: [{ type: "leased", to: by, microBatch, isAgain: cell.isAgain }] };
}

function routed({ stage, microBatch, by, to }: Of<"routed">, book: StepBook): StepOutcome {
  const sender = cellOf(book, stage - 1, microBatch);
  const cell = cellOf(book, stage, microBatch);
  if (book.fenced.has(by) || sender === undefined || cell === undefined) return unchanged(book);
  // SECURITY: only what one owns can be sent on; a second lease of the same work is nobody's.
  if (sender.owner !== by) return fence(book, by, "not-its-micro-batch");
  // One owner at a time: the other one has to be fenced first.
  if (cell.owner !== null && cell.owner !== to) return fence(book, by, "sent-to-two");
  // It hears that it has to be another one.
  if (book.stages[stage]?.live.has(to) !== true) return { book, effects: [redo(book, stage, microBatch)] };
  const heldBy = ownerAt(book, stage + 1, microBatch);
  const { isAgain } = cell;
  const given: StepEffect = { type: "given", to, microBatch, from: by, heldBy, isAgain };
  if (cell.owner === to) return { book, effects: [given] };
  return { book: withCell(book, stage, microBatch, { ...cell, owner: to }), effects: [given] };
}

function counted({ step, stage, microBatch, by }: Of<"counted">, book: StepBook): StepOutcome {
  const cell = cellOf(book, stage, microBatch);
  if (book.fenced.has(by) || book.stages[stage]?.live.has(by) !== true) return unchanged(book);
  if (step !== book.step) return fence(book, by, "other-step");
  // Nobody works on what it was not told is its own.
  if (cell?.owner !== by) return fence(book, by, "not-its-micro-batch");
  // The same message again says nothing new: its sender adds a gradient once, or its result differs.
  if (cell.isCounted) return unchanged(book);
  return commit(withCell(book, stage, microBatch, { ...cell, isCounted: true }));
}

function commit(book: StepBook): StepOutcome {
  const isWhole = book.stages.every(({ cells }) => cells.counted === cells.count);
  if (!isWhole || book.isCommitted) return unchanged(book);
  // Everybody adds in the same order.
  const sums = book.stages.map(({ cells }) => ownedCells(cells));
  return { book: { ...book, isCommitted: true }, effects: [{ type: "commit", sums }] };
}

function fence(book: StepBook, replica: SessionKey, code: string): StepOutcome {
  const index = book.stages.findIndex(({ live }) => live.has(replica));
  const stage = book.stages[index];
  if (stage === undefined) return unchanged(book);
  const owned = ownedCells(stage.cells).get(replica) ?? [];
  const live = without(stage.live, replica);
  const results = new Map([...stage.results].filter(([key]) => key !== replica));
  const left: StageBook = { cells: stage.cells, live, results, summed: without(stage.summed, replica) };
  const fencedBook: StepBook = {
    ...book,
    fenced: new Set([...book.fenced, replica]),
    stages: book.stages.map((each, i) => (i === index ? left : each)),
  };
  const effects: StepEffect[] = [{ type: "fenced", replica, code }];
  // Others have the whole sum already, and take their step with it.
  if (book.isTaken) return then({ book: fencedBook, effects }, close(index));
  if (owned.length === 0) return then({ book: fencedBook, effects }, take);
  const open = owned.reduce((next, microBatch) => {
    const { isCounted, isAgain } = cellAt(stage.cells, microBatch) ?? OPEN;
    return withCell(next, index, microBatch, { ...OPEN, isAgain: isCounted || isAgain });
  }, fencedBook);
  if (book.isCommitted) effects.push({ type: "reopened", stage: index });
  // The head's are leased again, by whoever asks.
  for (const microBatch of owned) effects.push(redo(open, index, microBatch));
  return { book: { ...withoutSums(open), isCommitted: false }, effects };
}

function withoutSums(book: StepBook): StepBook {
  return { ...book, stages: book.stages.map((each) => ({ ...each, summed: new Set<SessionKey>() })) };
}

function without(keys: ReadonlySet<SessionKey>, key: SessionKey): ReadonlySet<SessionKey> {
  return new Set([...keys].filter((each) => each !== key));
}

function redo(book: StepBook, stage: number, microBatch: number): StepEffect {
  return { type: "redo", stage, microBatch, input: ownerAt(book, stage - 1, microBatch) };
}

export function ownerAt(book: StepBook, stage: number, microBatch: number): SessionKey | null {
  return cellOf(book, stage, microBatch)?.owner ?? null;
}

export function cellOf({ stages }: StepBook, stage: number, microBatch: number): Cell | undefined {
  const cells = stages[stage]?.cells;
  return cells === undefined ? undefined : cellAt(cells, microBatch);
}

/** Who was fenced comes back with the next step. */
function joined({ stage, replica, hasSum = false }: Of<"joined">, book: StepBook): StepOutcome {
  const isMember = book.stages.some(({ live }) => live.has(replica));
  const joining = book.stages[stage];
  if (isMember || joining === undefined || book.fenced.has(replica)) return unchanged(book);
  if (book.isTaken !== hasSum) return unchanged(book);
  const live = new Set([...joining.live, replica]);
  const stages = book.stages.map((each, i) => (i === stage ? { ...each, live } : each));
  return unchanged({ ...book, stages });
}

/** @see StepEvent */
function summed({ stage, by }: Of<"summed">, book: StepBook): StepOutcome {
  const here = book.stages[stage];
  if (here?.live.has(by) !== true || book.isTaken) return unchanged(book);
  if (!book.isCommitted) return fence(book, by, "sum-before-commit");
  const stages = book.stages.map((each, i) =>
    i === stage ? { ...each, summed: new Set([...each.summed, by]) } : each,
  );
  return take({ ...book, stages });
}

/** Not before all have the sums of all: what is lost before can be done again with the same parameters. */
function take(book: StepBook): StepOutcome {
  const isDue = book.stages.every(
    ({ live, summed }) => live.size > 0 && [...live].every((key) => summed.has(key)),
  );
  if (!book.isCommitted || book.isTaken || !isDue) return unchanged(book);
  return { book: { ...book, isTaken: true }, effects: [{ type: "take" }] };
}

function told({ stage, by, digest }: Of<"result">, book: StepBook): StepOutcome {
  const here = book.stages[stage];
  if (here?.live.has(by) !== true) return unchanged(book);
  if (!book.isTaken) return fence(book, by, "result-before-sums");
  const before = here.results.get(by);
  if (before === digest) return unchanged(book);
  if (before !== undefined) return fence(book, by, "two-results");
  const results = new Map([...here.results, [by, digest] as const]);
  const stages = book.stages.map((each, i) => (i === stage ? { ...each, results } : each));
  return close(stage)({ ...book, stages });
}

/** The result of more than half of the live replicas is the stage's; all have to have told theirs. */
function close(stage: number): (book: StepBook) => StepOutcome {
  return (book) => {
    const here = book.stages[stage];
    if (here === undefined || !book.isTaken || here.live.size === 0) return unchanged(book);
    if (here.results.size < here.live.size) return unchanged(book);
    const told = [...here.results];
    const agree = (digest: string): SessionKey[] =>
      told.flatMap(([key, its]) => (its === digest ? [key] : []));
    const winner = told.find(([, digest]) => 2 * agree(digest).length > told.length);
    if (winner === undefined) return { book, effects: [{ type: "disagreed", stage }] };
    const [from, digest] = winner;
    const reloads = told.flatMap(([replica, its]): StepEffect[] =>
      its === digest ? [] : [{ type: "reload", stage, replica, from }],
    );
    return { book, effects: [...reloads, { type: "closed", stage, digest }] };
  };
}

function withCell(book: StepBook, stage: number, microBatch: number, cell: Cell): StepBook {
  const here = book.stages[stage];
  if (here === undefined) return book;
  const cells = withCellOf(here.cells, microBatch, cell);
  return { ...book, stages: book.stages.with(stage, { ...here, cells }) };
}

function then({ book, effects }: StepOutcome, next: (book: StepBook) => StepOutcome): StepOutcome {
  const after = next(book);
  return { book: after.book, effects: [...effects, ...after.effects] };
}
