import { z } from "zod";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { keptChoice } from "./kept-choice.ts";
import type { ServedPlaces } from "./kept-choice.ts";

/** Both null: as usual. */
export interface WantedMicroBatches {
  /** The owner's word. */
  readonly said: number | null;
  /** What suits the network best, for a run that begins. */
  readonly chosen: number | null;
}

/** Into how many micro-batches a served run's steps are dealt. The run: as it would usually be dealt. */
export function keptMicroBatches(
  places: ServedPlaces,
  usual: Pick<RunSpec, "runId" | "microBatches">,
  { said, chosen }: WantedMicroBatches,
): number {
  return keptChoice(places, usual.runId, {
    file: "micro-batches.json",
    what: "how the steps of runs are dealt",
    schema: z.int().min(1).max(MOST_MICRO_BATCHES),
    earlier: usual.microBatches,
    said,
    chosen: chosen ?? usual.microBatches,
  });
}
