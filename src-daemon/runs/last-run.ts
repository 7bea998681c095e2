import { join } from "node:path";
import { z } from "zod";
import { ANOTHER_RUN } from "../state/status-line.ts";
import { storedJson } from "../policy/stored-json.ts";

const lastRun = z.strictObject({
  runId: z.string(),
  /** As its owner knows it: what it learns from. */
  corpus: z.string(),
  /** The folder or file that was named with `--data`; null: the product's own texts. */
  data: z.string().nullable(),
});
export type LastRun = z.infer<typeof lastRun>;

/**
 * Which run the embedded network had last. Whoever leaves `--data` out the next time begins another one, and
 * would take its step 0 for a loss: they are told, and how to go on with the one before.
 *
 * @returns the sentence; null: it is the same run, or the first one
 */
export function noteRun(folder: string, run: LastRun): string | null {
  const file = storedJson(join(folder, "last-run.json"), lastRun, "which run was last");
  const before = file.read();
  if (before?.runId !== run.runId) file.write(run);
  if (before === null || before.runId === run.runId) return null;
  const how = before.data === null ? "start without --data" : `start with --data ${before.data}`;
  return `${ANOTHER_RUN}, on ${run.corpus}. The one on ${before.corpus} is kept as it was: ${how} to go on with it.`;
}
