import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { headerOf } from "../../src-engine/families/model-files.ts";
import { encodeHeader, type StoredTensor } from "../../src-engine/families/safetensors.ts";
import { isNumberType } from "../../src-engine/families/stored-numbers.ts";
import { isTiedCopy } from "../../src-engine/families/stored-model.ts";
import { parameterBytes } from "../../src-engine/families/stored-parameter.ts";
import type { WrittenType } from "./written-type.ts";
import { CONFIG_FILE, INDEX_FILE, type ModelFolder } from "./model-folder.ts";

/** Trained parameters, one at a time. */
export interface ParameterSource {
  readonly names: ReadonlySet<string>;
  read(name: string): Float32Array;
}

const PIECE_BYTES = 4 * 1024 * 1024;
/** What belongs to a model besides its weights: settings, tokenizers, templates, words about it. */
const COPIED = /\.(json|txt|model|jinja|tiktoken|md)$|^(LICEN[CS]E|NOTICE|USE_POLICY)/i;

/**
 * Writes a copy of a model's folder with trained parameters, tensor by tensor. It appears whole or not
 * at all. `properties` go into each file's own list.
 *
 * @throws whatever the disk says
 */
export function writeFolder(
  folder: ModelFolder,
  out: string,
  parameters: ParameterSource,
  { properties, type }: { properties: Readonly<Record<string, string>>; type: WrittenType },
): void {
  const temporary = join(dirname(out), `.${basename(out)}.writing-${process.pid}`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  try {
    for (const name of readdirSync(folder.path)) {
      const from = join(folder.path, name);
      if (COPIED.test(name) && name !== CONFIG_FILE && name !== INDEX_FILE && statSync(from).isFile())
        copyFileSync(from, join(temporary, name));
    }
    let written = 0;
    for (const [file, name] of folder.names.entries())
      written += writeFile(join(temporary, name), folder, file, parameters, properties, type);
    writeFileSync(join(temporary, CONFIG_FILE), configText(folder, type));
    if (folder.index !== null)
      writeJson(join(temporary, INDEX_FILE), {
        ...folder.index,
        metadata: { ...folder.index.metadata, total_size: written },
      });
    const replaced = `${temporary}.old`;
    const isThere = statSync(out, { throwIfNoEntry: false }) !== undefined;
    if (isThere) renameSync(out, replaced);
    renameSync(temporary, out);
    if (isThere) rmSync(replaced, { recursive: true, force: true });
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Bytes of its tensors. */
function writeFile(
  path: string,
  { files, stored }: ModelFolder,
  file: number,
  parameters: ParameterSource,
  properties: Readonly<Record<string, string>>,
  type: WrittenType,
): number {
  const infos = decoderParameters({ ...stored.model, files: [] });
  const embedding = infos[0];
  const byName = new Map(infos.map((info) => [info.name, info]));
  const { tensors, metadata } = headerOf(files, file);
  const infoOf = (name: string): (typeof infos)[number] | undefined => {
    const info = isTiedCopy(stored.model, name) ? embedding : byName.get(name);
    return info !== undefined && parameters.names.has(info.name) ? info : undefined;
  };
  const wanted = tensors.map(({ name, shape, dtype }) => {
    const isTrained = isNumberType(dtype) && infoOf(name) !== undefined;
    return { name, shape, dtype: type === "float32" && isTrained ? ("F32" as const) : dtype };
  });
  const header = encodeHeader(wanted, { ...metadata, ...properties });
  const descriptor = openSync(path, "w", 0o644);
  try {
    writeWhole(descriptor, header.bytes);
    for (const [i, place] of header.tensors.entries()) {
      const old = tensors[i] as StoredTensor;
      const info = infoOf(place.name);
      const { dtype } = place;
      if (info !== undefined && isNumberType(dtype)) {
        const values = parameters.read(info.name);
        for (const piece of parameterBytes({ ...place, dtype }, info.transposed, values))
          writeWhole(descriptor, piece);
      } else {
        for (let at = old.from; at < old.to; at += PIECE_BYTES)
          writeWhole(descriptor, files.read(file, at, Math.min(old.to, at + PIECE_BYTES)));
      }
    }
    fsyncSync(descriptor);
    return header.fileBytes - header.bytes.length;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The config as its author wrote it: read and written again, 30.0 would become 30, which Transformers
 * refuses where it wants a float. What it loads the model as by default must be what it was written as.
 */
function configText({ path }: ModelFolder, type: WrittenType): string {
  const text = readFileSync(join(path, CONFIG_FILE), "utf8");
  return type === "kept" ? text : text.replaceAll(/("(?:torch_)?dtype"\s*:\s*)"\w*"/g, '$1"float32"');
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
}
