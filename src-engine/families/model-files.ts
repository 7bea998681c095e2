import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";
import {
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type StoredTensor,
} from "./safetensors.ts";

/** The safetensors files of a model, which whoever uses the engine opens: read by range, never whole. */
export interface ModelFiles {
  /** Bytes of each. */
  readonly sizes: readonly number[];
  /** The bytes `from` up to, not including, `to` of file number `file`, in memory of their own. */
  read(file: number, from: number, to: number): Uint8Array;
}

export type TensorInFile = StoredTensor & { readonly file: number };

const indices = new WeakMap<ModelFiles, ReadonlyMap<string, TensorInFile>>();

/**
 * All tensors by name. Headers are read once for each `ModelFiles`.
 *
 * @throws Failure `bad-safetensors`
 */
export function tensorsIn(files: ModelFiles): ReadonlyMap<string, TensorInFile> {
  const known = indices.get(files);
  if (known) return known;
  const found = new Map<string, TensorInFile>();
  for (const file of files.sizes.keys()) {
    for (const tensor of headerOf(files, file).tensors) {
      if (found.has(tensor.name))
        throw new Failure(
          "bad-safetensors",
          `The tensor "${printable(tensor.name)}" is in two of the model's files.`,
        );
      found.set(tensor.name, { ...tensor, file });
    }
  }
  indices.set(files, found);
  return found;
}

/** @throws Failure `bad-safetensors` */
export function headerOf(files: ModelFiles, file: number): SafetensorsHeader {
  const size = files.sizes[file] ?? 0;
  const length = headerLength(files.read(file, 0, Math.min(size, LENGTH_BYTES)), size);
  return parseHeader(files.read(file, LENGTH_BYTES, LENGTH_BYTES + length), size);
}

/**
 * Files of these sizes, by a way to read into memory from a place on: it gives how many bytes it read.
 *
 * @throws Failure `model-file-changed` when a file has become shorter
 */
export function modelFiles(
  sizes: readonly number[],
  readInto: (file: number, bytes: Uint8Array, done: number, position: number) => number,
): ModelFiles {
  return {
    sizes,
    read: (file, from, to) => {
      const bytes = new Uint8Array(to - from);
      for (let done = 0; done < bytes.length;) {
        const count = readInto(file, bytes, done, from + done);
        if (count === 0)
          throw new Failure(
            "model-file-changed",
            `A file of the model ends before byte ${to}, where it did not end before. Leave the model's files alone while they are read.`,
          );
        done += count;
      }
      return bytes;
    },
  };
}
