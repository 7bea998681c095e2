import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { PAYLOAD_LIMIT_BYTES } from "../src-protocol/peer.ts";
import { type Cuttable, cutGraph, type Stage } from "./cut.ts";
import type { NodeCapacity } from "./cut-balance.ts";
import { sizeOf } from "./shape.ts";
import type { ParameterInfo } from "./stage.ts";
import { openModel } from "./trainable-model.ts";

/** What every stage is planned for: all alike, so that every computer cuts alike. */
const ALIKE: NodeCapacity = {
  memoryBytes: Number.POSITIVE_INFINITY,
  flopsPerSecond: 1e11,
  bytesPerSecond: 2.5e6,
};

export type StagedRun = Pick<RunSpec, "model" | "batch" | "sequence" | "stages"> &
  Partial<Pick<RunSpec, "arithmetic">>;

/**
 * The stages of a run: a pure function, so that all who take part cut alike.
 *
 * @throws Failure as `openModel` and `cutGraph`
 */
export function stagesOf(run: StagedRun, file: Uint8Array | null): Stage[] {
  return cutModel(openModel(run.model, run, file), run.stages);
}

/** @throws Failure of `cutGraph`, and `boundary-too-large` when a stage's output cannot be sent */
export function cutModel(model: Cuttable, stages: number): Stage[] {
  const cut = cutGraph(model, { stages, nodes: Array.from({ length: stages }, () => ALIKE) });
  for (const stage of cut) mustTravel(stage);
  return cut;
}

/** Activations travel as float32, whole, in one message. */
function mustTravel({ index, output }: Stage): void {
  const bytes = output === null ? 0 : sizeOf(output) * Float32Array.BYTES_PER_ELEMENT;
  if (bytes <= PAYLOAD_LIMIT_BYTES) return;
  throw new Failure(
    "boundary-too-large",
    `Stage ${index + 1} would send ${Math.ceil(bytes / 2 ** 20)} MiB for each micro-batch, and one message holds ${PAYLOAD_LIMIT_BYTES / 2 ** 20} MiB. ` +
      "Use a smaller batch, shorter sequences or fewer stages.",
  );
}

/** Parameters that several stages hold, in the order of the first that does. */
export function tiesOf(stages: readonly Pick<Stage, "parameters">[]): ParameterInfo[] {
  const seen = new Map<string, { info: ParameterInfo; stages: number }>();
  for (const { parameters } of stages) {
    for (const info of parameters)
      seen.set(info.name, { info, stages: (seen.get(info.name)?.stages ?? 0) + 1 });
  }
  return [...seen.values()].filter(({ stages }) => stages > 1).map(({ info }) => info);
}
