import type { TrainingData } from "../src-data/gather-data.ts";
import type { Stage } from "../src-engine/stage.ts";
import { cutModel } from "../src-engine/stages.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { isDealtAs } from "../src-protocol/run-size.ts";
import type { Dealt } from "../src-protocol/run-size.ts";
import type { ModelSource, TrainingOptions } from "./training-plan.ts";
import { runOf } from "./training-run.ts";

/**
 * Into how many micro-batches the sequences of a step are dealt; null: as usual. `stagesOf`: for a batch; it throws a
 * Failure for one that cannot be trained.
 */
export type Deal = (usual: RunSpec, stagesOf: (batch: number) => readonly Stage[]) => Dealt | null;

/** A run whose steps are dealt in a way, with its model and stages as that needs them. */
interface DealtRun {
  readonly run: RunSpec;
  readonly source: ModelSource;
  readonly stages: readonly Stage[];
}

/** A run goes on as it was begun; one that begins is dealt as suits its lines, where its model leaves that open. */
export function dealt(
  source: ModelSource,
  stages: readonly Stage[],
  options: TrainingOptions,
  of: { readonly data: TrainingData; readonly arithmetic: Arithmetic },
): DealtRun {
  const { deal, before = null, microBatches } = options;
  const shaped = (batch: number): Omit<DealtRun, "run"> => {
    if (batch === source.batch) return { source, stages };
    if (source.reshaped === null)
      throw new Failure("bad-option", `Its slices take micro-batches of ${source.batch} and no others.`);
    const its = source.reshaped(batch);
    return { source: its, stages: cutModel(its.trainable, stages.length) };
  };
  const into = (wanted: Dealt): DealtRun => {
    const its = shaped(wanted.batch);
    const { model, batch, sequence } = its.source;
    const run = runOf(options, {
      model,
      batch,
      microBatches: wanted.microBatches,
      sequence,
      stages: stages.length,
      ...of,
    });
    return { run, ...its };
  };
  const usual = into({ batch: source.batch, microBatches });
  if (deal === undefined || usual.run.runId === before?.runId) return usual;
  if (before !== null && (source.reshaped !== null || before.batch === source.batch)) {
    const again = into(before);
    if (again.run.runId === before.runId) return again;
  }
  const chosen = deal(usual.run, (batch) => shaped(batch).stages);
  return chosen === null || isDealtAs(chosen, usual.run) ? usual : into(chosen);
}
