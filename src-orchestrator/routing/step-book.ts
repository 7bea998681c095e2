import type { SessionKey } from "../../src-protocol/keys.ts";

/**
 * Who does what of one step, where every stage may have many replicas: a pure machine. A micro-batch
 * has one owner on each stage, and what the owner adds to its gradient sum counts once. A replica
 * that is lost, or breaks the rules, is fenced: nothing of it counts in this step, and what it owned
 * is done again by others of its stage alone, from what the neighbours kept. The step is committed
 * when every stage has counted every micro-batch; then sums are added up, and the digests of the
 * results compared.
 */

interface Cell {
  /** Null: nobody yet, or the one before was fenced. */
  readonly owner: SessionKey | null;
  /** Its gradient is in the owner's sum. */
  readonly isCounted: boolean;
  /** What is said by who may turn out to own it: its sender's word is not here yet, as sockets keep no order among them. */
  readonly early: readonly Early[];
  /**
   * What is said by who does not own it and has it from somebody who does not, either: whose own word, from whom
   * it came, may be on its way.
   */
  readonly strays: readonly Early[];
  /**
   * Who has said so when its sender was fenced, whose own word may be lost: it is asked first. SECURITY: only
   * then, or whoever claims what nobody has would be given it.
   */
  readonly claimedBy: SessionKey | null;
}

type Early = Extract<StepEvent, { type: "counted" | "routed" }>;

export interface StageBook {
  /** Replicas that may work in this step. */
  readonly live: ReadonlySet<SessionKey>;
  readonly cells: readonly Cell[];
  /** Since the commit: who has the sums of all, and could take the optimiser step. */
  readonly summed: ReadonlySet<SessionKey>;
  /** After the optimiser step: digests of the parameters. */
  readonly results: ReadonlyMap<SessionKey, string>;
}

export interface StepBook {
  readonly step: number;
  readonly stages: readonly StageBook[];
  readonly fenced: ReadonlySet<SessionKey>;
  /** Micro-batches of which somebody was lost. */
  readonly redone: ReadonlySet<number>;
  readonly isCommitted: boolean;
  /** Everybody on every stage has the sums: the optimiser step is taken, and nothing is reopened any more. */
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
      /** Who gave it to `by`; null, or left out: nobody. */
      readonly from?: SessionKey | null;
    }
  | {
      readonly type: "counted";
      readonly step: number;
      readonly stage: number;
      readonly microBatch: number;
      readonly by: SessionKey;
      /** As with `routed`. */
      readonly from?: SessionKey | null;
    }
  /** Lost, too late, or caught by a peer at what `code` says. */
  | { readonly type: "lost"; readonly replica: SessionKey; readonly code: string }
  | { readonly type: "joined"; readonly stage: number; readonly replica: SessionKey }
  /** It has the whole sum of its stage. */
  | { readonly type: "summed"; readonly stage: number; readonly by: SessionKey }
  /** The sums are asked for once more: nobody has them. */
  | { readonly type: "resum" }
  | { readonly type: "result"; readonly stage: number; readonly by: SessionKey; readonly digest: string };

export type StepEffect =
  | { readonly type: "leased"; readonly to: SessionKey; readonly microBatch: number }
  | { readonly type: "fenced"; readonly replica: SessionKey; readonly code: string }
  /**
   * To be done again by another replica of `stage`: `y` is kept by `input` and `dx` by `gradient`; null:
   * it comes by itself, as that stage has not done it (yet, or is doing it again).
   */
  | {
      readonly type: "redo";
      readonly stage: number;
      readonly microBatch: number;
      readonly input: SessionKey | null;
      readonly gradient: SessionKey | null;
      /** Who owns it at the stage behind, whether that has counted it or not; and at those after that. */
      readonly next: SessionKey | null;
      readonly behind: readonly (SessionKey | null)[];
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
      cells: Array.from({ length: microBatches }, () => OPEN),
      summed: new Set<SessionKey>(),
      results: new Map<SessionKey, string>(),
    })),
    fenced: new Set(),
    redone: new Set(),
    isCommitted: false,
    isTaken: false,
  };
}

const OPEN: Cell = { owner: null, isCounted: false, early: [], strays: [], claimedBy: null };

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
  const microBatch = head?.cells.findIndex(({ owner }) => owner === null) ?? -1;
  if (head?.live.has(by) !== true || microBatch === -1) return unchanged(book);
  const next = withCell(book, 0, microBatch, { ...OPEN, owner: by });
  return { book: next, effects: [{ type: "leased", to: by, microBatch }] };
}

