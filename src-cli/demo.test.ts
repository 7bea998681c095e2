import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brokenPromise } from "./demo-run.ts";
import { afterEach, beforeEach, expect, it } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah demo "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function demo(...words: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "demo.ts"), ...words], {
    // ONNX Runtime would leave its device id in the home folder.
    env: { ...process.env, TMPDIR: folder, HOME: folder, XDG_CACHE_HOME: join(folder, "cache") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let error = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, error })));
}

it("the demo trains through the loss of a neighbour, prints its figures and leaves nothing behind", async () => {
  // A tiny step takes some 20 ms: there must be many left when the demo hears of the half-way step.
  const { code, out, error } = await demo("--steps", "80", "--kill", "--json", "--model", "tiny");
  expect({ code, error: code === 0 ? "" : error }).toEqual({ code: 0, error: "" });
  const figures = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  expect(figures).toMatchObject({ steps: 80, stages: 3, processes: 5, receipts: 80 });
  expect(figures.lossLast).toBeLessThan(figures.lossFirst);
  expect(figures.heldOutLoss).toBeGreaterThan(1);
  expect(figures.tokensPerSecond).toBeGreaterThan(0);
  expect(figures.earnedRao).toBeGreaterThan(0);
  expect(figures.recoveredMs).toBeGreaterThan(0);
  expect(figures.recoveredMs).toBeLessThan(60_000);
  expect(figures).toMatchObject({ arithmetic: "fast" });
  expect(figures.parametersSha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readdirSync(folder)).toEqual([]);
}, 240_000);

it("with two computers for each stage the killed one's stage alone repeats its part, and goes on at once", async () => {
  const { code, out, error } = await demo(
    "--steps",
    "80",
    "--replicas",
    "2",
    "--kill",
    "--json",
    "--model",
    "tiny",
  );
  expect({ code, error: code === 0 ? "" : error }).toEqual({ code: 0, error: "" });
  const figures = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  expect(figures).toMatchObject({ steps: 80, stages: 3, redone: { byOthers: 0 } });
  expect(figures.movingAgainMs).toBeGreaterThan(0);
  expect(figures.lossLast).toBeLessThan(figures.lossFirst);
  expect(readdirSync(folder)).toEqual([]);
}, 240_000);

it("the demo has failed when others than the lost one's stage did something again", () => {
  expect(brokenPromise({ redone: { byLostStages: 4, byOthers: 0 } })).toBeNull();
  expect(brokenPromise({ redone: { byLostStages: 4, byOthers: 3 } })?.message).toMatch(
    /^3 micro-batches were done again by stages that had lost nobody/,
  );
});

it("the demo refuses what it does not understand", async () => {
  expect(await demo("--stepz", "3")).toEqual({
    code: 2,
    out: "",
    error: "The option --stepz could not be understood. --help lists all options.\n",
  });
  expect((await demo("--steps", "none")).error).toMatch(/^--steps needs a whole number/);
});
