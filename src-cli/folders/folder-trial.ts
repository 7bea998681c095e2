import { headerOf } from "../../src-engine/families/model-files.ts";
import type { WriteRequest } from "../../src-protocol/model-trial.ts";
import type { RoleOptions } from "../model-roles.ts";
import { refuseOnnxOptions, shapeOf } from "./folder-source.ts";
import { openModelFolder } from "./model-folder.ts";

type FolderTrial = Extract<WriteRequest["model"], { modelFiles: readonly string[] }>;

/** What a graph is made of needs no digests. */
const NO_DIGEST = "0".repeat(64);

/**
 * A folder as what is tried, `rows` texts at a time, and what its first file says of itself.
 *
 * @throws Failure of `openModelFolder`, and `bad-option` for what is said of ONNX files alone
 */
export function folderTrial(
  { model, ...roles }: Omit<RoleOptions, "batch"> & { readonly model: string },
  rows: number,
): { trial: FolderTrial; properties: Readonly<Record<string, string>> } {
  refuseOnnxOptions(roles);
  const folder = openModelFolder(model);
  try {
    const { stored, files, paths } = folder;
    const spec = {
      ...stored.model,
      files: files.sizes.map((bytes) => ({ sha256: NO_DIGEST, chunksSha256: NO_DIGEST, bytes })),
    };
    const shape = shapeOf(folder, { batch: rows, sequence: roles.sequence });
    return { trial: { modelFiles: paths, spec, ...shape }, properties: headerOf(files, 0).metadata };
  } finally {
    folder.close();
  }
}
