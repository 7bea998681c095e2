import { z } from "zod";

/** What this computer's own worker does. */
export const nodePhase = z.enum(["paused", "starting", "waiting", "loading", "training", "failed", "ending"]);
export type NodePhase = z.infer<typeof nodePhase>;
