import { createHash } from "node:crypto";
import { readdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { CORPUS_CHUNK_BYTES } from "../../src-protocol/corpus-chunks.ts";
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

  test("that lie on this computer already are linked, and each part is checked before it is served", async () => {
    const folder = temporaryFolder();
    const file = join(temporaryFolder(), "corpus");
    writeFileSync(file, CONTENT);
    const digests = [];
    for (let at = 0; at < CONTENT.length; at += CORPUS_CHUNK_BYTES)
      digests.push(
        createHash("sha256")
          .update(CONTENT.subarray(at, at + CORPUS_CHUNK_BYTES))
          .digest(),
      );
    const list = Buffer.concat(digests);
    const blobs = new Blobs(folder);
    expect(await blobs.adopt(DIGEST, null, CONTENT.length, list)).toBe(false);
    expect(await blobs.adopt(DIGEST, file, CONTENT.length + 1, list)).toBe(false);
    expect(await blobs.adopt(DIGEST, file, CONTENT.length, list)).toBe(true);
    expect(statSync(pathIn(folder)).ino).toBe(statSync(file).ino);
    rmSync(file);
    // A later life of the store needs the file no more.
    const later = new Blobs(folder);
    expect(await later.adopt(DIGEST, null, CONTENT.length, list)).toBe(true);
    const blob = await later.get(DIGEST);
    await blob.check({ from: 10, to: 100_000 });
    expect(Buffer.concat(await blob.stream({ from: 10, to: 20 }).toArray())).toEqual(
      CONTENT.subarray(10, 20),
    );
    const damaged = Buffer.from(CONTENT);
    damaged[5 * CORPUS_CHUNK_BYTES + 3] = 0;
    writeFileSync(pathIn(folder), damaged);
    await expect(blob.check({ from: 5 * CORPUS_CHUNK_BYTES, to: CONTENT.length })).rejects.toMatchObject({
      code: "blob-corrupt",
      message: expect.stringMatching(/damaged near byte 327680, .* Delete the file/),
    });
    await blob.check({ from: 6 * CORPUS_CHUNK_BYTES, to: CONTENT.length });
  });

  test("whose upload breaks off go on where it was, after a restart too, and never become another file", async () => {
    const folder = temporaryFolder();
    const large = Buffer.alloc(3 * 1024 * 1024, "weights ");
    const digest = sha256(large);
    const breaking = Readable.from(
      (function* () {
        yield large.subarray(0, 2 * 1024 * 1024);
        throw new Error("the line broke");
      })(),
    );
    await expect(new Blobs(folder).put(digest, breaking, large.length)).rejects.toThrow("the line broke");
    const blobs = new Blobs(folder);
    const begun = await blobs.begun(digest);
    expect(begun).toBe(2 * 1024 * 1024);
    expect(await blobs.length(digest)).toBeNull();
    const rest = () => Readable.from([large.subarray(begun)]);
    await expect(blobs.put(digest, rest(), large.length, begun + 1)).rejects.toMatchObject({
      code: "upload-gap",
    });
    const [one, other] = [blobs.put(digest, rest(), large.length, begun), blobs.put(digest, rest(), 1, 0)];
    await expect(other).rejects.toMatchObject({ code: "upload-under-way" });
    expect(await one).toEqual({ bytes: large.length });
    expect(await blobs.begun(digest)).toBe(0);
    const wrong = Buffer.alloc(large.length);
    await expect(blobs.put(DIGEST, Readable.from([wrong]), wrong.length)).rejects.toMatchObject({
      code: "blob-mismatch",
    });
    expect(await blobs.begun(DIGEST)).toBe(0);
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
