import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ComputeOptions } from "./compute-call.ts";
import { rememberedExact } from "./remembered-exact.ts";

const OPTIONS: ComputeOptions = { threads: 2, executionProvider: "cpu", niceness: null };
const DAY = 86_400_000;

describe("that this computer holds the class exact", () => {
  let folder: string;
  let path: string;
  let computed: number;
  const ask = (holds: boolean, at: number, options: Partial<ComputeOptions> = {}): Promise<boolean> =>
    rememberedExact(
      path,
      { ...OPTIONS, ...options },
      async () => {
        computed++;
        return holds;
      },
      () => at,
    );

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tah-exact-"));
    path = join(folder, "exact.json");
    computed = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is computed once a day", async () => {
    expect([await ask(true, 0), await ask(true, DAY - 1), computed]).toEqual([true, true, 1]);
    expect([await ask(true, DAY), computed]).toEqual([true, 2]);
  });

  it("is computed again when the clock was set back, or another number of threads computes", async () => {
    await ask(true, DAY);
    await ask(true, DAY - 1);
    await ask(true, DAY, { threads: 3 });
    expect(computed).toBe(3);
  });

  it("is not remembered where it does not hold", async () => {
    expect([await ask(false, 0), await ask(true, 1), computed]).toEqual([false, true, 2]);
  });

  it("is not remembered of a graphics card", async () => {
    await ask(true, 0, { executionProvider: "cuda" });
    await ask(true, 0, { executionProvider: "cuda" });
    expect(computed).toBe(2);
  });

  it("is computed where the file cannot be read or written", async () => {
    writeFileSync(path, readFileSync(import.meta.filename).subarray(0, 100));
    expect([await ask(true, 0), computed]).toEqual([true, 1]);
    path = join(folder, "no such folder", "exact.json");
    expect([await ask(true, 0), computed]).toEqual([true, 2]);
  });
});
