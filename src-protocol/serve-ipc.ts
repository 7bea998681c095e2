import { z } from "zod";
import { loadingProgress } from "./loading.ts";

/** A network that is served → the command that started it, over Node's IPC channel. */
export const serveToCli = z.discriminatedUnion("type", [
  /** Told again whenever the orchestrator is back. `folder`: where `operator.json` lies. */
  z.strictObject({ type: z.literal("listening"), url: z.url(), folder: z.string(), log: z.string() }),
  /** The data is read, before anything listens: how far it is. */
  z.strictObject({ type: z.literal("reading"), progress: loadingProgress }),
  /** The orchestrator has ended by itself; it is started again. */
  z.strictObject({ type: z.literal("trouble"), code: z.string(), message: z.string() }),
  /** Something that its operator should read; it goes on all the same. */
  z.strictObject({ type: z.literal("note"), text: z.string() }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
  z.strictObject({ type: z.literal("stopped") }),
]);
export type ServeMessage = z.infer<typeof serveToCli>;
