import type { SessionKey } from "./keys.ts";
import { sha256 } from "./signing.ts";

/**
 * How the gradient sums of a stage's replicas are cut, and who adds up what: for the orchestrator, which
 * compares what they say, as for themselves. Not for the renderer.
 */

/** Up to so many replicas everybody adds everything: with more, cutting sends less. */
const MOST_THAT_ADD_ALL = 4;

export function shardCount(replicas: number): number {
  return replicas > MOST_THAT_ADD_ALL ? replicas : 1;
}

/** The values from the first number to the one before the second. */
export function shardBounds(length: number, shards: number, shard: number): readonly [number, number] {
  return [Math.floor((length * shard) / shards), Math.floor((length * (shard + 1)) / shards)];
}

/** Who adds up a shard: the first one gives it to all who do not. */
export function addersOf(
  {
    live,
    shards,
    isRecount,
  }: { readonly live: readonly SessionKey[]; readonly shards: number; readonly isRecount: boolean },
  shard: number,
): readonly SessionKey[] {
  if (shards === 1 || isRecount) return live;
  return [shard, shard + 1].flatMap((at) => live[at % live.length] ?? []);
}

/** What a replica signs of its sum, by the digests of its shards. */
export function sumRoot(digests: readonly string[]): string {
  return sha256(digests.join("\n"));
}
