import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotDigest } from "../../src-protocol/snapshot.ts";
import type { NewSnapshotHeader, SnapshotHeader } from "../../src-protocol/snapshot.ts";
import { StateDigest } from "../../src-protocol/state-digest.ts";
import { StateSample } from "../../src-protocol/state-sample.ts";
import { isCheckpointOf } from "./checkpoint-content.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { stageFacts } from "../runs/stage-facts.ts";

const run = testRun({ model: { ...DEFAULT_MODEL, width: 8, heads: 2, hidden: 8, vocabulary: 16 } });
const parameterCount = stageFacts(run, null)[1]?.parameterCount ?? 0;
const place = { run, stage: 1, step: 4, parameterCount, digest: "", stateSha256: null };

function snapshot(
  change: Partial<NewSnapshotHeader> = {},
  edit: (values: Float32Array) => void = () => undefined,
): Buffer {
  const values = Float32Array.from({ length: parameterCount * 3 }, (_, i) => i / 1000);
  edit(values);
  const payload = Buffer.from(values.buffer);
  const header: NewSnapshotHeader = {
    schema: "train-at-home/snapshot/v2",
    runId: run.runId,
    runSha256: runDigest(run),
    stage: 1,
    step: 4,
    payloadBytes: payload.length,
    sampleSha256: new StateSample(payload.length).update(payload).digest(),
    payloadCrc32: crc32(payload),
    ...change,
  };
  return Buffer.concat([Buffer.from(JSON.stringify(header).padEnd(SNAPSHOT_HEADER_BYTES)), payload]);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The stage has saved what this file says of itself, unless `digest` is given. */
function holds(bytes: Buffer, size = 65_536, digest = digestIn(bytes)): Promise<boolean> {
  return isCheckpointOf({ ...place, digest }, inPieces(bytes, size));
}

function digestIn(bytes: Buffer): string {
  try {
    return snapshotDigest(JSON.parse(bytes.toString("utf8", 0, SNAPSHOT_HEADER_BYTES)) as SnapshotHeader);
  } catch {
    return "";
  }
}

describe("a checkpoint", () => {
  test.each([65_536, 4096, 4095, 1001, 3])("is read in pieces of %i bytes", async (size) => {
    expect(await holds(snapshot(), size)).toBe(true);
  });

  test("of an earlier version of the program is one", async () => {
    const block = snapshot().toString("utf8", 0, SNAPSHOT_HEADER_BYTES);
    const { sampleSha256: _, ...now } = JSON.parse(block) as NewSnapshotHeader;
    const earlier = JSON.stringify({ ...now, schema: "train-at-home/snapshot/v1" });
    const head = Buffer.from(earlier.padEnd(SNAPSHOT_HEADER_BYTES));
    const bytes = Buffer.concat([head, snapshot().subarray(SNAPSHOT_HEADER_BYTES)]);
    expect(await holds(bytes)).toBe(true);
    bytes.writeFloatLE(7, bytes.length - 4);
    expect(await holds(bytes)).toBe(false);
  });

  test("is that of a stage whose whole state is known by its digest, and no other one", async () => {
    const bytes = snapshot();
    const stateSha256 = new StateDigest().update(bytes.subarray(SNAPSHOT_HEADER_BYTES)).digest();
    const of = { ...place, digest: digestIn(bytes) };
    expect(await isCheckpointOf({ ...of, stateSha256 }, inPieces(bytes, 1001))).toBe(true);
    const other = stateSha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    expect(await isCheckpointOf({ ...of, stateSha256: other }, inPieces(bytes, 1001))).toBe(false);
  });

  const last = parameterCount * 3 - 1;
  test.each<[string, Buffer]>([
    ["of noise", Buffer.alloc(9000, 7)],
    ["of nothing", Buffer.alloc(0)],
    ["of another stage", snapshot({ stage: 2 })],
    ["of another step", snapshot({ step: 8 })],
    ["of another run", snapshot({ runSha256: "0".repeat(64) })],
    ["of another length", snapshot({ payloadBytes: 12 })],
    ["with another checksum", snapshot({ payloadCrc32: 1 })],
    ["without a checksum, as it lies in memory", snapshot({ payloadCrc32: null })],
    ["with another sample", snapshot({ sampleSha256: "0".repeat(64) })],
    ["cut short", snapshot().subarray(0, -4)],
    ["cut within a value", snapshot().subarray(0, -1)],
    ["with something after it", Buffer.concat([snapshot(), Buffer.alloc(4)])],
    ["with NaN", snapshot({}, (values) => values.fill(Number.NaN, 5, 6))],
    ["with infinity", snapshot({}, (values) => values.fill(-Infinity, last))],
    ["with a negative second moment", snapshot({}, (values) => values.fill(-1, last))],
  ])("%s is none", async (_, bytes) => {
    expect(await holds(bytes)).toBe(false);
    expect(await holds(bytes, 1001)).toBe(false);
  });

  test("of another state than the one that the stage has saved is none", async () => {
    const saved = digestIn(snapshot());
    const other = snapshot({}, (values) => values.fill(0));
    expect(await holds(snapshot(), 65_536, saved)).toBe(true);
    expect(await holds(other, 65_536, saved)).toBe(false);
  });

  test("may have negative parameters and first moments", async () => {
    expect(await holds(snapshot({}, (values) => values.fill(-1, 0, parameterCount * 2)))).toBe(true);
  });
});