function routed(event: Of<"routed">, book: StepBook): StepOutcome {
  const { stage, microBatch, by, to } = event;
  const sender = book.stages[stage - 1]?.cells[microBatch];
  const cell = book.stages[stage]?.cells[microBatch];
  if (book.fenced.has(by) || sender === undefined || cell === undefined) return unchanged(book);
  if (sender.owner === null && stage > 1 && book.stages[stage - 1]?.live.has(by) === true)
    return wait(book, stage - 1, microBatch, event);
  // SECURITY: only what one owns can be sent on; a second lease of the same work is nobody's.
  if (sender.owner !== by) return strayed(book, stage - 1, event);
  if (cell.owner === to) return unchanged(book);
  // One owner at a time: the other one has to be fenced first.
  if (cell.owner !== null) return fence(book, by, nameOf(book, microBatch, "sent-to-two"));
  if (book.stages[stage]?.live.has(to) !== true) {
    const redone = new Set([...book.redone, microBatch]);
    const open = withClaim({ ...book, redone }, stage + 1, microBatch);
    return { book: open, effects: [redo(open, stage, microBatch)] };
  }
  const owned = withCell(book, stage, microBatch, { ...OPEN, owner: to });
  return cell.early.reduce<StepOutcome>(
    (outcome, each) =>
      then(outcome, (next) => (each.by === to ? applyToStep(each, next) : strayed(next, stage, each))),
    unchanged(owned),
  );
}

/**
 * Who works on what it does not own has no part in the step. To blame is who gave it: who had given it to another
 * one, or does not own it, either. `stage`: whose replica says so.
 */
function strayed(book: StepBook, stage: number, event: Early): StepOutcome {
  const { microBatch, by, from = null } = event;
  const here = book.stages[stage];
  if (book.fenced.has(by) || here?.live.has(by) !== true) return unchanged(book);
  const name = nameOf(book, microBatch, "not-its-micro-batch");
  if (from !== null && book.fenced.has(from)) return fence(book, by, "overtaken");
  const before = book.stages[stage - 1];
  // SECURITY: one's word against another's. It costs who gives it its part in the step, and takes no stage's last one away.
  const isDoubted = before?.live.size === 1 && here.live.size > 1;
  if (from === null || before?.live.has(from) !== true || isDoubted || name === "overtaken")
    return fence(book, by, name);
  const isOwner = before.cells[microBatch]?.owner === from;
  const cell = here.cells[microBatch];
  if (!isOwner && stage > 1 && !book.isCommitted && cell !== undefined)
    return unchanged(withCell(book, stage, microBatch, { ...cell, strays: said(event, cell.strays) }));
  const blamed = fence(book, from, isOwner ? "sent-to-two" : name);
  return then(blamed, (next) => fence(next, by, "overtaken"));
}

/**
 * Of a micro-batch that somebody was lost with, the lost one's last words may be missing: then who has it twice
 * is not to blame, and only has no part in the step.
 */
export function nameOf({ redone }: StepBook, microBatch: number, code: string): string {
  return redone.has(microBatch) ? "overtaken" : code;
}

/** Until it is known who owns the micro-batch; each replica says each thing once, and where it has sent it, once of each. */
function wait(book: StepBook, stage: number, microBatch: number, event: Early): StepOutcome {
  const cell = book.stages[stage]?.cells[microBatch];
  if (cell === undefined) return unchanged(book);
  return unchanged(withCell(book, stage, microBatch, { ...cell, early: said(event, cell.early) }));
}

function said(event: Early, before: readonly Early[]): readonly Early[] {
  const to = event.type === "routed" ? event.to : null;
  const isKnown = before.some(
    (each) => each.by === event.by && each.type === event.type && (each.type === "counted" || each.to === to),
  );
  return isKnown ? before : [...before, event];
}

function counted(event: Of<"counted">, book: StepBook): StepOutcome {
  const { step, stage, microBatch, by } = event;
  const cell = book.stages[stage]?.cells[microBatch];
  if (book.fenced.has(by) || book.stages[stage]?.live.has(by) !== true) return unchanged(book);
  if (step !== book.step) return fence(book, by, "other-step");
  if (cell === undefined) return fence(book, by, "not-its-micro-batch");
  if (cell.owner === null && stage > 0) return wait(book, stage, microBatch, event);
  if (cell.owner !== by) return strayed(book, stage, event);
  // The same message again says nothing new: its sender adds a gradient once, or its result differs.
  if (cell.isCounted) return unchanged(book);
  return commit(withCell(book, stage, microBatch, { ...cell, isCounted: true }));
}

function commit(book: StepBook): StepOutcome {
  const isWhole = book.stages.every(({ cells }) => cells.every(({ isCounted }) => isCounted));
  if (!isWhole || book.isCommitted) return unchanged(book);
  // Whoever gave what is not its own has not said that somebody else had given it.
  const stray = book.stages.flatMap(({ cells }) => cells.flatMap(({ strays }) => strays))[0];
  if (stray?.from) return fence(book, stray.from, "not-its-micro-batch");
  const sums = book.stages.map(({ cells }) => {
    const sum = new Map<SessionKey, readonly number[]>();
    for (const [microBatch, { owner }] of cells.entries())
      if (owner !== null) sum.set(owner, [...(sum.get(owner) ?? []), microBatch]);
    // Everybody adds in the same order.
    return new Map([...sum].sort(([a], [b]) => (a < b ? -1 : 1)));
  });
  return { book: { ...book, isCommitted: true }, effects: [{ type: "commit", sums }] };
}

