import type { RunSpec } from "../src-protocol/model.ts";
import { trainSingle } from "../src-worker/replay/single.ts";

/** Of every step's loss, the largest difference to one process that nothing happens to, at equal tokens; nats. */
export async function lossDifference(
  spec: RunSpec,
  corpus: Uint8Array,
  points: readonly { readonly step: number; readonly loss: number }[],
  mostSteps: number,
): Promise<number> {
  const told = new Map(points.map(({ step, loss }) => [step, loss]));
  const steps = Math.min(mostSteps, Math.max(...told.keys()));
  const alone = await trainSingle({ spec, corpus, steps, threads: 1 });
  return alone.reduce((most, { step, loss }) => {
    const its = told.get(step);
    return its === undefined ? most : Math.max(most, Math.abs(its - loss));
  }, 0);
}
