import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readBoundedLines } from "./bounded-lines.ts";
import { startChild } from "./child.ts";
import type { Child } from "./child.ts";

/** Children that behave as no honest program does, as real processes. */

let folder: string;
const children: Child[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-child-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Watched {
  readonly child: Child;
  readonly messages: unknown[];
  readonly lines: string[];
  garbage: number;
  ended: string | null;
}

function start(code: string): Watched {
  const script = join(folder, "child.mjs");
  writeFileSync(
    script,
    `import fs from "node:fs"; process.on("disconnect", () => process.exit(0));\n${code}`,
  );
  const messages: unknown[] = [];
  const lines: string[] = [];
  const watched: Omit<Watched, "child"> = { messages, lines, garbage: 0, ended: null };
  const child = startChild(script, {
    onMessage: (message) => void messages.push(message),
    onLine: (line) => void lines.push(line),
    onGarbage: () => void (watched.garbage += 1),
    onExit: (exit, signal) => void (watched.ended = signal ?? `exit-${exit}`),
  });
  children.push(child);
  return Object.assign(watched, { child });
}

async function until(what: string, condition: () => boolean, withinMs = 20_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe.skipIf(process.platform === "win32")("a child that the daemon cannot trust", () => {
  test("is heard and answered as ever", async () => {
    const echo = start(
      `process.on("message", (message) => process.send({ type: "echo", message }, () => process.exit(0)));`,
    );
    echo.child.send({ type: "hello" });
    await until("it ended", () => echo.ended !== null);
    expect(echo.messages).toEqual([{ type: "echo", message: { type: "hello" } }]);
    expect(echo.ended).toBe("exit-0");
  });

  test.each([
    ["a line that is no JSON", `fs.writeSync(3, "{nonsense\\n");`],
    ["an empty line", `fs.writeSync(3, "\\n");`],
    [
      "a line that never ends",
      `const piece = "x".repeat(65536); const go = () => { try { fs.writeSync(3, piece); } catch {} setImmediate(go); }; go();`,
    ],
  ])("is ended for garbage on its channel: %s", async (_, code) => {
    const before = process.memoryUsage().rss;
    const bad = start(`process.send({ type: "fine" }, () => { ${code} });\nsetInterval(() => {}, 1000);`);
    await until("it was ended", () => bad.ended !== null);
    expect(bad).toMatchObject({ messages: [{ type: "fine" }], garbage: 1, ended: "SIGKILL" });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  test("loses nothing honest when it says a lot at once", async () => {
    const flood = start(
      `for (let i = 0; i < 3000; i++) process.send({ type: "n", i }); setInterval(() => {}, 1000);`,
    );
    await until("all came", () => flood.messages.length === 3000);
    expect(flood.messages.at(-1)).toEqual({ type: "n", i: 2999 });
    expect(flood).toMatchObject({ garbage: 0, ended: null });
  });

  test("fills no log and no memory from its standard output", async () => {
    const before = process.memoryUsage().rss;
    const loud = start(
      `const long = "y".repeat(1 << 20);\nprocess.stdout.write(long + "\\n");\n` +
        `for (let i = 0; i < 20000; i++) process.stdout.write("line " + i + "\\n");\n` +
        `process.stdout.write("last\\n", () => process.exit(0));`,
    );
    await until("it ended", () => loud.ended !== null);
    await until("what was left out is said", () => loud.lines.some((line) => line.includes("were left out")));
    expect(loud.lines[0]).toHaveLength(2_000);
    expect(loud.lines.length).toBeLessThan(2_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  test("takes along whatever it has started", async () => {
    const parent = start(
      `import { spawn } from "node:child_process";\n` +
        `const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });\n` +
        `process.send({ type: "pid", pid: child.pid }); setInterval(() => {}, 1000);`,
    );
    await until("it has a child", () => parent.messages.length === 1);
    const { pid } = parent.messages[0] as { pid: number };
    expect(isAlive(pid)).toBe(true);
    parent.child.kill("SIGKILL");
    await until("both are gone", () => parent.ended !== null && !isAlive(pid));
    expect(parent.ended).toBe("SIGKILL");
  });

  test.runIf(process.platform === "linux")(
    "does not outlive the daemon, though it hangs and the daemon was killed",
    async () => {
      const hanging = join(folder, "hanging.mjs");
      const pidFile = join(folder, "pid");
      writeFileSync(
        hanging,
        `import fs from "node:fs"; fs.writeFileSync(${JSON.stringify(pidFile)}, String(process.pid) + "\\n"); for (;;);`,
      );
      const daemon = join(folder, "daemon.mjs");
      const module = pathToFileURL(join(import.meta.dirname, "child.ts")).href;
      writeFileSync(
        daemon,
        `import { startChild } from ${JSON.stringify(module)};\n` +
          `startChild(${JSON.stringify(hanging)}, { onMessage() {}, onLine() {}, onExit() {} });`,
      );
      const process_ = spawn(process.execPath, [daemon], { stdio: "ignore" });
      const written = (): string => {
        try {
          return readFileSync(pidFile, "utf8");
        } catch {
          return "";
        }
      };
      await until("the child runs", () => written().endsWith("\n"));
      const pid = Number(written());
      process_.kill("SIGKILL");
      await until("the child is gone", () => !isAlive(pid), 5_000);
      expect(isAlive(pid)).toBe(false);
    },
  );
});

test("lines are cut, counted and put together, however their bytes come", () => {
  const text = `first\r\n${"x".repeat(30)}\n\nschön\nlast`;
  for (const size of [1, 3, 1000]) {
    const stream = new PassThrough();
    const lines: [string, boolean][] = [];
    const limits = { lineBytes: 10, linesPerSecond: 1e6, bytesPerSecond: 1e9, excess: "skip" } as const;
    readBoundedLines(stream, limits, { onLine: (line, isCut) => void lines.push([line, isCut]) });
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) stream.emit("data", bytes.subarray(at, at + size));
    stream.emit("end");
    expect(lines).toEqual([
      ["first", false],
      ["x".repeat(10), true],
      ["", false],
      ["schön", false],
      ["last", false],
    ]);
  }
});

test("who writes faster than it is read waits, and gets its turn", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  try {
    const stream = new PassThrough();
    const lines: string[] = [];
    const limits = { lineBytes: 10, linesPerSecond: 5, bytesPerSecond: 1e9, excess: "wait" } as const;
    readBoundedLines(stream, limits, { onLine: (line) => void lines.push(line) });
    stream.write("1\n2\n3\n4\n5\n6\n");
    await new Promise(setImmediate);
    expect([lines.length, stream.isPaused()]).toEqual([6, true]);
    stream.write("7\n");
    await new Promise(setImmediate);
    expect(lines).toHaveLength(6);
    vi.advanceTimersByTime(1_000);
    await new Promise(setImmediate);
    expect([lines.length, stream.isPaused()]).toEqual([7, false]);
  } finally {
    vi.useRealTimers();
  }
});
