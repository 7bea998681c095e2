import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checkpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { DaemonProcess } from "./daemon-process.ts";
import { finalParameters } from "./demo-parameters.ts";
import type { VerifyResult } from "./run-verify.ts";

/** A checkpoint comes at step 50, and one at the end. */
const STEPS = 60;
const CHECKPOINT = 50;
const STAGES = 2;

/** A real network's data folder, whose daemon was killed when it was done. */
let home: string;
let parametersSha256: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "tah verify "));
  const words = `--yes --no-probe --exact --model tiny --steps ${STEPS} --neighbours ${STAGES - 1}`;
  const daemon = new DaemonProcess(home, words.split(" "));
  try {
    const network = join(home, NETWORK_FOLDER_NAME);
    ({ parametersSha256 } = await finalParameters(network, STEPS, 60_000));
    while (linesOf(home).length < 1 + STEPS * STAGES) await wait(20);
  } finally {
    daemon.kill();
    await daemon.ended;
  }
}, 90_000);
afterAll(() => rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

const recordFile = (folder: string): string => join(folder, NETWORK_FOLDER_NAME, "record.jsonl");
const linesOf = (folder: string): string[] => {
  try {
    return readFileSync(recordFile(folder), "utf8").trimEnd().split("\n");
  } catch {
    return [];
  }
};

function verify(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  const given = [join(import.meta.dirname, "tah.ts"), "run", "verify", ...words];
  return new Promise((resolve) => {
    const options = { env: { ...process.env, HOME: home, XDG_CACHE_HOME: join(home, "cache") } };
    const child = execFile(process.execPath, given, options, (_, out, error) =>
      resolve({ code: child.exitCode ?? -1, out, error }),
    );
  });
}

/** The same folder with one digit of a link changed. */
function altered(step: number, stage: number): string {
  const folder = join(home, `altered ${step} ${stage}`);
  cpSync(join(home, NETWORK_FOLDER_NAME), join(folder, NETWORK_FOLDER_NAME), { recursive: true });
  const start = `[${step},${stage},"`;
  const lines = linesOf(folder).map((line) =>
    line.startsWith(start) ? line.replace(/"(.)/, (_, digit) => `"${digit === "0" ? "1" : "0"}`) : line,
  );
  writeFileSync(recordFile(folder), `${lines.join("\n")}\n`);
  return folder;
}

it("does a network's last steps again from its checkpoint, and comes to the parameters that it has stored", async () => {
  const [{ code, out, error }, whole] = await Promise.all([
    verify(home),
    verify(home, "--steps", `1..${STEPS + 40}`, "--json"),
  ]);
  expect({ code, out }).toEqual({
    code: 0,
    out: `The same: ${(STEPS - CHECKPOINT) * STAGES} links of steps ${CHECKPOINT + 1} to ${STEPS}.\nThe parameters after step ${STEPS}: ${parametersSha256}\n`,
  });
  expect(error).toContain(`from the checkpoint of step ${CHECKPOINT}`);
  // And all of them, from the seed.
  expect(JSON.parse(whole.out)).toMatchObject({
    startStep: 0,
    step: STEPS,
    same: STEPS * STAGES,
    differs: null,
    parametersSha256,
  } satisfies Partial<VerifyResult>);
}, 60_000);

it("names the first step and stage that differ, of the steps and stages that are asked for", async () => {
  const folder = altered(55, 1);
  const [all, before, other, json] = await Promise.all([
    verify(folder),
    verify(folder, "--steps", "52..54"),
    verify(folder, "--stage", "1"),
    verify(folder, "--steps", "53..58", "--stage", "2", "--json"),
  ]);
  expect(all.code).toBe(3);
  // Nine links of steps 51 to 54, and that of the other stage at step 55.
  expect(all.out).toMatch(
    /^Different from step 55 on, stage 2; before it 9 links are the same\.\n {2}stage 2: /,
  );
  expect(before).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^The same: 6 links of steps 52 to 54/),
  });
  expect(other).toMatchObject({ code: 0, out: expect.stringMatching(/^The same: 10 links/) });
  expect(json.code).toBe(3);
  expect(JSON.parse(json.out)).toMatchObject({ startStep: 50, from: 53, same: 2, differs: { step: 55 } });
}, 60_000);

it("begins at no checkpoint that the record does not know, and at none that is damaged", async () => {
  const foreign = await verify(altered(CHECKPOINT, 0));
  expect(foreign.code).toBe(3);
  expect(foreign.out).toMatch(/^The stored state of step 50 is not that of the record, stage 1;/);

  const folder = altered(1, 0);
  const network = join(folder, NETWORK_FOLDER_NAME);
  const manifest = checkpointManifest.parse(
    JSON.parse(readFileSync(join(network, "checkpoint.json"), "utf8")),
  );
  const file = join(network, manifest.earlier?.[0]?.stages[1]?.file ?? "");
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(1, bytes.length - 8));
  const damaged = await verify(folder, "--json");
  expect(damaged.code).toBe(1);
  expect(JSON.parse(damaged.out)).toMatchObject({ error: { code: "snapshot-corrupt" } });
}, 60_000);

it("says what cannot be done", async () => {
  const answers = await Promise.all([
    verify(home, "--stage", "3", "--json"),
    verify(home, "--steps", "61..70", "--json"),
    verify(join(home, "nothing.onnx"), "--json"),
    verify(home, "--steps", "9..3", "--json"),
  ]);
  expect(answers.map(({ code, out }) => [code, JSON.parse(out).error.code])).toEqual([
    [2, "no-such-stage"],
    [2, "no-such-steps"],
    [1, "record-not-found"],
    [2, "bad-use"],
  ]);
}, 60_000);
