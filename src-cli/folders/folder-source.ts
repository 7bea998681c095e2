import { basename } from "node:path";
import { openModel as openTrainable } from "../../src-engine/trainable-model.ts";
import { size } from "../../src-protocol/amounts.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import type { RoleOptions } from "../model-roles.ts";
import type { ModelSource } from "../training-plan.ts";
import { fileDigests } from "./file-digests.ts";
import type { ModelFolder } from "./model-folder.ts";

/** Where nobody says it. */
const USUAL = { batch: 4, sequence: 128 };
const SAY_EVERY_MS = 2_000;
/** Files below this are read before anybody wonders. */
const SAY_FROM_BYTES = 500e6;

export interface FolderOptions extends RoleOptions {
  readonly freeze: readonly string[];
  readonly train: readonly string[];
}

/** The sizes of a micro-batch, for a model that leaves both open. */
export function shapeOf(
  { stored: { model } }: ModelFolder,
  { batch, sequence }: Pick<RoleOptions, "batch" | "sequence">,
): { batch: number; sequence: number } {
  return {
    batch: batch ?? USUAL.batch,
    sequence: sequence ?? Math.min(USUAL.sequence, model.positions ?? USUAL.sequence),
  };
}

/**
 * A folder as what is to be trained. Its files are read once, for their digests, and stay where they are.
 *
 * @throws Failure `bad-option` for what is said of ONNX files alone, and those of the engine
 */
export async function folderSource(
  folder: ModelFolder,
  options: FolderOptions,
  { signal, say = () => undefined }: { signal?: AbortSignal; say?: (text: string) => void } = {},
): Promise<ModelSource> {
  refuseOnnxOptions(options);
  const { stored } = folder;
  const shape = shapeOf(folder, options);
  const patterns = {
    ...(options.freeze.length > 0 ? { freeze: [...options.freeze] } : {}),
    ...(options.train.length > 0 ? { train: [...options.train] } : {}),
  };
  let saidAt = performance.now();
  const files = await fileDigests(folder.paths, {
    ...(signal ? { signal } : {}),
    onProgress: ({ bytes, totalBytes }) => {
      if (totalBytes < SAY_FROM_BYTES || performance.now() - saidAt < SAY_EVERY_MS) return;
      saidAt = performance.now();
      say(`Reading ${basename(folder.path)}: ${size(bytes)} of ${size(totalBytes)}`);
    },
  });
  const model: DecoderSpec = { ...stored.model, ...patterns, files };
  const shaped = (of: typeof shape): ModelSource => ({
    model,
    trainable: openTrainable(model, of, null),
    ...of,
    packed: null,
    folder,
    fileBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    roles: null,
    reshaped: options.batch === null ? (batch) => shaped({ ...of, batch }) : null,
    notes: stored.notes,
  });
  return shaped(shape);
}

/** @throws Failure `bad-option` */
export function refuseOnnxOptions({
  tokens,
  scores,
  fixed,
  sizes,
}: Omit<RoleOptions, "batch" | "sequence">): void {
  const said = [
    tokens === null ? null : "--tokens",
    scores === null ? null : "--scores",
    Object.keys(fixed).length === 0 ? null : "--fixed",
    Object.keys(sizes).length === 0 ? null : "--size",
  ].find((each) => each !== null);
  if (said === undefined) return;
  throw new Failure(
    "bad-option",
    `${said} is about ONNX files; the inputs and outputs of a folder's model are known. Leave it out.`,
  );
}
