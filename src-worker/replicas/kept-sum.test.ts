import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeptSum } from "./kept-sum.ts";

const NAME = { key: "run/1", generation: 3, step: 7, round: 2 };
const PARTS = [Float32Array.of(1, 2, 3), Float32Array.of(-4.5)];
const WHOLE = Float32Array.of(1, 2, 3, -4.5);

describe("the whole sum of a step", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "sum "));
    path = join(folder, "memory", "whole-sum");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is read by the next process, with the round in which it was added", async () => {
    await new KeptSum(path).keep(NAME, PARTS);
    expect(await new KeptSum(path).read(NAME, 4)).toEqual({ round: 2, values: WHOLE });
  });

  it.each([
    ["slice or run", { key: "run/2" }, 4],
    ["pipeline", { generation: 4 }, 4],
    ["step", { step: 8 }, 4],
    ["size", {}, 5],
  ])("is not that of another %s", async (_, change, length) => {
    await new KeptSum(path).keep(NAME, PARTS);
    expect(await new KeptSum(path).read({ ...NAME, ...change }, length)).toBeNull();
  });

  it("is the last one that was kept, however many are on their way, and goes when nobody asks for it", async () => {
    const kept = new KeptSum(path);
    void kept.keep(NAME, [new Float32Array(3_000_000).fill(5)]);
    void kept.keep({ ...NAME, round: 3 }, PARTS);
    expect(await kept.read(NAME, 4)).toEqual({ round: 3, values: WHOLE });
    await kept.forget();
    expect(await kept.read(NAME, 4)).toBeNull();
  });

  it("has a place again after everything there was removed", async () => {
    const kept = new KeptSum(path);
    await kept.keep(NAME, PARTS);
    rmSync(join(folder, "memory"), { recursive: true });
    await kept.keep({ ...NAME, step: 8 }, PARTS);
    expect(await kept.read({ ...NAME, step: 8 }, 4)).toEqual({ round: 2, values: WHOLE });
  });

  it("is none where it was cut anywhere, as by a kill", async () => {
    const kept = new KeptSum(path);
    await kept.keep(NAME, PARTS);
    const { size } = statSync(path);
    for (let bytes = size - 1; bytes >= 0; bytes -= 7) {
      truncateSync(path, bytes);
      expect(await kept.read(NAME, 4), `${bytes} bytes`).toBeNull();
    }
    await kept.keep(NAME, PARTS);
    writeFileSync(path, readFileSync(path).fill(0, 0, 1024));
    expect(await kept.read(NAME, 4)).toBeNull();
  });

  it("is not kept where nothing can be written, and nothing fails for it", async () => {
    writeFileSync(join(folder, "memory"), "a file in the folder's place");
    const kept = new KeptSum(path);
    await kept.keep(NAME, PARTS);
    expect(await kept.read(NAME, 4)).toBeNull();
  });
});
