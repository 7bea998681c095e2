import { z } from "zod";
import { preparedIndex } from "./prepared-index.ts";

/** From a process that prepares data to the one that started it, over Node's IPC channel. */
export const preparingMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("progress"),
    progress: z.strictObject({
      stage: z.enum(["looking", "resuming", "reading"]),
      file: z.string(),
      bytes: z.number(),
      totalBytes: z.number(),
      tokens: z.number(),
    }),
  }),
  z.strictObject({
    type: z.literal("done"),
    data: preparedIndex.extend({ file: z.string(), index: z.string() }),
  }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type PreparingMessage = z.infer<typeof preparingMessage>;
