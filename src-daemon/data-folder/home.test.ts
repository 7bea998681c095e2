import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { homeFailure, openHome } from "./home.ts";
import { lockHome } from "./lock.ts";

const NO_ROOM = { toBegin: Number.MAX_SAFE_INTEGER, toGoOn: Number.MAX_SAFE_INTEGER };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah home "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("opening a data folder", () => {
  it("makes it, for its owner only", () => {
    const home = openHome(join(folder, "deep", "home"));
    expect(statSync(home.path).mode & 0o777).toBe(0o700);
  });

  it("refuses a file in its place", () => {
    writeFileSync(join(folder, "file"), "");
    expect(() => openHome(join(folder, "file"))).toThrow(/a file where a folder is needed/);
    expect(() => openHome(join(folder, "file", "below"))).toThrow(/a file where a folder is needed/);
  });

  it("refuses a disk without room", () => {
    expect(() => openHome(folder, NO_ROOM)).toThrow(/disk is full/);
  });

  it("asks for less room once the big files are there", () => {
    const room = { toBegin: Number.MAX_SAFE_INTEGER, toGoOn: 0 };
    expect(() => openHome(folder, room)).toThrow(/disk is full/);
    mkdirSync(join(folder, "network"));
    expect(openHome(folder, room).path).toBe(folder);
  });

  it("leaves a folder that it refuses as it was", () => {
    const before = statSync(folder).mode;
    expect(() => openHome(folder, NO_ROOM)).toThrow(Failure);
    expect(statSync(folder).mode).toBe(before);
  });

  it.each([
    ["EACCES", "home-no-permission"],
    ["EPERM", "home-no-permission"],
    ["EROFS", "home-read-only"],
    ["ENOSPC", "home-full"],
    ["EDQUOT", "home-full"],
    ["ENOTDIR", "home-not-a-folder"],
    ["EIO", "home-unusable"],
  ])("turns %s into one sentence", (code, failure) => {
    const said = homeFailure("/there", Object.assign(new Error("low level"), { code }));
    expect(said.code).toBe(failure);
    expect(said.message).toContain("/there");
    expect(said.message).not.toContain("low level");
  });
});

describe("one daemon a folder", () => {
  it("refuses the second and names the first, until the first is gone", () => {
    const home = openHome(folder);
    const first = lockHome(home);
    writeFileSync(
      home.apiFile,
      JSON.stringify({ url: "http://127.0.0.1:4711", token: "0".repeat(64), pid: 4242 }),
    );
    expect(() => lockHome(home)).toThrow(/already running.*process 4242, http:\/\/127\.0\.0\.1:4711/);
    first.release();
    lockHome(home).release();
  });

  it("says what to do about a damaged lock file, and leaves it alone", () => {
    const home = openHome(folder);
    writeFileSync(home.lockFile, "not a database, but long enough to look at");
    expect(() => lockHome(home)).toThrow(/holds no data: delete it/);
    expect(statSync(home.lockFile).size).toBeGreaterThan(0);
  });

  it("refuses a lock file that cannot be opened", () => {
    const home = openHome(folder);
    mkdirSync(home.lockFile);
    expect(() => lockHome(home)).toThrow(/could not be locked/);
  });
});
