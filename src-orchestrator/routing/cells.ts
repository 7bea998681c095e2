import type { SessionKey } from "../../src-protocol/keys.ts";

/** A micro-batch on one stage. */
export interface Cell {
  /** Null: nobody yet, or the one before was fenced. */
  readonly owner: SessionKey | null;
  /** Its gradient is in the owner's sum. */
  readonly isCounted: boolean;
  /** One that is fenced had counted it: so the neighbours have all they need of it, and nobody waits for it. */
  readonly isAgain: boolean;
}

/**
 * All micro-batches of a step on one stage. A step may have tens of thousands, and each is told of several times: of
 * a change only the part that it is in is copied, and what is asked for each time is counted. Plain data, since it
 * is written down with the run.
 */
export interface Cells {
  readonly count: number;
  readonly counted: number;
  readonly parts: readonly Part[];
}

interface Part {
  readonly cells: readonly Cell[];
  /** Of these nobody owns so many; and of those, so many are not to be done again. */
  readonly open: number;
  readonly fresh: number;
}

/** About the square root of how many there are in large steps: as many parts as there are in each. */
const PART = 128;

export const OPEN: Cell = { owner: null, isCounted: false, isAgain: false };

export function openCells(count: number): Cells {
  const parts = Array.from({ length: Math.ceil(count / PART) }, (_, part): Part => {
    const open = Math.min(PART, count - part * PART);
    return { cells: Array.from({ length: open }, () => OPEN), open, fresh: open };
  });
  return { count, counted: 0, parts };
}

export function cellAt({ parts }: Cells, microBatch: number): Cell | undefined {
  return parts[Math.floor(microBatch / PART)]?.cells[microBatch % PART];
}

export function withCell(cells: Cells, microBatch: number, cell: Cell): Cells {
  const at = Math.floor(microBatch / PART);
  const part = cells.parts[at];
  const before = part?.cells[microBatch % PART];
  if (part === undefined || before === undefined) return cells;
  const open = part.open + Number(isOpen(cell)) - Number(isOpen(before));
  const fresh = part.fresh + Number(isFresh(cell)) - Number(isFresh(before));
  const parts = cells.parts.with(at, { cells: part.cells.with(microBatch % PART, cell), open, fresh });
  return { ...cells, counted: cells.counted + Number(cell.isCounted) - Number(before.isCounted), parts };
}

function isOpen({ owner }: Cell): boolean {
  return owner === null;
}

function isFresh(cell: Cell): boolean {
  return isOpen(cell) && !cell.isAgain;
}

/** The lowest micro-batch that nobody owns; those that nobody waits for come last. */
export function firstOpen({ parts }: Cells): number | null {
  const fresh = parts.findIndex((each) => each.fresh > 0);
  const part = fresh === -1 ? parts.findIndex(({ open }) => open > 0) : fresh;
  const at = parts[part]?.cells.findIndex(fresh === -1 ? isOpen : isFresh) ?? -1;
  return at === -1 ? null : part * PART + at;
}

export function allCells({ parts }: Cells): Cell[] {
  return parts.flatMap(({ cells }) => cells);
}

/** Micro-batches that are not the same in both. */
export function* changedCells(before: Cells, now: Cells): Iterable<number> {
  if (before === now) return;
  for (const [at, part] of now.parts.entries()) {
    const its = before.parts[at];
    if (its === part) continue;
    for (const [index, cell] of part.cells.entries()) if (its?.cells[index] !== cell) yield at * PART + index;
  }
}

/** Of each owner, in the order of their keys: so sums are added. */
export function ownedCells({ parts }: Cells): ReadonlyMap<SessionKey, number[]> {
  const owned = new Map<SessionKey, number[]>();
  for (const [at, { cells }] of parts.entries())
    for (const [index, { owner }] of cells.entries()) {
      if (owner === null) continue;
      const its = owned.get(owner);
      if (its === undefined) owned.set(owner, [at * PART + index]);
      else its.push(at * PART + index);
    }
  return new Map([...owned].sort(([a], [b]) => (a < b ? -1 : 1)));
}
