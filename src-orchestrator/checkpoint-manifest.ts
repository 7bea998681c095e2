import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKPOINT_MANIFEST_FILE } from "../src-protocol/checkpoint-manifest.ts";
import type { CheckpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { blobFile } from "./blobs.ts";
import type { CompleteCheckpoint } from "./checkpoints.ts";
import { BLOBS_FOLDER } from "./store.ts";

/** Says on disk what the whole run can be brought back from; null: nothing yet. */
export function writeManifest(folder: string, run: RunSpec, newest: CompleteCheckpoint | null): void {
  const path = join(folder, CHECKPOINT_MANIFEST_FILE);
  if (newest === null) return rmSync(path, { force: true });
  const manifest: CheckpointManifest = {
    schema: "train-at-home/checkpoint/v1",
    runId: run.runId,
    runSha256: runDigest(run),
    step: newest.step,
    stages: newest.stages.map(({ sha256, bytes }) => ({
      sha256,
      bytes,
      file: `${BLOBS_FOLDER}/${blobFile(sha256)}`,
    })),
  };
  writeFileSync(`${path}.writing`, JSON.stringify(manifest), { mode: 0o600 });
  return renameSync(`${path}.writing`, path);
}
