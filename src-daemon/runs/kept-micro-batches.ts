import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { storedJson } from "../policy/stored-json.ts";

/** By the id of a run as it would usually be dealt. */
const begun = z.record(z.string(), z.int().min(1).max(MOST_MICRO_BATCHES));

/** Both null: as usual. */
export interface WantedMicroBatches {
  /** The owner's word. */
  readonly said: number | null;
  /** What suits the network best, for a run that begins. */
  readonly chosen: number | null;
}

/**
 * Into how many micro-batches a served run's steps are dealt. That is part of its mathematics, and so of its
 * name: a run goes on as it was begun, whatever would be chosen today, unless its owner says otherwise.
 *
 * `network`: the folder of the network's state; where there is one and no note of what its runs were begun
 * with, they were begun by a version that dealt all as usual.
 */
export function keptMicroBatches(
  { path, network }: { readonly path: string; readonly network: string },
  usual: Pick<RunSpec, "runId" | "microBatches">,
  { said, chosen }: WantedMicroBatches,
): number {
  const file = storedJson(join(path, "micro-batches.json"), begun, "how the steps of runs are dealt");
  const before = file.read();
  const known = before?.[usual.runId] ?? (before === null && existsSync(network) ? usual.microBatches : null);
  const count = said ?? known ?? chosen ?? usual.microBatches;
  if (before?.[usual.runId] !== count) file.write({ ...before, [usual.runId]: count });
  return count;
}
