import { readdirSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { sha256 } from "../../src-protocol/signing.ts";
import { Blobs, ORPHAN_GRACE_MS } from "./blobs.ts";
import { keptSteps } from "./checkpoints.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";

const CONTENT = Buffer.from("some weights ".repeat(100_000));
const DIGEST = sha256(CONTENT);
const pathIn = (folder: string) => join(folder, "sha256", DIGEST.slice(0, 2), DIGEST);
const source = (bytes: Buffer = CONTENT) => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]);
const read = async (blobs: Blobs) => Buffer.concat(await (await blobs.get(DIGEST)).stream().toArray());

describe("blobs", () => {
  test("come back as they went in", async () => {
    const folder = temporaryFolder();
    const blobs = new Blobs(folder);
    expect(await blobs.length(DIGEST)).toBeNull();
    expect(await blobs.put(DIGEST, source(), CONTENT.length)).toEqual({ bytes: CONTENT.length });
    expect((await read(blobs)).equals(CONTENT)).toBe(true);
    expect((await read(new Blobs(folder))).equals(CONTENT)).toBe(true);
  });

  test("too large or of another digest leave nothing behind", async () => {
    const folder = temporaryFolder();
    const blobs = new Blobs(folder);
    await expect(blobs.put(DIGEST, source(), 5_000)).rejects.toMatchObject({ code: "blob-too-large" });
    await expect(blobs.put(DIGEST, source(Buffer.alloc(2_000)), 5_000)).rejects.toMatchObject({
      code: "blob-mismatch",
    });
    expect(readdirSync(join(folder, "sha256"), { recursive: true })).toEqual([DIGEST.slice(0, 2)]);
  });

  test("that are damaged or cut on the disk are never served, and heal when they are sent again", async () => {
    const folder = temporaryFolder();
    await new Blobs(folder).put(DIGEST, source(), CONTENT.length);
    writeFileSync(pathIn(folder), Buffer.alloc(CONTENT.length));
    const blobs = new Blobs(folder);
    await expect(blobs.get(DIGEST)).rejects.toMatchObject({ code: "blob-corrupt" });
    await blobs.put(DIGEST, source(), CONTENT.length);
    expect((await read(blobs)).equals(CONTENT)).toBe(true);
    truncateSync(pathIn(folder), 10);
    await expect(blobs.get(DIGEST)).rejects.toMatchObject({ code: "blob-corrupt" });
  });

  test("that nothing names are collected after a while, the others stay", async () => {
    const folder = temporaryFolder();
    const blobs = new Blobs(folder);
    await blobs.put(DIGEST, source(), CONTENT.length);
    const other = Buffer.from("another");
    await blobs.put(sha256(other), Readable.from([other]), 100);
    writeFileSync(join(folder, "sha256", "half.part"), "half");
    expect(await blobs.collect(new Set(), Date.now())).toEqual([]);
    const third = Buffer.from("a third");
    await blobs.put(sha256(third), Readable.from([third]), 100);
    expect(await blobs.collect(new Set(), Date.now(), new Set([sha256(third)]))).toEqual([sha256(third)]);
    const later = Date.now() + ORPHAN_GRACE_MS + 1_000;
    expect(await blobs.collect(new Set([DIGEST]), later)).toEqual([sha256(other)]);
    expect(readdirSync(join(folder, "sha256"))).not.toContain("half.part");
    expect((await read(blobs)).equals(CONTENT)).toBe(true);
    utimesSync(pathIn(folder), 1, 1);
    expect((await read(blobs)).equals(CONTENT)).toBe(true);
  });

  test("are named by digests only", async () => {
    await expect(new Blobs(temporaryFolder()).get("../../etc/passwd")).rejects.toThrow("32 bytes");
  });
});

test("the last three checkpoints of a stage are kept, the newest step that every stage has, and the proved one", () => {
  const stage = (...steps: number[]) => new Map(steps.map((step) => [step, { sha256: "", bytes: 1 }]));
  const kept = keptSteps([stage(10, 20, 30, 40, 50), stage(10, 20), stage(10, 20, 30)], null);
  expect(kept.map((steps) => [...steps].sort((a, b) => a - b))).toEqual([
    [20, 30, 40, 50],
    [10, 20],
    [10, 20, 30],
  ]);
  const proved = keptSteps([stage(10, 20, 30, 40, 50), stage(10, 20, 30, 40, 50)], 10);
  expect([...(proved[0] ?? [])].sort((a, b) => a - b)).toEqual([10, 30, 40, 50]);
});
