import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Failure } from "../../src-protocol/failure.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { snapshotDigest } from "../../src-protocol/snapshot.ts";
import { copySnapshotFile, copyToDisk, writeSnapshotFile } from "./snapshot-file.ts";
import { restoreCheckpointFile, Snapshots } from "./snapshots.ts";
import { tinyRun } from "../tiny-run.test-support.ts";

const stage = { spec: tinyRun(), stage: 1 };
const BYTES = 3 * 1024 * 1024 + 12;

let folder: string;
let reported: Failure[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-snapshots-"));
  reported = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(): Promise<Snapshots> {
  return Snapshots.open(folder, (failure) => reported.push(failure));
}

function memoryOf(value: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(BYTES);
  new Uint8Array(memory).fill(value);
  return memory;
}

function files(): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => basename(name))
    .filter((name) => name.startsWith("slot-"))
    .sort();
}

it.each([0, 12, 512 * 1024, 9 * 1024 * 1024 + 4])(
  "of %i bytes, a file in memory is the same as one on a disk but for its checksum, new and written over",
  async (bytes) => {
    const name = { runId: "r", runSha256: sha256("run"), stage: 1, step: 7 };
    for (const [target, value] of [
      ["new", 3],
      ["existing", 5],
    ] as const) {
      const payload = new SharedArrayBuffer(bytes);
      new Uint8Array(payload).fill(value);
      const [disk, memory] = [join(folder, "disk"), join(folder, "memory")];
      const [large, copied] = [join(folder, "large"), join(folder, "copied")];
      const header = await writeSnapshotFile(disk, name, payload, target, "disk");
      expect(header.payloadCrc32).toBe(crc32(new Uint8Array(payload)));
      const bare = { ...header, payloadCrc32: null };
      expect(await writeSnapshotFile(large, name, payload, target, "memory")).toEqual(bare);
      expect(await copySnapshotFile(memory, name, payload, target)).toEqual(bare);
      expect(snapshotDigest(bare)).toBe(snapshotDigest(header));
      expect(readFileSync(memory).equals(readFileSync(large))).toBe(true);
      await copyToDisk(memory, copied);
      expect(readFileSync(copied).equals(readFileSync(disk))).toBe(true);
      writeFileSync(disk, "longer", { flag: "a" });
      writeFileSync(memory, "longer", { flag: "a" });
      writeFileSync(large, "longer", { flag: "a" });
    }
  },
);

