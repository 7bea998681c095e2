import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { type ModelFiles, modelFiles, tensorsIn } from "../../src-engine/families/model-files.ts";
import { type StoredModel, storedModel } from "../../src-engine/families/stored-model.ts";
import { printable } from "../../src-engine/printable.ts";
import { MOST_MODEL_FILES } from "../../src-protocol/decoder.ts";
import { Failure } from "../../src-protocol/failure.ts";

export const CONFIG_FILE = "config.json";
export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

const CONFIG_LIMIT_BYTES = 4 * 1024 * 1024;
const INDEX_LIMIT_BYTES = 64 * 1024 * 1024;
/** What is there of a file whose content was never fetched. */
const POINTER = "version https://git-lfs";

/** Of another file's tensors: which file each is in. */
const shardIndex = z.object({
  metadata: z.record(z.string(), z.unknown()).optional(),
  weight_map: z.record(
    z.string(),
    z.string().regex(/^[\w][\w.-]{0,200}\.safetensors$/, "no plain name of a file"),
  ),
});
export type ShardIndex = z.infer<typeof shardIndex>;

/** A model's folder as Transformers writes it, its safetensors files open for reading by range. */
export interface ModelFolder {
  readonly path: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names of the safetensors files, in the order of `files`. */
  readonly names: readonly string[];
  readonly paths: readonly string[];
  readonly index: ShardIndex | null;
  readonly files: ModelFiles;
  readonly stored: StoredModel;
  close(): void;
}

export function isModelFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * @throws Failure `model-not-found` where something of it is missing, `bad-index`, `bad-safetensors`,
 * and those of `storedModel`
 */
export function openModelFolder(given: string): ModelFolder {
  const path = resolve(given);
  const config = configOf(path);
  const index = indexOf(path);
  const names = index === null ? [SINGLE_FILE] : [...new Set(Object.values(index.weight_map))].sort();
  if (index === null && !isFile(join(path, SINGLE_FILE))) throw noWeights(path);
  if (names.length > MOST_MODEL_FILES)
    throw badIndex(`it names ${names.length} files, and at most ${MOST_MODEL_FILES} are read`);
  const paths = names.map((name) => join(path, name));
  const descriptors: number[] = [];
  const close = (): void => {
    for (const descriptor of descriptors.splice(0)) closeSync(descriptor);
  };
  try {
    for (const each of paths) descriptors.push(opened(each));
    const files = modelFiles(
      descriptors.map((descriptor) => fstatSync(descriptor).size),
      (file, bytes, done, position) =>
        readSync(descriptors[file] ?? -1, bytes, done, bytes.length - done, position),
    );
    for (const [file, name] of names.entries()) refusePointer(files, file, name);
    if (index !== null) mustAgree(index, files, names);
    return { path, config, names, paths, index, files, stored: storedModel(config, files), close };
  } catch (error) {
    close();
    throw error;
  }
}

function configOf(path: string): Record<string, unknown> {
  const file = join(path, CONFIG_FILE);
  if (!isFile(file))
    throw new Failure(
      "model-not-found",
      `The folder ${path} has no ${CONFIG_FILE}. Name an ONNX file, or a folder as Transformers writes it with save_pretrained.`,
    );
  const value = jsonOf(file, CONFIG_LIMIT_BYTES);
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Failure("unsupported-config", `${file} is no JSON object.`);
}

function indexOf(path: string): ShardIndex | null {
  const file = join(path, INDEX_FILE);
  // Both may be there; Transformers takes the single file then, too.
  if (isFile(join(path, SINGLE_FILE)) || !isFile(file)) return null;
  const parsed = shardIndex.safeParse(jsonOf(file, INDEX_LIMIT_BYTES));
  if (parsed.success && Object.keys(parsed.data.weight_map).length > 0) return parsed.data;
  throw badIndex(parsed.error?.issues[0]?.message ?? "it names no tensor");
}

function mustAgree({ weight_map: map }: ShardIndex, files: ModelFiles, names: readonly string[]): void {
  const tensors = tensorsIn(files);
  for (const [tensor, name] of Object.entries(map)) {
    const found = tensors.get(tensor);
    if (found === undefined || names[found.file] !== name)
      throw badIndex(`it says that "${printable(tensor)}" is in ${name}, and there it is not`);
  }
}

function refusePointer(files: ModelFiles, file: number, name: string): void {
  const size = files.sizes[file] ?? 0;
  const first = new TextDecoder().decode(files.read(file, 0, Math.min(size, POINTER.length)));
  if (first !== POINTER) return;
  throw new Failure(
    "model-not-found",
    `${name} is a pointer of Git LFS, and its content was never fetched. Run git lfs pull in its folder.`,
  );
}

function noWeights(path: string): Failure {
  const others = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "consolidated.00.pth"];
  const other = others.find((name) => isFile(join(path, name)));
  const adapter = isFile(join(path, "adapter_model.safetensors"));
  return new Failure(
    "model-not-found",
    adapter
      ? `The folder ${path} holds an adapter (LoRA), not a whole model. Merge it into its model first, with merge_and_unload() and save_pretrained().`
      : `The folder ${path} has no ${SINGLE_FILE} and no ${INDEX_FILE}${other === undefined ? "" : `, only ${other}`}. Load the model in Transformers and write it with save_pretrained().`,
  );
}

function opened(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new Failure(
      "model-not-found",
      `The model's file ${basename(path)} cannot be read in its folder. Copy it there.`,
      { cause },
    );
  }
}

function jsonOf(path: string, limit: number): unknown {
  const { size } = statSync(path);
  if (size > limit)
    throw new Failure("model-not-found", `${path} has ${size} bytes; at most ${limit} are read.`);
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Failure("model-not-found", `${path} is not JSON.`, { cause });
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function badIndex(why: string): Failure {
  return new Failure(
    "bad-index",
    `${INDEX_FILE} cannot be used: ${why}. Copy it and its files again, from one place.`,
  );
}
