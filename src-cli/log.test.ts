import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GrowingLog } from "./growing-log.ts";
import { logJson, logText } from "./log-text.ts";

const entry = (msg: string, more: object = {}) =>
  JSON.stringify({ level: 30, time: "2026-11-28T15:40:05.123Z", ...more, msg });

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah log "));
  path = join(folder, "daemon.log");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a line of the log", () => {
  it("is its moment, what is unusual about it, its words, and what else it has", () => {
    expect(logText(entry("Training has started."), "Europe/Berlin")).toBe(
      "2026-11-28 16:40:05  Training has started.",
    );
    const error = { type: "Error", message: "no route", stack: "Error: no route\n at x" };
    const lost = entry("It was lost.", { level: 40, process: "worker 1", pid: 7, err: error });
    expect(logText(lost, "UTC")).toBe(
      '2026-11-28 15:40:05  warning  It was lost.  process="worker 1"  pid=7  err="no route"',
    );
  });

  it("tells a terminal nothing to do", () => {
    const sent = "gone\u001b[2J\r\nfake";
    expect(logText(entry(sent, { peer: sent }), "UTC")).toBe(
      '2026-11-28 15:40:05  gone [2J fake  peer="gone\\u001b[2J\\r\\nfake"',
    );
    expect(logText("\u001b]0;x\u0007y")).toBe(" ]0;x y");
  });

  it("that the daemon has not written stays as it is, and is JSON for a program", () => {
    for (const line of ["FATAL ERROR: out of memory", "42", '{"half":'])
      expect([logText(line), JSON.parse(logJson(line))]).toEqual([line, { text: line }]);
    expect(logJson(entry("as it is"))).toBe(entry("as it is"));
  });
});

describe("a log that grows", () => {
  it("is read in whole lines, over the letters of a cut and over its renaming", () => {
    writeFileSync(`${path}.1`, "oldest\nbefore\n");
    writeFileSync(path, "first\nsec");
    const log = new GrowingLog(path);
    expect(log.begin()).toEqual(["oldest", "before", "first"]);
    expect(log.more()).toEqual([]);
    const rest = Buffer.from("ond ü\nthird\n");
    appendFileSync(path, rest.subarray(0, 5));
    expect(log.more()).toEqual([]);
    appendFileSync(path, rest.subarray(5));
    expect(log.more()).toEqual(["second ü", "third"]);
    // As the daemon does it: what came last, then another file of the same name.
    appendFileSync(path, "last of it\n");
    renameSync(path, `${path}.1`);
    expect(log.more()).toEqual(["last of it"]);
    appendFileSync(`${path}.1`, "after all\n");
    writeFileSync(path, "anew\n");
    expect(log.more()).toEqual(["after all", "anew"]);
    truncateSync(path);
    appendFileSync(path, "a\n");
    expect(log.more()).toEqual(["a"]);
    log.close();
  });

  it("may not be there yet", () => {
    const log = new GrowingLog(path);
    expect(log.begin()).toBeNull();
    expect(log.more()).toEqual([]);
    writeFileSync(path, "now\n");
    expect(log.more()).toEqual(["now"]);
    log.close();
  });
});

describe("tah log", () => {
  it.skipIf(process.platform === "win32")(
    "shows the end, then what comes over the renaming, and ends well with Ctrl-C",
    async () => {
      writeFileSync(path, `${["one", "two", "three"].map((msg) => entry(msg)).join("\n")}\n`);
      const log = tah("log", "-f", "-n", "2", "--json");
      await log.shown("three");
      renameSync(path, `${path}.1`);
      writeFileSync(path, `${entry("four")}\n`);
      await log.shown("four");
      log.child.kill("SIGINT");
      const { code, out, error } = await log.ended;
      const said = out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { msg: string }).msg);
      expect([code, error, said]).toEqual([0, "", ["two", "three", "four"]]);
    },
  );

  it("of a folder that has none is a sentence", async () => {
    const { code, out, error } = await tah("log").ended;
    expect([code, out]).toEqual([1, ""]);
    expect(error).toContain(`There is no log in ${folder}`);
  });

  function tah(...words: string[]) {
    const child = spawn(process.execPath, [join(import.meta.dirname, "tah.ts"), ...words], {
      env: { ...process.env, TAH_HOME: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let error = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    const ended = new Promise<{ code: number | null; out: string; error: string }>((resolve) =>
      child.once("close", (code) => resolve({ code, out, error })),
    );
    const shown = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => void (out.includes(text) && resolve());
        child.stdout.on("data", look);
        child.once("close", () => reject(new Error(`ended before “${text}”: ${out}${error}`)));
        look();
      });
    return { child, ended, shown };
  }
});
