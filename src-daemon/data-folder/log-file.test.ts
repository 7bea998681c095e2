import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openLog } from "./log-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah log "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the log", () => {
  it("is its owner's alone and has no secrets in it", () => {
    const path = join(folder, "daemon.log");
    const { log, close } = openLog(path);
    log.info({ token: "s3cret", headers: { cookie: "s3cret" }, step: 7 }, "hello");
    close();
    const text = readFileSync(path, "utf8");
    expect(text).toContain('"step":7');
    expect(text).not.toContain("s3cret");
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("that cannot be written is one sentence", () => {
    const path = join(folder, "daemon.log");
    mkdirSync(path);
    expect(() => openLog(path)).toThrow(/daemon\.log cannot be written \(EISDIR\)/);
  });

  it("keeps the last lines and never grows beyond its limit", () => {
    const path = join(folder, "daemon.log");
    const { log, close } = openLog(path, 2_000);
    for (let line = 0; line < 500; line += 1) log.info({ line }, "a line of the log");
    close();
    expect(readdirSync(folder).sort()).toEqual(["daemon.log", "daemon.log.1"]);
    const both = ["daemon.log.1", "daemon.log"].map((name) => readFileSync(join(folder, name), "utf8"));
    expect(both.join("")).toContain('"line":499');
    expect(both.join("").length).toBeLessThan(5_000);
  });
});
