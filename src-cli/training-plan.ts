import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { DataProgress, TrainingData } from "../src-data/gather-data.ts";
import { prepareApart } from "../src-data/prepared/prepare-apart.ts";
import type { Stage } from "../src-engine/stage.ts";
import { cutModel } from "../src-engine/stages.ts";
import { openModel as openTrainable } from "../src-engine/trainable-model.ts";
import type { TrainableModel } from "../src-engine/trainable-model.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { LinkCodecs } from "../src-protocol/link-codecs.ts";
import type { DecoderSpec } from "../src-protocol/decoder.ts";
import type { OnnxSpec, RunSpec } from "../src-protocol/model.ts";
import { preparedFolder } from "./prepared-folder.ts";
import { folderSource } from "./folders/folder-source.ts";
import { isModelFolder, openModelFolder } from "./folders/model-folder.ts";
import type { ModelFolder } from "./folders/model-folder.ts";
import { openModel } from "./model-folder.ts";
import { scoresOf } from "./model-scores.ts";
import { fixedNotes, rolesOf } from "./model-roles.ts";
import type { RoleOptions, Roles } from "./model-roles.ts";
import { lookAt, mustSeeItsText } from "./model-sight.ts";
import { packedModel } from "./model-weights.ts";
import { dealt } from "./step-dealing.ts";
import type { Deal } from "./step-dealing.ts";
import { trainingArithmetic } from "./training-arithmetic.ts";
import type { WantedArithmetic } from "./training-arithmetic.ts";
import { mustFitDisk, mustFitMemory } from "./training-room.ts";
import { mustBeLongEnough } from "./training-run.ts";

export interface TrainingOptions extends RoleOptions {
  readonly model: string;
  readonly data: string;
  /** Of records in the data: which column is the text; null: the usual ones. */
  readonly column: string | null;
  /** Names of data files that are taken whatever they look like, and of those that are not. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly steps: number;
  /** null: three, or as many as the model can be cut into. */
  readonly stages: number | null;
  readonly microBatches: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly freeze: readonly string[];
  readonly train: readonly string[];
  /** Not given: one's own computer's. */
  readonly arithmetic?: WantedArithmetic;
  /** Of its links; not given: values travel as they are. */
  readonly codecs?: LinkCodecs;
  /** A run that goes on as it was begun, should this be it. */
  readonly before?: RunSpec | null;
  /** In its own codecs, too: nobody has named others. */
  readonly keepsCodecs?: boolean;
  /** How the steps of a run that begins are dealt; not given: as `microBatches` says, also where one goes on. */
  readonly deal?: Deal;
}

/** What is about to be trained, checked as far as it can be before any process starts. */
export interface TrainingPlan {
  readonly run: RunSpec;
  readonly stages: readonly Stage[];
  readonly data: TrainingData;
  /** An ONNX model in one file; null: the model is a folder. */
  readonly packed: Uint8Array | null;
  /** Open; its caller closes it. */
  readonly folder: ModelFolder | null;
  /** Paths. */
  readonly modelFiles: readonly string[];
  readonly corpusFile: string;
  readonly parameterCount: number;
  /** Of all processes together, at its peak. */
  readonly memoryBytes: number;
  readonly notes: readonly string[];
}

/** A model as a person has it. */
export interface ModelSource extends Pick<TrainingPlan, "packed" | "folder" | "notes"> {
  readonly model: OnnxSpec | DecoderSpec;
  readonly trainable: TrainableModel;
  readonly batch: number;
  readonly sequence: number;
  readonly fileBytes: number;
  /** Of its inputs and outputs; null: they are known to be right. */
  readonly roles: Roles | null;
  /** The same for so many sequences at a time; null: the file, or a person, says how many. */
  readonly reshaped: ((batch: number) => ModelSource) | null;
}

const USUAL_STAGES = 3;

/**
 * `folder`: an empty one of this training's own, which gets the model. The data is read once into
 * `cache` (the user's data folder), and not again while its files stay as they are.
 */
export async function planTraining(
  options: TrainingOptions,
  folder: string,
  reading: {
    cache?: string;
    signal?: AbortSignal;
    onProgress?: (progress: DataProgress) => void;
    say?: (text: string) => void;
  } = {},
): Promise<TrainingPlan> {
  if (!isModelFolder(options.model)) return await planned(fileSource(options), options, folder, reading);
  const opened = openModelFolder(options.model);
  try {
    return await planned(await folderSource(opened, options, reading), options, folder, reading);
  } catch (error) {
    opened.close();
    throw error;
  }
}

function fileSource(options: TrainingOptions): ModelSource {
  const { bytes, readExternal } = openModel(options.model);
  return packedSource(packedModel(bytes, readExternal), options);
}

