import { z } from "zod";
import { bigintOf, orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { BLOCK_MS, firstBlock } from "./clock.ts";
import type { BlockNote } from "./clock.ts";

const note = z.strictObject({ block: z.int().nonnegative(), at: z.int().nonnegative() });

/** What the network's own clock begins with: see `firstBlock`. */
export function startBlock(store: Store, genesis: number, now: number): number {
  const row = store.get(
    `SELECT max(block) AS block FROM (SELECT max(block) AS block FROM receipts UNION ALL
       SELECT max(toBlock) FROM statements UNION ALL SELECT max(block) FROM claims UNION ALL SELECT max(block) FROM payments)`,
  );
  return firstBlock(genesis, now, Number(orNull(row?.block, bigintOf) ?? 0n), noted(store));
}

function noted(store: Store): BlockNote | null {
  const row = store.get("SELECT value FROM meta WHERE key = 'block'");
  if (row === null) return null;
  try {
    return note.parse(JSON.parse(textOf(row.value)));
  } catch {
    return null;
  }
}

/** Notes every new block with the wall clock's time, so that the next life goes on from there; the answer ends that. */
export function keepBlocks(
  store: Store,
  { block, now }: { readonly block: () => number; readonly now: () => number },
): () => void {
  let last = -1;
  const keep = (): void => {
    if (block() === last) return;
    last = block();
    const value = JSON.stringify({ block: last, at: Math.max(0, Math.floor(now())) } satisfies BlockNote);
    // A disk that fails is told by the store itself.
    store
      .write(() => store.run("INSERT OR REPLACE INTO meta VALUES ('block', :value)", { value }))
      .catch(() => {});
  };
  keep();
  const timer = setInterval(keep, BLOCK_MS).unref();
  return () => clearInterval(timer);
}
