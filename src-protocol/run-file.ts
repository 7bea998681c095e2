import { z } from "zod";
import { runSpec } from "./model.ts";

/** A run as one program hands it to the daemon that it starts: JSON, in a file of its own. */
export const runFile = z.strictObject({
  run: runSpec,
  /** Paths of the text (or tokens) and of the model's file; null: the model is built in. */
  corpusFile: z.string().min(1),
  modelFile: z.string().min(1).nullable(),
});
export type RunFile = z.infer<typeof runFile>;

export const RUN_FILE_LIMIT_BYTES = 1024 * 1024;
