import type { SessionKey } from "../../src-protocol/keys.ts";
import { ownerAt } from "../routing/step-book.ts";
import { valueAt, withValue } from "./by-micro-batch.ts";
import type { ByMicroBatch } from "./by-micro-batch.ts";
import type { Evaluation, ReplicaMessage, ReplicaRun } from "./replica-run.ts";

/** As each tail has told it that has counted the micro-batch. */
export type Losses = ByMicroBatch<ReadonlyMap<SessionKey, number>>;

export function withLoss(losses: Losses, microBatch: number, tail: SessionKey, loss: number): Losses {
  return withValue(losses, microBatch, new Map(valueAt(losses, microBatch)).set(tail, loss));
}

/** The held-out loss, each micro-batch of which a head is asked for. */
export function evaluationOf(count: number, now: number): Evaluation {
  return { count, waiting: Array.from({ length: count }, (_, i) => i), losses: new Map(), since: now };
}

/** Evaluations that have not come may have been with whoever is lost: doing one twice harms nobody. */
export function again(evaluation: Evaluation | null, now: number): Evaluation | null {
  if (evaluation === null) return null;
  const { count, losses } = evaluation;
  const waiting = Array.from({ length: count }, (_, i) => i).filter((i) => !losses.has(i));
  return { ...evaluation, waiting, since: now };
}

/** A tail has told one of them. `loss`: of all, once all are told; else null. */
export function measured(
  run: ReplicaRun,
  stage: number,
  { step, microBatch, loss }: Extract<ReplicaMessage, { type: "measured" }>,
): { readonly run: ReplicaRun; readonly loss: number | null } {
  const { evaluation } = run;
  if (stage !== run.stages - 1 || step !== run.step || evaluation === null) return { run, loss: null };
  if (microBatch >= evaluation.count || evaluation.losses.has(microBatch)) return { run, loss: null };
  const losses = new Map(evaluation.losses).set(microBatch, loss);
  if (losses.size < evaluation.count)
    return { run: { ...run, evaluation: { ...evaluation, losses } }, loss: null };
  return {
    run: { ...run, evaluation: null, evaluatedStep: step },
    loss: mean(evaluation.count, (i) => losses.get(i)),
  };
}

/** Of the step, as those have told it who count; null: one of them is no number. */
export function lossOf({ book, losses, run }: ReplicaRun): number | null {
  const tail = book.stages.length - 1;
  const loss = mean(run.microBatches, (i) => {
    const owner = ownerAt(book, tail, i);
    return owner === null ? undefined : valueAt(losses, i)?.get(owner);
  });
  return Number.isFinite(loss) ? loss : null;
}

function mean(count: number, of: (index: number) => number | undefined): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += of(i) ?? Number.NaN;
  return sum / count;
}
