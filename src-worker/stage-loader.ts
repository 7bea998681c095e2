import { cutModel } from "../src-engine/stage.ts";
import { Failure } from "../src-protocol/failure.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES } from "../src-protocol/snapshot.ts";
import type { Blobs } from "./blobs.ts";
import type { Compute } from "./compute.ts";
import { restoreCheckpoint } from "./snapshots.ts";
import type { Snapshots, StageOfRun } from "./snapshots.ts";
import { stageBytes } from "./stage-memory.ts";

export interface LoadRequest extends StageOfRun {
  readonly resumeStep: number;
  readonly checkpointSha256: string | null;
}

/** Brings a stage to a step from the nearest place that has it: memory, own disk, the network's checkpoint, the seed. */
export class StageLoader {
  readonly #compute: Pick<Compute, "call">;
  readonly #snapshots: Snapshots;
  readonly #blobs: Pick<Blobs, "get">;
  #held: { readonly key: string; readonly memory: SharedArrayBuffer } | null = null;
  /** The step of the held parameters; null while they are being overwritten. */
  #step: number | null = null;

  constructor(compute: Pick<Compute, "call">, snapshots: Snapshots, blobs: Pick<Blobs, "get">) {
    this.#compute = compute;
    this.#snapshots = snapshots;
    this.#blobs = blobs;
  }

  parametersAt(step: number | null): void {
    this.#step = step;
  }

  /** Nothing may use the held memory meanwhile. Rejects with the Failure that says what is missing. */
  async load(request: LoadRequest, signal: AbortSignal): Promise<SharedArrayBuffer> {
    const { spec, stage, resumeStep } = request;
    const key = `${runDigest(spec)}/${stage}`;
    if (this.#held?.key === key && this.#step === resumeStep) {
      await this.#compute.call("reset", {});
      return this.#held.memory;
    }
    const plan = cutModel(spec.model, spec.stages)[stage];
    if (plan === undefined)
      throw new Failure("no-such-stage", `The run has ${spec.stages} stages, so there is no stage ${stage}.`);
    const memory = this.#held?.key === key ? this.#held.memory : new SharedArrayBuffer(stageBytes(plan));
    this.#held = { key, memory };
    this.#step = null;
    const seed = await this.#fill(request, memory, signal);
    await this.#compute.call("load", { spec: { ...spec, stage }, memory, seed });
    this.#step = resumeStep;
    return memory;
  }

  /** The seed to make initial parameters from, or null when `memory` is filled. */
  async #fill(request: LoadRequest, memory: SharedArrayBuffer, signal: AbortSignal): Promise<number | null> {
    const { spec, stage, resumeStep, checkpointSha256 } = request;
    if (await this.#snapshots.restore(request, resumeStep, memory)) return null;
    if (checkpointSha256 !== null) {
      const bytes = await this.#blobs.get(
        checkpointSha256,
        SNAPSHOT_HEADER_BYTES + memory.byteLength,
        signal,
      );
      await restoreCheckpoint(bytes, request, resumeStep, memory);
      return null;
    }
    if (resumeStep === 0) return spec.seed;
    throw new Failure(
      "snapshot-missing",
      `This node has no usable snapshot of stage ${stage} at step ${resumeStep}, and the network named no checkpoint.`,
    );
  }
}
