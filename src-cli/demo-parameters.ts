import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { cutModel } from "../src-engine/stages.ts";
import { openModel } from "../src-engine/trainable-model.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { RUN_RECORD_FILE } from "../src-protocol/run-record.ts";
import { openRecord } from "./run-record-file.ts";
import { readManifest, readTrainedWeights } from "./trained-weights.ts";

export interface FinalParameters {
  readonly arithmetic: Arithmetic;
  /** Of all parameters after the last step (parameters-digest.ts). */
  readonly parametersSha256: string;
}

/** The last checkpoint is uploaded in the background. */
const STORED_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 50;

/** What an embedded network has trained, from its folder, as soon as every stage has stored its last step. */
export async function finalParameters(
  network: string,
  steps: number,
  withinMs = STORED_WITHIN_MS,
): Promise<FinalParameters> {
  const deadline = performance.now() + withinMs;
  while (readManifest(network)?.step !== steps) {
    if (performance.now() > deadline)
      throw new Failure(
        "demo-not-stored",
        `The parameters of step ${steps} were not stored in ${withinMs / 1000} seconds.`,
      );
    await wait(LOOK_EVERY_MS);
  }
  const { run } = openRecord(join(network, RUN_RECORD_FILE));
  const trained = readTrainedWeights(network, run, cutModel(openModel(run.model, run, null), run.stages));
  if (trained === null) throw new Failure("demo-not-stored", "The trained parameters are gone.");
  return { arithmetic: run.arithmetic, parametersSha256: parametersSha256(trained.weights) };
}