describe("snapshots of a stage", () => {
  it("are found again by the next process: the last two, and of before those at the roundest steps", async () => {
    const first = await open();
    for (let step = 1; step <= 13; step++) await first.save(stage, step, memoryOf(step));
    const second = await open();
    const found = second.restorable();
    expect(found).toMatchObject([
      { runId: "tiny", stage: 1, steps: [{ step: 8 }, { step: 11 }, { step: 12 }, { step: 13 }] },
    ]);
    expect(found[0]?.steps.map(({ digest }) => digest)).toEqual(
      [8, 11, 12, 13].map((step) => first.digestOf(stage, step)),
    );
    const memory = memoryOf(0);
    expect(await second.restore(stage, 8, memory)).toBe(true);
    expect(new Uint8Array(memory).every((byte) => byte === 8)).toBe(true);
    expect(await second.restore(stage, 10, memory)).toBe(false);
    expect(await second.restore({ ...stage, stage: 0 }, 8, memory)).toBe(false);
    expect(reported).toEqual([]);
  });

  it("that hold no numbers are reported and not used, on disk or as a checkpoint", async () => {
    const first = await open();
    // Bytes of 255 are NaN as float32.
    const { path } = await first.save(stage, 3, memoryOf(255));
    const checkpoint = await first.checkpoint(path);
    await expect(restoreCheckpointFile(checkpoint.path, stage, 3, memoryOf(0))).rejects.toMatchObject({
      code: "snapshot-corrupt",
    });
    expect(await first.restore(stage, 3, memoryOf(0))).toBe(false);
    expect(reported[0]?.code).toBe("snapshot-corrupt");
  });

  it.each([
    ["with one byte flipped", (bytes: Buffer) => bytes.fill(bytes.readUInt8(9000) ^ 1, 9000, 9001)],
    ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ["without its header", (bytes: Buffer) => bytes.fill(0, 0, 4096)],
    ["empty", () => Buffer.alloc(0)],
  ])("%s are reported, not used and not overwritten", async (_, damage) => {
    const first = await open();
    for (const step of [3, 4, 5]) await first.save(stage, step, memoryOf(step));
    const { path } = await first.save(stage, 6, memoryOf(6));
    const damaged = damage(readFileSync(path));
    writeFileSync(path, damaged);
    const second = await open();
    expect(second.restorable()[0]?.steps.map(({ step }) => step)).toEqual([3, 4, 5]);
    expect(reported.map(({ code }) => code)).toEqual(["snapshot-corrupt"]);
    await second.save(stage, 6, memoryOf(6));
    expect(readFileSync(`${path}.corrupt`)).toEqual(damaged);
    expect(files()).toEqual([
      "slot-0.snapshot",
      "slot-1.snapshot",
      "slot-2.snapshot",
      "slot-3.snapshot",
      "slot-3.snapshot.corrupt",
    ]);
  });

  it("whose writing a kill cut short are passed over in silence, and their place is used again", async () => {
    const first = await open();
    for (const step of [3, 4, 5]) await first.save(stage, step, memoryOf(step));
    const { path } = await first.save(stage, 6, memoryOf(6));
    writeFileSync(path, readFileSync(path).fill("unfinished", 0, 10));
    const second = await open();
    expect(second.restorable()[0]?.steps.map(({ step }) => step)).toEqual([3, 4, 5]);
    expect(reported).toEqual([]);
    await expect(second.checkpoint(path)).rejects.toMatchObject({ code: "snapshot-unfinished" });
    await second.save(stage, 6, memoryOf(7));
    expect(files()).toEqual([0, 1, 2, 3].map((slot) => `slot-${slot}.snapshot`));
    const memory = memoryOf(0);
    expect(await (await open()).restore(stage, 6, memory)).toBe(true);
    expect(new Uint8Array(memory)[BYTES - 1]).toBe(7);
  });

  it("that are damaged while the worker runs are noticed when they are needed", async () => {
    const snapshots = await open();
    const { path } = await snapshots.save(stage, 3, memoryOf(3));
    writeFileSync(path, readFileSync(path).fill(0, 5000, 6000));
    expect(await snapshots.restore(stage, 3, memoryOf(0))).toBe(false);
    expect(reported).toHaveLength(1);
    expect(snapshots.restorable()).toEqual([]);
  });

  it("of another run with the same id are set aside", async () => {
    const snapshots = await open();
    await snapshots.save({ spec: tinyRun({ seed: 8 }), stage: 1 }, 3, memoryOf(3));
    expect(await snapshots.restore(stage, 3, memoryOf(0))).toBe(false);
    expect(reported.map(({ code }) => code)).toEqual(["snapshot-foreign"]);
    expect(files()).toEqual(["slot-0.snapshot.corrupt"]);
  });

  it("do not take the place of a file that somebody put there", async () => {
    const snapshots = await open();
    const { path } = await snapshots.save(stage, 3, memoryOf(3));
    const other = path.replace("slot-0", "slot-1");
    writeFileSync(other, "mine");
    await snapshots.save(stage, 4, memoryOf(4));
    expect(readFileSync(`${other}.corrupt`, "utf8")).toBe("mine");
  });

  it("serve as checkpoints, for the same run, stage and step only", async () => {
    const snapshots = await open();
    const { path } = await snapshots.save(stage, 3, memoryOf(3));
    const checkpoint = await snapshots.checkpoint(path);
    // It stays as it is while it is sent, also when the same step is done again; another one is copied.
    for (const step of [3, 5, 6, 7, 9, 11]) await snapshots.save(stage, step, memoryOf(step + 1));
    const further = await snapshots.checkpoint((await snapshots.save(stage, 13, memoryOf(13))).path);
    await snapshots.save(stage, 15, memoryOf(15));
    await snapshots.save(stage, 17, memoryOf(17));
    await snapshots.save(stage, 19, memoryOf(19));
    await restoreCheckpointFile(further.path, stage, 13, memoryOf(0));
    await further.remove();
    const bytes = new Uint8Array(readFileSync(checkpoint.path));
    expect(checkpoint).toMatchObject({ bytes: bytes.length, sha256: sha256(bytes) });
    const memory = memoryOf(0);
    await restoreCheckpointFile(checkpoint.path, stage, 3, memory);
    expect(new Uint8Array(memory)[BYTES - 1]).toBe(3);
    await expect(restoreCheckpointFile(checkpoint.path, stage, 4, memory)).rejects.toMatchObject({
      code: "snapshot-foreign",
    });
    writeFileSync(checkpoint.path, bytes.fill(0, 8000, 8001));
    await expect(restoreCheckpointFile(checkpoint.path, stage, 3, memory)).rejects.toMatchObject({
      code: "snapshot-corrupt",
    });
    await checkpoint.remove();
    await snapshots.save(stage, 21, memoryOf(21));
    await snapshots.save(stage, 23, memoryOf(23));
    expect(snapshots.restorable()[0]?.steps.map(({ step }) => step)).toEqual([17, 19, 21, 23]);
    expect(files()).toEqual([0, 1, 2, 3].map((slot) => `slot-${slot}.snapshot`));
  });

  it("are kept of a stage that has nothing to train, too", async () => {
    await (await open()).save(stage, 3, new SharedArrayBuffer(0));
    const second = await open();
    expect(await second.restore(stage, 3, new SharedArrayBuffer(0))).toBe(true);
    expect(reported).toEqual([]);
  });

  it("say in a sentence that the folder cannot be used, and lose nothing", async () => {
    const snapshots = await open();
    await snapshots.save(stage, 3, memoryOf(3));
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "in the way");
    await expect(snapshots.save(stage, 4, memoryOf(4))).rejects.toMatchObject({ code: "disk-failed" });
    await expect(open()).rejects.toMatchObject({ code: "disk-failed" });
    expect(readFileSync(folder, "utf8")).toBe("in the way");
  });
});
