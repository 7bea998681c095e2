import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import type { CheckpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { KERNELS } from "../src-protocol/arithmetic.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { SNAPSHOT_HEADER_BYTES } from "../src-protocol/snapshot.ts";
import type { NewSnapshotHeader } from "../src-protocol/snapshot.ts";
import { StateSample } from "../src-protocol/state-sample.ts";
import { readTrainedWeights } from "./trained-weights.ts";

const run: RunSpec = {
  runId: "test",
  name: "Test",
  model: DEFAULT_MODEL,
  stages: 2,
  batch: 1,
  sequence: 8,
  microBatches: 1,
  optimizer: DEFAULT_OPTIMIZER,
  arithmetic: "fast",
  kernels: KERNELS.fast,
  seed: 1,
  steps: 4,
  evaluateEverySteps: 1,
  evaluationMicroBatches: 1,
  checkpointEverySteps: 2,
  corpus: { name: "", sha256: "0".repeat(64), bytes: 1, tokenBytes: 1 },
};
const parameter = (name: string, size: number) => ({ name, shape: [size], size, decay: false });
/** `tied` is in both. */
const stages = [
  { parameters: [parameter("tied", 2), parameter("a", 3)], parameterCount: 5 },
  { parameters: [parameter("b", 1), parameter("tied", 2)], parameterCount: 3 },
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah weights "));
  return () => rmSync(folder, { recursive: true, force: true });
});

/** Parameters, then two moments. */
function snapshot(stage: number, values: number[], change: Partial<NewSnapshotHeader> = {}): Buffer {
  const payload = Buffer.from(
    Float32Array.from([...values, ...values.map(() => 7), ...values.map(() => 8)]).buffer,
  );
  const header: NewSnapshotHeader = {
    schema: "train-at-home/snapshot/v2",
    runId: run.runId,
    runSha256: runDigest(run),
    stage,
    step: 4,
    payloadBytes: payload.length,
    sampleSha256: new StateSample(payload.length).update(payload).digest(),
    payloadCrc32: crc32(payload),
    ...change,
  };
  return Buffer.concat([Buffer.from(JSON.stringify(header).padEnd(SNAPSHOT_HEADER_BYTES)), payload]);
}

function store(files: readonly Buffer[], change: Partial<CheckpointManifest> = {}): string[] {
  const rows = files.map((bytes) => {
    const digest = sha256(bytes);
    const file = `blobs/sha256/${digest.slice(0, 2)}/${digest}`;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), bytes);
    return { sha256: digest, bytes: bytes.length, file };
  });
  const manifest: CheckpointManifest = {
    schema: "train-at-home/checkpoint/v1",
    runId: run.runId,
    runSha256: runDigest(run),
    step: 4,
    stages: rows,
    ...change,
  };
  writeFileSync(join(folder, "checkpoint.json"), JSON.stringify(manifest));
  return rows.map(({ file }) => join(folder, file));
}

const read = () => readTrainedWeights(folder, run, stages);
const good = [snapshot(0, [1, 2, 3, 4, 5]), snapshot(1, [6, 1, 2])];

describe("trained weights", () => {
  it("are the parameters of all stages by name, without the optimiser's moments", () => {
    expect(read()).toBeNull();
    store(good);
    expect(read()).toEqual({
      step: 4,
      links: null,
      weights: new Map([
        ["tied", Float32Array.of(1, 2)],
        ["a", Float32Array.of(3, 4, 5)],
        ["b", Float32Array.of(6)],
      ]),
    });
  });

  it.each<[string, () => void]>([
    ["a list that is none", () => writeFileSync(join(folder, "checkpoint.json"), "{}")],
    ["another run's list", () => store(good, { runSha256: "0".repeat(64) })],
    ["a stage too few", () => store(good.slice(0, 1))],
    ["a stage twice", () => store([good[0] as Buffer, good[0] as Buffer])],
    ["another step's file", () => store([good[0] as Buffer, snapshot(1, [6, 1, 2], { step: 3 })])],
    ["another stage's file", () => store([good[0] as Buffer, snapshot(0, [6, 1, 2])])],
    ["a file of another length", () => store([good[0] as Buffer, snapshot(1, [6, 1])])],
    ["a value that is no number", () => store([good[0] as Buffer, snapshot(1, [6, Number.NaN, 2])])],
    ["a file that is gone", () => rmSync(store(good)[1] ?? "")],
    [
      "a file that has decayed",
      () => {
        const [, path = ""] = store(good);
        writeFileSync(path, readFileSync(path).fill(1, SNAPSHOT_HEADER_BYTES));
      },
    ],
    [
      "a way out of the folder",
      () => store(good, { stages: [{ sha256: "0".repeat(64), bytes: 1, file: "../x" }] }),
    ],
  ])("are not read from %s", (_, prepare) => {
    prepare();
    expect(read).toThrow(expect.objectContaining({ code: "checkpoint-unusable" }));
  });
});
