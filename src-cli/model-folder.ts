import { closeSync, fstatSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { isInside } from "../src-engine/import/external-data.ts";
import type { ReadExternal } from "../src-engine/import/import-model.ts";
import { IMPORT_LIMITS } from "../src-engine/import/limits.ts";
import { Failure } from "../src-protocol/failure.ts";

export interface ModelOnDisk {
  bytes: Uint8Array;
  readExternal: ReadExternal;
}

/** Files that hold a model, or a part of it, in another way: what to do instead, by their ending. */
const OTHERS: readonly (readonly [ending: RegExp, what: string])[] = [
  [
    /\.safetensors$/i,
    "holds numbers and not what is computed with them. Name the folder that it is in, with its config.json",
  ],
  [
    /\.gguf$/i,
    "is a GGUF file, whose numbers are rounded for use. Name the folder of the model that it was made from (config.json, model.safetensors)",
  ],
  [
    /\.(pt|pth|ckpt|bin|pkl|h5|keras|pb|tflite|msgpack)$/i,
    "is in the format of one framework. Load it there and export it to ONNX (PyTorch: torch.onnx.export with dynamo=True), or save it with save_pretrained of Transformers and name that folder",
  ],
];

/**
 * An ONNX file, and a way to its external data.
 *
 * @throws Failure `model-not-found`, `not-onnx`, `model-too-large`
 */
export function openModel(path: string): ModelOnDisk {
  const size = statSync(path, { throwIfNoEntry: false });
  if (!size?.isFile()) {
    throw new Failure(
      "model-not-found",
      `There is no file "${path}". Name an ONNX file, for example model.onnx.`,
    );
  }
  const other = OTHERS.find(([ending]) => ending.test(path));
  if (other) throw new Failure("not-onnx", `"${path}" ${other[1]}.`);
  if (size.size > IMPORT_LIMITS.fileBytes) {
    throw new Failure(
      "model-too-large",
      `"${path}" has ${size.size} bytes; at most ${IMPORT_LIMITS.fileBytes} are read. Export the model with external data.`,
    );
  }
  const folder = realpathSync(dirname(path));
  return {
    bytes: readFileSync(path),
    readExternal: (location, offset, length) => readPart(folder, location, offset, length),
  };
}

function readPart(folder: string, location: string, offset: number, length: number): Uint8Array {
  const descriptor = openInside(folder, location);
  try {
    const file = fstatSync(descriptor);
    if (!file.isFile() || offset + length > file.size) {
      throw new Failure(
        "external-data",
        `"${location}" has ${file.size} bytes, but the model's data reaches to byte ${offset + length}. ` +
          "The file was cut off, or belongs to another model: copy both again.",
      );
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const count = readSync(descriptor, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function openInside(folder: string, location: string): number {
  try {
    // SECURITY: the name was checked to stay inside; a link on the disk must not lead out either.
    const file = realpathSync(join(folder, ...location.split("/")));
    if (isInside(folder, file, sep)) return openSync(file, "r");
  } catch (cause) {
    throw new Failure(
      "external-data",
      `The model's data should lie in "${location}" beside it, but that file cannot be read. Copy it there.`,
      { cause },
    );
  }
  throw new Failure(
    "external-data-path",
    `"${location}" is a link that leads out of the model's folder, so it is not read. Put the file itself there.`,
  );
}
