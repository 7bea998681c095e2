/** Bittensor's block time; the embedded network keeps the same beat. */
export const BLOCK_MS = 12_000;
/** Blocks of an epoch, as subnets have them. */
export const TEMPO_BLOCKS = 360;

/** Block of the embedded network's own clock: whole block times since its genesis. */
export function blockAt(genesis: number, now: number): number {
  return Math.max(0, Math.floor((now - genesis) / BLOCK_MS));
}

/** The first block of the epoch after the one that `block` is in. */
export function nextEpoch(block: number, tempo = TEMPO_BLOCKS): number {
  return (Math.floor(block / tempo) + 1) * tempo;
}

/** A block, and when it was by the wall clock. */
export interface BlockNote {
  readonly block: number;
  readonly at: number;
}

/**
 * The block that the network's own clock begins with in this life: never before one that was used. A wall
 * clock that was ahead and is right again stands still for that, and goes on from there.
 */
export function firstBlock(genesis: number, now: number, highest: number, noted: BlockNote | null): number {
  const counted =
    noted === null
      ? blockAt(genesis, now)
      : noted.block + Math.max(0, Math.floor((now - noted.at) / BLOCK_MS));
  return Math.max(highest, counted);
}

/** Counts blocks by a clock that nobody sets; `steady` in milliseconds. */
export function blockClock(first: number, steady: () => number): () => number {
  const start = steady();
  return () => first + Math.max(0, Math.floor((steady() - start) / BLOCK_MS));
}
