import { closeSync, openSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKPOINT_MANIFEST_FILE } from "../../src-protocol/checkpoint-manifest.ts";
import type { CheckpointManifest } from "../../src-protocol/checkpoint-manifest.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotHeader } from "../../src-protocol/snapshot.ts";
import { blobFile } from "../../src-protocol/blob-file.ts";
import type { CompleteCheckpoint } from "./checkpoints.ts";
import { BLOBS_FOLDER } from "./store.ts";

/** Says on disk what the whole run can be brought back from, the newest first; empty: nothing yet. */
export function writeManifest(folder: string, run: RunSpec, complete: readonly CompleteCheckpoint[]): void {
  const path = join(folder, CHECKPOINT_MANIFEST_FILE);
  const [newest, ...earlier] = complete.map((each) => onDisk(folder, each));
  if (newest === undefined) return rmSync(path, { force: true });
  const manifest: CheckpointManifest = {
    schema: "train-at-home/checkpoint/v1",
    runId: run.runId,
    runSha256: runDigest(run),
    ...newest,
    ...(earlier.length === 0 ? {} : { earlier }),
  };
  writeFileSync(`${path}.writing`, JSON.stringify(manifest), { mode: 0o600 });
  return renameSync(`${path}.writing`, path);
}

function onDisk(folder: string, { step, stages }: CompleteCheckpoint) {
  return {
    step,
    stages: stages.map(({ sha256, bytes }) => {
      const file = `${BLOBS_FOLDER}/${blobFile(sha256)}`;
      return { sha256, bytes, file, ...linkIn(join(folder, file)) };
    }),
  };
}

/** As the header of the snapshot says, which was checked when it was stored. */
function linkIn(path: string): { link?: string } {
  const block = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, block, 0, block.length, 0);
    } finally {
      closeSync(file);
    }
    const { link } = snapshotHeader.parse(JSON.parse(block.toString()));
    return link === undefined ? {} : { link };
  } catch {
    return {};
  }
}
