import { z } from "zod";

/** What this computer's own worker does. */
export const nodePhase = z.enum(["paused", "starting", "waiting", "loading", "training", "failed", "ending"]);
export type NodePhase = z.infer<typeof nodePhase>;

/** What a worker says that is let in, and has not been given a slice or told why it has none. */
export const NO_SLICE_YET = "Waiting for a slice to train.";

/** How a run's sentence begins that waits, for a while, for what would be lost without a computer that has gone. */
export const NEWEST_WORK_AWAY = "Waiting for a computer that has the newest work";
