import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memoryFolder } from "./memory-folder.ts";

const DAY_MS = 86_400_000;
const PLACE = "/dev/shm";

describe.runIf(process.platform === "linux" && existsSync(PLACE))("a worker's folder in memory", () => {
  const uid = process.getuid?.() ?? 0;
  let place: string;
  beforeEach(() => (place = mkdtempSync(join(PLACE, "tah-test-"))));
  afterEach(() => rmSync(place, { recursive: true, force: true }));
  const folderOf = (home: string, now = Date.now()) => memoryFolder(home, { place, uid, now });

  it("is the same for the next daemon of the same data folder, and another one for another", () => {
    const first = folderOf("/home/a/worker");
    expect(first).toMatch(new RegExp(`^${place}/train-at-home-${uid}/[0-9a-f]{16}$`));
    expect(folderOf("/home/a/worker")).toBe(first);
    expect(folderOf("/home/b/worker")).not.toBe(first);
  });

  it("is removed with what is in it when nobody has come back for a day", () => {
    const left = folderOf("/home/a/worker") ?? "";
    writeFileSync(join(left, "slot"), "state");
    folderOf("/home/b/worker", Date.now() + DAY_MS / 2);
    expect(existsSync(left)).toBe(true);
    const own = folderOf("/home/b/worker", Date.now() + 2 * DAY_MS) ?? "";
    expect([existsSync(left), existsSync(own)]).toEqual([false, true]);
  });

  it("is not taken where another user may have put it, and not on a disk", () => {
    const own = join(place, `train-at-home-${uid}`);
    mkdirSync(own);
    chmodSync(own, 0o770);
    expect(folderOf("/home/a/worker")).toBe(null);
    rmSync(own, { recursive: true });
    const elsewhere = mkdtempSync(join(PLACE, "tah-test-"));
    symlinkSync(elsewhere, own);
    expect(folderOf("/home/a/worker")).toBe(null);
    rmSync(elsewhere, { recursive: true });
    rmSync(own);
    mkdirSync(own, { mode: 0o700 });
    expect(memoryFolder("/home/a", { place, uid: uid + 1, now: Date.now() })).not.toBe(folderOf("/home/a"));
    expect(memoryFolder("/home/a", { place: tmpdir(), uid, now: Date.now() })).toBe(null);
  });
});
