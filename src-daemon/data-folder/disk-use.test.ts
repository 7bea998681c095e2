import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DiskUse, folderBytes } from "./disk-use.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah disk "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("all in the folder counts, and nothing that a link leads to", async () => {
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  writeFileSync(join(folder, "a", "b", "c"), Buffer.alloc(1_000_000, 1));
  const before = await folderBytes(folder);
  expect(before).toBeGreaterThanOrEqual(1_000_000);
  expect(before).toBeLessThan(1_100_000);
  symlinkSync(import.meta.dirname, join(folder, "link"));
  expect(await folderBytes(folder)).toBeLessThan(1_100_000);
});

it("is measured while a quota asks for it, and news are told", async () => {
  let wanted = false;
  const changed = vi.fn<() => void>();
  const use = new DiskUse(folder, { wanted: () => wanted, changed });
  use.look();
  expect(use.bytes).toBeNull();
  wanted = true;
  use.look();
  await use.measure();
  expect(changed).toHaveBeenCalledTimes(1);
  await use.measure();
  expect(changed).toHaveBeenCalledTimes(1);
  writeFileSync(join(folder, "more"), Buffer.alloc(100_000, 1));
  await use.measure();
  expect(changed).toHaveBeenCalledTimes(2);
  expect(use.bytes).toBeGreaterThanOrEqual(100_000);
  use.stop();
});