function fence(book: StepBook, replica: SessionKey, code: string): StepOutcome {
  const misled = book.stages.flatMap(({ cells }) =>
    cells.flatMap(({ owner, strays }) =>
      strays.flatMap(({ by, from }) =>
        by !== replica && (from === replica || owner === replica) ? [by] : [],
      ),
    ),
  );
  return misled.reduce<StepOutcome>(
    (outcome, by) => then(outcome, (next) => fence(next, by, "overtaken")),
    fenceOne(book, replica, code),
  );
}

function fenceOne(book: StepBook, replica: SessionKey, code: string): StepOutcome {
  const index = book.stages.findIndex(({ live }) => live.has(replica));
  const stage = book.stages[index];
  if (stage === undefined) return unchanged(book);
  const owned = stage.cells.flatMap(({ owner }, microBatch) => (owner === replica ? [microBatch] : []));
  const live = without(stage.live, replica);
  const results = new Map([...stage.results].filter(([key]) => key !== replica));
  const cells = stage.cells.map((cell) =>
    [...cell.early, ...cell.strays].some(({ by }) => by === replica) || cell.claimedBy === replica
      ? {
          ...cell,
          early: cell.early.filter(({ by }) => by !== replica),
          strays: cell.strays.filter(({ by }) => by !== replica),
          claimedBy: cell.claimedBy === replica ? null : cell.claimedBy,
        }
      : cell,
  );
  const left: StageBook = { cells, live, results, summed: without(stage.summed, replica) };
  const fencedBook: StepBook = {
    ...book,
    fenced: new Set([...book.fenced, replica]),
    redone: new Set([...book.redone, ...owned]),
    stages: book.stages.map((each, i) => (i === index ? left : each)),
  };
  const effects: StepEffect[] = [{ type: "fenced", replica, code }];
  // Others have the whole sum already, and take their step with it.
  if (book.isTaken) return then({ book: fencedBook, effects }, close(index));
  if (owned.length === 0) return then({ book: fencedBook, effects }, take);
  const open = owned.reduce(
    (next, microBatch) => withClaim(withCell(next, index, microBatch, OPEN), index + 1, microBatch),
    fencedBook,
  );
  if (book.isCommitted) effects.push({ type: "reopened", stage: index });
  // The head's are leased again, by whoever asks.
  for (const microBatch of owned) effects.push(redo(open, index, microBatch));
  return { book: { ...withoutSums(open), isCommitted: false }, effects };
}

function withoutSums(book: StepBook): StepBook {
  return { ...book, stages: book.stages.map((each) => ({ ...each, summed: new Set<SessionKey>() })) };
}

function withClaim(book: StepBook, stage: number, microBatch: number): StepBook {
  const cell = book.stages[stage]?.cells[microBatch];
  if (cell === undefined || cell.owner !== null) return book;
  return withCell(book, stage, microBatch, { ...cell, claimedBy: cell.early[0]?.by ?? cell.claimedBy });
}

function without(keys: ReadonlySet<SessionKey>, key: SessionKey): ReadonlySet<SessionKey> {
  return new Set([...keys].filter((each) => each !== key));
}

function redo(book: StepBook, stage: number, microBatch: number): StepEffect {
  const behind = book.stages[stage + 1]?.cells[microBatch];
  return {
    type: "redo",
    stage,
    microBatch,
    input: book.stages[stage - 1]?.cells[microBatch]?.owner ?? null,
    gradient: behind?.isCounted === true ? behind.owner : null,
    next: behind?.owner ?? behind?.claimedBy ?? null,
    behind: ownersFrom(book, stage + 2, microBatch),
  };
}

/** Who owns the micro-batch at this stage and the ones after it, as far as anybody does. */
export function ownersFrom({ stages }: StepBook, from: number, microBatch: number): (SessionKey | null)[] {
  const owners = stages
    .slice(from)
    .map(({ cells }) => cells[microBatch]?.owner ?? cells[microBatch]?.claimedBy ?? null);
  return owners.slice(0, owners.findLastIndex((owner) => owner !== null) + 1);
}

/** Who was fenced comes back with the next step. */
function joined({ stage, replica }: Of<"joined">, book: StepBook): StepOutcome {
  const isTaken = book.stages.some(({ live }) => live.has(replica));
  const joining = book.stages[stage];
  if (isTaken || joining === undefined || book.isTaken || book.fenced.has(replica)) return unchanged(book);
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
  if (here?.cells[microBatch] === undefined) return book;
  // A copy at once: a step may have thousands of micro-batches, and each is told of several times.
  const cells = here.cells.with(microBatch, cell);
  return { ...book, stages: book.stages.with(stage, { ...here, cells }) };
}

function then({ book, effects }: StepOutcome, next: (book: StepBook) => StepOutcome): StepOutcome {
  const after = next(book);
  return { book: after.book, effects: [...effects, ...after.effects] };
}
