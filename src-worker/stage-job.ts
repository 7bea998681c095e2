import { Failure } from "../src-protocol/failure.ts";
import type { Activations } from "./compute-call.ts";
import type { Compute } from "./compute.ts";
import type { TensorJob } from "./pipeline-event.ts";
import type { Samples } from "./stage-samples.ts";
import type { Crossing } from "./tensor-message.ts";

/** What goes to the compute thread is given away by transfer: nothing is copied. */
export function runJob(
  compute: Pick<Compute, "call">,
  job: TensorJob<Crossing>,
  samples: Samples,
): Promise<JobAnswer> {
  const { kind, microBatch } = job;
  switch (kind) {
    case "forward":
    case "evaluate": {
      const input = job.input?.values ?? samples(job).inputs;
      return compute.call("forward", { microBatch, input, keep: kind === "forward" }, [input.buffer]);
    }
    case "backward": {
      const dy = job.input?.values;
      if (dy === undefined)
        throw new Failure("no-gradient", `Micro-batch ${microBatch} came back without its gradient.`);
      return compute.call("backward", { microBatch, dy }, [dy.buffer]);
    }
    case "tail":
    case "loss": {
      const { inputs, targets } = samples(job);
      const input = job.input?.values ?? inputs;
      return compute.call(kind, { input, targets }, [input.buffer, targets.buffer]);
    }
  }
}

interface JobAnswer {
  readonly answer:
    | { output: Activations | null }
    | { loss: number }
    | { loss: number; output: Activations | null };
  readonly ms: number;
}
