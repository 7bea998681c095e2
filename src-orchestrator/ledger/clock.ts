/** Bittensor's block time; the embedded network keeps the same beat. */
export const BLOCK_MS = 12_000;

/** Block of the embedded network's own clock: whole block times since its genesis. */
export function blockAt(genesis: number, now: number): number {
  return Math.max(0, Math.floor((now - genesis) / BLOCK_MS));
}
