import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { stagesOf } from "../../src-engine/stages.ts";
import { CHECKPOINT_MANIFEST_FILE, checkpointManifest } from "../../src-protocol/checkpoint-manifest.ts";
import type { CheckpointManifest } from "../../src-protocol/checkpoint-manifest.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { LlamaSpec, RunSpec } from "../../src-protocol/model.ts";
import type { WriteRunRequest } from "../../src-protocol/model-trial.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { parseRecord, RUN_RECORD_FILE } from "../../src-protocol/run-record.ts";
import { restoreCheckpointFile } from "../stage/snapshots.ts";
import { parametersIn, stageBytes } from "../stage/stage-memory.ts";
import { Scorer } from "../compute/scorer.ts";
import { writeTexts } from "./write-text.ts";

/** A vocabulary of bytes: its tokens are read without a tokenizer. */
const BYTES = 256;

/**
 * What the built-in model of a network's folder writes by now, as text. A character that was cut in the
 * middle at the end is left out.
 *
 * @throws Failure `nothing-stored`, `no-text`, `checkpoint-unusable`; as `restoreCheckpointFile`, `Scorer.openLlama`
 */
export async function writeRun(
  request: WriteRunRequest,
  threads: number,
): Promise<{ step: number; texts: string[] }> {
  const { networkFolder: folder, prompts, bytes, temperature, seed, mostMs } = request;
  const { run, manifest } = await newest(folder);
  const spec = byteModel(run);
  const weights = await storedWeights(folder, run, manifest);
  const shape = { batch: prompts.length, sequence: run.sequence, threads };
  const scorer = await Scorer.openLlama(spec, weights, shape);
  try {
    const written = await writeTexts(scorer, {
      prompts: prompts.map((prompt) => Array.from(new TextEncoder().encode(prompt))),
      tokens: bytes,
      temperature,
      seed,
      largestToken: BYTES - 1,
      end: null,
      mostMs,
    });
    const texts = written.map((text) => new TextDecoder().decode(Uint8Array.from(text), { stream: true }));
    return { step: manifest.step, texts };
  } finally {
    await scorer.close();
  }
}

function byteModel({ model }: RunSpec): LlamaSpec {
  if (model.kind === "llama" && model.vocabulary === BYTES) return model;
  throw new Failure(
    "no-text",
    "What this model writes are token numbers, and the run does not say which words they stand for. `tah model try` shows it for a model's file with its tokenizer.",
  );
}

async function newest(folder: string): Promise<{ run: RunSpec; manifest: CheckpointManifest }> {
  const read = (name: string): Promise<string | null> =>
    readFile(join(folder, name), "utf8").catch(() => null);
  const [record, list] = [await read(RUN_RECORD_FILE), await read(CHECKPOINT_MANIFEST_FILE)];
  if (record === null || list === null)
    throw new Failure(
      "nothing-stored",
      "Nothing is stored of this run yet: the first checkpoint comes after some steps.",
    );
  const { run } = parseRecord(record);
  const manifest = checkpointManifest.safeParse(JSON.parse(list));
  if (!manifest.success || manifest.data.runSha256 !== runDigest(run))
    throw new Failure("checkpoint-unusable", "The stored checkpoint belongs to another run.");
  return { run, manifest: manifest.data };
}

async function storedWeights(
  folder: string,
  run: RunSpec,
  { step, stages }: CheckpointManifest,
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const [index, stage] of stagesOf(run, null).entries()) {
    const file = stages[index]?.file;
    if (file === undefined) throw new Failure("checkpoint-unusable", "The stored checkpoint lacks a stage.");
    const memory = new SharedArrayBuffer(stageBytes(stage));
    await restoreCheckpointFile(join(folder, ...file.split("/")), { spec: run, stage: index }, step, memory);
    for (const [name, values] of parametersIn(stage, memory)) weights.set(name, Float32Array.from(values));
  }
  return weights;
}
