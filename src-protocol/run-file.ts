import { z } from "zod";
import { MOST_MODEL_FILES } from "./decoder.ts";
import { runSpec } from "./model.ts";

/** A run as one program hands it to the daemon that it starts: JSON, in a file of its own. */
export const runFile = z.strictObject({
  run: runSpec,
  /** Paths of the text (or tokens) and of the model's files, in their order; none: the model is built in. */
  corpusFile: z.string().min(1),
  modelFiles: z.array(z.string().min(1)).max(MOST_MODEL_FILES).readonly(),
});
export type RunFile = z.infer<typeof runFile>;

export const RUN_FILE_LIMIT_BYTES = 1024 * 1024;
