import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { storedJson } from "../policy/stored-json.ts";

/** Where a served network lies: its data folder, and the folder of its state in there. */
export interface ServedPlaces {
  readonly path: string;
  readonly network: string;
}

export interface Choice<T> {
  /** The file of the notes, and what they are in sentences: "how the steps of runs are dealt". */
  readonly file: string;
  readonly what: string;
  readonly schema: z.ZodType<T>;
  /** The owner's word; null: none. */
  readonly said: T | null;
  /** For a run that begins. */
  readonly chosen: T;
  /** What a version had that noted nothing: runs of a network that is there without notes were begun with it. */
  readonly earlier: T;
}

/**
 * A choice that is part of a served run's mathematics, and so of its name: a run goes on as it was begun, whatever
 * would be chosen today, unless its owner says otherwise. `runId`: as the run would be called without the choice.
 */
export function keptChoice<T>(
  { path, network }: ServedPlaces,
  runId: string,
  { file: name, what, schema, said, chosen, earlier }: Choice<T>,
): T {
  const file = storedJson(join(path, name), z.record(z.string(), schema), what);
  const before = file.read();
  const known = before?.[runId] ?? (before === null && existsSync(network) ? earlier : null);
  const choice = said ?? known ?? chosen;
  if (JSON.stringify(before?.[runId]) !== JSON.stringify(choice)) file.write({ ...before, [runId]: choice });
  return choice;
}
