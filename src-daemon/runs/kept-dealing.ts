import { z } from "zod";
import { MOST_MICRO_BATCHES } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { dealtInto, dealtSteps } from "../../src-protocol/run-size.ts";
import type { Dealt } from "../../src-protocol/run-size.ts";
import { keptChoice } from "./kept-choice.ts";
import type { ServedPlaces } from "./kept-choice.ts";

/** Both null: as usual. */
export interface WantedDealing {
  /** The owner's word. */
  readonly said: Dealt | null;
  /** What suits the network best, for a run that begins. */
  readonly chosen: Dealt | null;
}

/** Earlier versions, which noted only the number of micro-batches, knew none that are larger than usual. */
const noted = z.union([z.int().min(1).max(MOST_MICRO_BATCHES), dealtSteps]);

/** How a served run's steps are dealt. The run: as it would usually be dealt. */
export function keptDealing(
  places: ServedPlaces,
  usual: Pick<RunSpec, "runId" | "batch" | "microBatches">,
  { said, chosen }: WantedDealing,
): Dealt {
  // A number says as much of most, and earlier versions read it.
  const note = (dealt: Dealt): z.infer<typeof noted> => {
    const sequences = usual.batch * usual.microBatches;
    const isLarger = dealt.microBatches > sequences;
    const isSaid = isLarger ? dealt.batch === usual.batch : dealt.batch * dealt.microBatches === sequences;
    return isSaid ? dealt.microBatches : dealt;
  };
  const kept = keptChoice(places, usual.runId, {
    file: "micro-batches.json",
    what: "how the steps of runs are dealt",
    schema: noted,
    earlier: usual.microBatches,
    said: said === null ? null : note(said),
    chosen: note(chosen ?? usual),
  });
  return typeof kept === "number" ? dealtInto(kept, usual) : kept;
}