/** `seen`: what its scores are, where that was looked at before: weights of gigabytes are read for it. */
function packedSource(
  packed: Uint8Array,
  options: TrainingOptions,
  seen: ReturnType<typeof scoresOf> | null = null,
): ModelSource {
  const roles = rolesOf(packed, options);
  const { batch, sequence, tokens, scores, sizes, fixed } = roles;
  const found = seen ?? scoresOf(packed, roles, options);
  const { vocabulary } = found;
  const model: OnnxSpec = {
    kind: "onnx",
    file: { sha256: createHash("sha256").update(packed).digest("hex"), bytes: packed.length },
    vocabulary,
    tokens,
    scores,
    sizes,
    fixed,
    ...(options.freeze.length > 0 ? { freeze: [...options.freeze] } : {}),
    ...(options.train.length > 0 ? { train: [...options.train] } : {}),
  };
  return {
    model,
    trainable: openTrainable(model, { batch, sequence }, packed),
    batch,
    sequence,
    packed,
    folder: null,
    fileBytes: packed.length,
    roles,
    reshaped: roles.open.batch
      ? (wanted) => packedSource(packed, { ...options, batch: wanted }, found)
      : null,
    notes: [...found.notes, ...fixedNotes(roles)],
  };
}

async function planned(
  opened: ModelSource,
  options: TrainingOptions,
  into: string,
  {
    cache = preparedFolder(),
    signal,
    onProgress,
  }: { cache?: string; signal?: AbortSignal; onProgress?: (progress: DataProgress) => void },
): Promise<TrainingPlan> {
  const { packed, folder, fileBytes } = opened;
  const { vocabulary } = opened.model;
  const cut = stagesFor(opened.trainable, options.stages);
  const parameterCount = countOnce(cut);
  if (parameterCount === 0)
    throw new Failure(
      "nothing-to-train",
      "The model has no parameters in front of its scores, so there is nothing to train. Export it with its weights as initializers, or name another output with --scores.",
    );
  const modelFile = join(into, "model.onnx");
  const { column, include, exclude } = options;
  const wanted = {
    given: options.data,
    cache,
    vocabulary,
    model: basename(options.model),
    tokenizers: [options.model, options.data],
    column,
    include: [...include],
    exclude: [...exclude],
  };
  const data = await prepareApart(wanted, {
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  });
  const corpusFile = data.file;
  const { arithmetic, notes: chosen } = trainingArithmetic(opened.trainable, cut.length, options.arithmetic);
  const { run, source, stages } = dealt(opened, cut, options, { data, arithmetic });
  mustBeLongEnough(run, data);
  // Of a folder nobody holds more than a stage; on disk the store has it once, and the workers together.
  const memoryBytes = mustFitMemory(stages, packed === null ? 0 : fileBytes, run.arithmetic);
  mustFitDisk(into, {
    parameters: stages.reduce((sum, stage) => sum + stage.parameterCount, 0),
    // A corpus that is read in chunks is read where it lies.
    files:
      fileBytes * (packed === null ? 2 : stages.length + 2) +
      (data.corpus.chunks ? 0 : data.corpus.bytes * (stages.length + 2)),
  });
  if (packed !== null) writeFileSync(modelFile, packed, { mode: 0o600 });
  const looked =
    source.roles && (await lookedAt(modelFile, source.roles, { stages, parameterCount, signal }));
  const notes = [...source.notes, ...(looked ?? []), ...data.notes, ...chosen];
  const modelFiles = folder === null ? [modelFile] : folder.paths;
  return { run, stages, data, packed, folder, modelFiles, corpusFile, parameterCount, memoryBytes, notes };
}

/** @throws Failure `which-scores` */
async function lookedAt(
  modelFile: string,
  roles: Roles,
  {
    stages,
    parameterCount: parameters,
    signal,
  }: { stages: readonly Stage[]; parameterCount: number; signal: AbortSignal | undefined },
): Promise<readonly string[]> {
  const flops = stages.reduce((sum, stage) => sum + stage.flops.forward, 0);
  const looked = await lookAt(modelFile, roles, { flops, parameters }, signal);
  mustSeeItsText(looked);
  return looked.notes;
}

function stagesFor(model: TrainableModel, wanted: number | null): readonly Stage[] {
  if (wanted !== null) return cutModel(model, wanted);
  for (let count = USUAL_STAGES; count > 1; count--) {
    try {
      return cutModel(model, count);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "too-many-stages") throw error;
    }
  }
  return cutModel(model, 1);
}

/** A tied parameter is in several stages. */
function countOnce(stages: readonly Stage[]): number {
  const sizes = new Map(stages.flatMap(({ parameters }) => parameters.map(({ name, size }) => [name, size])));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
