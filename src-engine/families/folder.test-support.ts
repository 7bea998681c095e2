import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import type { ModelFiles } from "./model-files.ts";
import { storedModel } from "./stored-model.ts";

const NONE = "0".repeat(64);
const FOLDERS = join(import.meta.dirname, "..", "fixtures", "families");

/** Folders as Transformers writes them, one a family or a variant of it. */
export const FAMILY_FOLDERS = readdirSync(FOLDERS);

export function familyFolder(name: string): string {
  return join(FOLDERS, name);
}

export function openFiles(paths: readonly string[]): ModelFiles {
  return {
    sizes: paths.map((path) => statSync(path).size),
    read: (file, from, to) => {
      const descriptor = openSync(paths[file] ?? "", "r");
      try {
        const bytes = new Uint8Array(to - from);
        readSync(descriptor, bytes, 0, bytes.length, from);
        return bytes;
      } finally {
        closeSync(descriptor);
      }
    },
  };
}

export function familyFiles(name: string): ModelFiles {
  const names = readdirSync(familyFolder(name)).filter((each) => each.endsWith(".safetensors"));
  return openFiles(names.map((each) => join(familyFolder(name), each)));
}

/** With digests that nothing looks at. */
export function familySpec(name: string): DecoderSpec {
  const files = familyFiles(name);
  const config: unknown = JSON.parse(readFileSync(join(familyFolder(name), "config.json"), "utf8"));
  const { model } = storedModel(config, files);
  return { ...model, files: files.sizes.map((bytes) => ({ sha256: NONE, chunksSha256: NONE, bytes })) };
}

/** What Transformers computed (bench/peers/golden_families.py). */
export interface FamilyGolden {
  readonly batch: number;
  readonly sequence: number;
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
  readonly loss: number;
}

export function familyGolden(name: string): FamilyGolden {
  return JSON.parse(readFileSync(join(familyFolder(name), "golden.json"), "utf8")) as FamilyGolden;
}

export function goldenGradients(name: string): ModelFiles {
  return openFiles([join(familyFolder(name), "gradients.golden")]);
}
