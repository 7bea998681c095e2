import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { modelFiles } from "../../src-engine/families/model-files.ts";
import type { ModelFiles } from "../../src-engine/families/model-files.ts";
import { Failure } from "../../src-protocol/failure.ts";

/** The files of a model, open for reading by range until `close`. */
export class OpenFiles implements ModelFiles {
  readonly #descriptors: readonly number[];
  readonly #files: ModelFiles;

  private constructor(descriptors: readonly number[]) {
    this.#descriptors = descriptors;
    this.#files = modelFiles(
      descriptors.map((descriptor) => fstatSync(descriptor).size),
      (file, bytes, done, position) =>
        readSync(descriptors[file] ?? -1, bytes, done, bytes.length - done, position),
    );
  }

  /** @throws Failure `model-missing` */
  static open(paths: readonly string[]): OpenFiles {
    const descriptors: number[] = [];
    try {
      for (const path of paths) descriptors.push(openSync(path, "r"));
    } catch (cause) {
      for (const descriptor of descriptors) closeSync(descriptor);
      throw new Failure("model-missing", `The model's file ${paths[descriptors.length]} cannot be read.`, {
        cause,
      });
    }
    return new OpenFiles(descriptors);
  }

  get sizes(): readonly number[] {
    return this.#files.sizes;
  }

  read(file: number, from: number, to: number): Uint8Array {
    return this.#files.read(file, from, to);
  }

  close(): void {
    for (const descriptor of this.#descriptors) closeSync(descriptor);
  }
}
