import { Failure } from "../../src-protocol/failure.ts";
import type { Activations, StageData } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import type { TensorJob } from "../pipeline/pipeline-event.ts";
import type { Samples } from "./stage-samples.ts";
import type { Crossing } from "./tensor-message.ts";

export interface GivenJob {
  readonly answered: Promise<JobAnswer>;
}

export async function runJob(
  compute: Pick<Compute, "call">,
  job: TensorJob<Crossing>,
  samples: Samples,
): Promise<JobAnswer> {
  return await (
    await giveJob(compute, job, samples)
  ).answered;
}

/**
 * Resolves when the compute thread has the job: what is asked of it next comes after. What goes there is given
 * away by transfer: nothing is copied. `note`: of the sums after it, see `Noted`.
 */
export async function giveJob(
  compute: Pick<Compute, "call">,
  job: TensorJob<Crossing>,
  samples: Samples,
  note?: number,
): Promise<GivenJob> {
  const { kind, microBatch } = job;
  switch (kind) {
    case "forward":
    case "evaluate": {
      const { x, data, buffers } = await inputOf(job, samples);
      return given(compute.call("forward", { microBatch, x, data, keep: kind === "forward" }, buffers));
    }
    case "backward": {
      const dy = job.input?.values;
      if (dy === undefined)
        throw new Failure("no-gradient", `Micro-batch ${microBatch} came back without its gradient.`);
      return given(compute.call("backward", { microBatch, dy, note }, [dy.buffer]));
    }
    case "tail": {
      const { x, data, buffers } = await inputOf(job, samples);
      return given(compute.call("tail", { x, data, note }, buffers));
    }
    case "loss": {
      const { x, data, buffers } = await inputOf(job, samples);
      return given(compute.call("loss", { x, data }, buffers));
    }
    case "tie": {
      const values = job.input?.values ?? null;
      const { add, set } = job;
      return given(compute.call("tie", { values, add, set }, values === null ? [] : [values.buffer]));
    }
  }
}

/** A failure is told to whoever waits for the answer, which may be later. */
function given(answered: Promise<JobAnswer>): GivenJob {
  answered.catch(() => undefined);
  return { answered };
}

async function inputOf(
  job: TensorJob<Crossing>,
  samples: Samples,
): Promise<{ x: Activations | null; data: StageData; buffers: ArrayBuffer[] }> {
  const x = job.input?.values ?? null;
  const data = await samples(job);
  const buffers = [x, ...Object.values(data)].flatMap((array) => (array ? [array.buffer] : []));
  return { x, data, buffers };
}

export interface JobAnswer {
  readonly answer:
    | { output: Activations | null }
    | { loss: number }
    | { loss: number; output: Activations | null };
  readonly ms: number;
}
