import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { BLOBS_FOLDER, blobFile } from "../src-protocol/blob-file.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { verifyMessage } from "../src-protocol/verify.ts";
import type { VerifyMessage, VerifyOutcome, VerifyRequest } from "../src-protocol/verify.ts";
import { openModelFolder, SINGLE_FILE } from "./folders/model-folder.ts";
import { openModel } from "./model-folder.ts";
import { packedModel } from "./model-weights.ts";
import { openRecord } from "./run-record-file.ts";
import type { RecordOnDisk } from "./run-record-file.ts";
import { prepareApart } from "../src-data/prepared/prepare-apart.ts";
import { sayProgress } from "./data-text.ts";
import { preparedFolder } from "./prepared-folder.ts";
import { readManifest } from "./trained-weights.ts";

const VERIFY_SCRIPT = join(import.meta.dirname, "..", "src-worker", "replay", "verify-main.ts");
const SAY_EVERY_MS = 2_000;

export interface VerifyOptions {
  /** A record, a trained model that has one beside it, or the folder of a network. */
  readonly file: string;
  /** Null: all that are recorded after the start. Both ends count. */
  readonly steps: { readonly from: number; readonly to: number } | null;
  readonly stage: number | null;
  /** The folder that the run was trained on, and the model's file before it: where the record's folder has neither. */
  readonly data: string | null;
  readonly model: string | null;
  /** As for the training, where it named them. */
  readonly column: string | null;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** What came of it, in figures. */
export interface VerifyResult extends VerifyOutcome {
  readonly record: string;
  readonly runSha256: string;
  readonly arithmetic: Arithmetic;
  /** The first step whose links were compared. */
  readonly from: number;
}

/**
 * `tah run verify`: does a recorded run again on this computer, from the seed or from a checkpoint
 * that the network's folder has, and compares every link.
 *
 * @throws Failure that says what is missing; a difference is no failure but a result
 */
export async function verifyRun(options: VerifyOptions, say: (text: string) => void): Promise<VerifyResult> {
  const record = openRecord(options.file);
  const range = rangeOf(record, options);
  const temporary = mkdtempSync(join(tmpdir(), "train-at-home-verify-"));
  try {
    const checkpoint = checkpointBefore(record, options.steps === null ? Infinity : range.from, temporary);
    const from = options.steps === null ? Math.max(range.from, (checkpoint?.step ?? 0) + 1) : range.from;
    const files = await filesOf(record, options, temporary, say);
    const request = { ...files, record: record.path, checkpoint, stage: options.stage, from, to: range.to };
    say(
      `Doing steps ${(checkpoint?.step ?? 0) + 1} to ${range.to} again, from ${checkpoint === null ? "the seed" : `the checkpoint of step ${checkpoint.step}`} …`,
    );
    const outcome = await repeated(request, say);
    const { run, path } = record;
    return { record: path, runSha256: runDigest(run), arithmetic: run.arithmetic, from, ...outcome };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function rangeOf(
  { links, run }: RecordOnDisk,
  { steps, stage }: VerifyOptions,
): { from: number; to: number } {
  if (stage !== null && stage >= run.stages)
    throw new Failure("no-such-stage", `The run has ${run.stages} stages; --stage counts from 1.`);
  const recorded = [...links.keys()];
  const [first, last] = [Math.min(...recorded), Math.max(...recorded)];
  if (recorded.length === 0)
    throw new Failure("record-empty", "The record has no steps yet, so there is nothing to compare.");
  if (steps === null) return { from: first, to: last };
  if (steps.to >= first && steps.from <= last) return { from: steps.from, to: Math.min(steps.to, last) };
  throw new Failure(
    "no-such-steps",
    `The record has steps ${first} to ${last}, none of ${steps.from} to ${steps.to}.`,
  );
}

/** The network's newest checkpoint before the first step that is to be compared, if it has one. */
function checkpointBefore(
  { folder, run, links }: RecordOnDisk,
  from: number,
  temporary: string,
): VerifyRequest["checkpoint"] {
  const manifest = readManifest(folder);
  if (manifest === null || manifest.runSha256 !== runDigest(run)) return null;
  const { step, stages, earlier = [] } = manifest;
  // Without a recorded step after it there would be nothing to compare.
  const found = [{ step, stages }, ...earlier].find((each) => each.step < from && links.has(each.step + 1));
  if (found === undefined) return null;
  const files = found.stages.map(({ file }, stage) =>
    held(join(folder, ...file.split("/")), join(temporary, `stage-${stage}.snapshot`)),
  );
  return { step: found.step, files };
}

/** A network that goes on may let an old checkpoint go meanwhile: a second name keeps it, where the disk can. */
function held(file: string, name: string): string {
  try {
    linkSync(file, name);
    return name;
  } catch {
    return file;
  }
}

/** Text and model, by their digests: from the network's store, or made again from what they were made of. */
async function filesOf(
  { run, folder }: RecordOnDisk,
  options: VerifyOptions,
  temporary: string,
  say: (text: string) => void,
): Promise<Pick<VerifyRequest, "corpusFile" | "modelFiles">> {
  const stored = (sha256: string): string | null => {
    const path = join(folder, BLOBS_FOLDER, ...blobFile(sha256).split("/"));
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? path : null;
  };
  const modelFiles: string[] = [];
  if (run.model.kind === "onnx") {
    const { sha256 } = run.model.file;
    const modelFile = stored(sha256) ?? packedAgain(options.model, join(temporary, "model.onnx"));
    modelFiles.push(modelFile);
    await mustBe(modelFile, sha256, "model", "--model");
  }
  if (run.model.kind === "decoder") {
    for (const [index, { sha256 }] of run.model.files.entries()) {
      const file = stored(sha256) ?? fileOfFolder(options.model, index);
      modelFiles.push(file);
      await mustBe(file, sha256, "model", "--model");
    }
  }
  const corpusFile = stored(run.corpus.sha256) ?? (await preparedAgain(run, options, say));
  await mustBe(corpusFile, run.corpus.sha256, "data", "--data");
  return { corpusFile, modelFiles };
}

function fileOfFolder(model: string | null, index: number): string {
  if (model === null)
    throw new Failure(
      "model-needed",
      "The record's folder does not have the model. Name the folder that was trained, as it was before, with --model.",
    );
  const folder = openModelFolder(model);
  folder.close();
  return folder.paths[index] ?? join(model, SINGLE_FILE);
}

function packedAgain(model: string | null, into: string): string {
  if (model === null)
    throw new Failure(
      "model-needed",
      "The record's folder does not have the model. Name the ONNX file that was trained, as it was before, with --model.",
    );
  const { bytes, readExternal } = openModel(model);
  writeFileSync(into, packedModel(bytes, readExternal), { mode: 0o600 });
  return into;
}

async function preparedAgain(
  { model: { vocabulary } }: RunSpec,
  { data, model, column, include, exclude }: VerifyOptions,
  say: (text: string) => void,
): Promise<string> {
  if (data === null)
    throw new Failure(
      "data-needed",
      "The record's folder does not have the data. Name the folder that was trained on with --data.",
    );
  const wanted = {
    given: data,
    cache: preparedFolder(),
    vocabulary,
    model: basename(model ?? "the model"),
    tokenizers: [...(model === null ? [] : [model]), data],
    column,
    include: [...include],
    exclude: [...exclude],
  };
  return (await prepareApart(wanted, { onProgress: sayProgress(say) })).file;
}

async function mustBe(path: string, sha256: string, what: string, option: string): Promise<void> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  if (hash.digest("hex") === sha256) return;
  throw new Failure(
    `${what}-mismatch`,
    `The ${what} is not what the run was trained with: its digest is another one. Name the one from before the training, unchanged, with ${option}.`,
  );
}

/** In a process of its own: ONNX Runtime is told before it loads to leave nothing on this computer. */
async function repeated(request: VerifyRequest, say: (text: string) => void): Promise<VerifyOutcome> {
  const child = spawn(process.execPath, [VERIFY_SCRIPT], {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let complaint = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  child.once("close", () => resolve());
  child.once("error", (error) => {
    complaint += error.message;
    resolve();
  });
  let last: Exclude<VerifyMessage, { type: "repeated" }> | null = null;
  let saidAt = performance.now();
  child.on("message", (words) => {
    const message = verifyMessage.parse(words);
    if (message.type !== "repeated") last = message;
    else if (performance.now() - saidAt > SAY_EVERY_MS) {
      saidAt = performance.now();
      say(`step ${message.step} of ${request.to}${message.isCompared ? ", the same so far" : ""}`);
    }
  });
  child.send(request);
  await ended;
  return answerOf(last, complaint);
}

function answerOf(
  last: Exclude<VerifyMessage, { type: "repeated" }> | null,
  complaint: string,
): VerifyOutcome {
  if (last?.type === "done") return last.outcome;
  if (last?.type === "failed") throw new Failure(last.code, last.message);
  throw new Failure(
    "verify-ended",
    `The process that did the run again ended before it was done. ${complaint.trim()}`.slice(0, 2000),
  );
}

/** What came of it, for a person. */
export function verifyText(result: VerifyResult): string {
  const { differs, same, startStep, from, step, parametersSha256, arithmetic } = result;
  const links = `${same} ${same === 1 ? "link" : "links"}`;
  if (differs === null)
    return [
      `The same: ${links} of steps ${from} to ${step}.`,
      `The parameters after step ${step}: ${parametersSha256}`,
    ].join("\n");
  const stages = differs.stages.map(({ stage }) => stage + 1).join(", ");
  const isStart = differs.step === startStep;
  return [
    isStart
      ? `The stored state of step ${startStep} is not that of the record, stage ${stages}; nothing was done again.`
      : `Different from step ${differs.step} on, stage ${stages}; before it ${links} are the same.`,
    ...differs.stages.map(
      ({ stage, recorded, repeated: again }) =>
        `  stage ${stage + 1}: recorded ${recorded}, ${isStart ? "stored" : "again"} ${again}`,
    ),
    ...(arithmetic === "exact"
      ? []
      : [
          "This run is of the class fast: another processor, or another number of threads, makes other bits honestly.",
        ]),
  ].join("\n");
}
