import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkpointManifest } from "../src-protocol/checkpoint-manifest.ts";
import type { TrainingResult } from "./model-train.ts";

const FIXTURE = join(import.meta.dirname, "..", "src-engine", "fixtures", "tied-old.onnx");
const TEXT = "the cat sat on the mat and the dog ran to the cat but the bird flew over the house ".repeat(40);

let folder: string;
let model: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah resume "));
  for (const name of ["data", "models"]) mkdirSync(join(folder, name));
  const tokens = Uint16Array.from(TEXT, (letter) => (letter.codePointAt(0) ?? 0) % 24);
  writeFileSync(join(folder, "data", "letters.u16"), tokens);
  model = join(folder, "models", "small.onnx");
  copyFileSync(FIXTURE, model);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  out: string;
  error: string;
}

interface Started {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Resolves when it has said so on standard error. */
  said(text: string): Promise<void>;
}

function start(steps: number, ...words: string[]): Started {
  const given = [
    model,
    "--data",
    join(folder, "data"),
    "--stages",
    "1",
    "--samples",
    "0",
    "--micro-batches",
    "2",
  ];
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "tah.ts"),
      "model",
      "train",
      ...given,
      "--steps",
      String(steps),
      ...words,
      "--json",
    ],
    {
      env: {
        ...process.env,
        TAH_HOME: join(folder, "home"),
        HOME: folder,
        XDG_CACHE_HOME: join(folder, "cache"),
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let [out, error] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, out, error })));
  const said = async (text: string): Promise<void> => {
    while (!error.includes(text)) {
      if (child.exitCode !== null) throw new Error(`It ended without saying "${text}": ${out} ${error}`);
      await wait(10);
    }
  };
  return { child, ended, said };
}

const resultOf = ({ out, error }: Ended): TrainingResult => {
  if (!out.startsWith('{"model"')) throw new Error(`${out} ${error}`);
  return JSON.parse(out) as TrainingResult;
};

const trainings = (): string => join(folder, "home", "trainings");

function stored(): number {
  const [file] = globSync(join(trainings(), "train-*", "network", "checkpoint.json"));
  if (file === undefined) return 0;
  return checkpointManifest.parse(JSON.parse(readFileSync(file, "utf8"))).step;
}

async function untilStored(step: number, child: ChildProcess): Promise<void> {
  while (stored() < step && child.exitCode === null) await wait(10);
  expect(child.exitCode).toBe(null);
}

function daemonPid(): number {
  const [file = ""] = globSync(join(trainings(), "train-*", "processes.json"));
  return (JSON.parse(readFileSync(file, "utf8")) as { daemon: number }).daemon;
}

describe("a training that was stopped", () => {
  it("goes on after its daemon was killed, after the command was killed, and after Ctrl-C", async () => {
    // The number of steps decides the learning rate, so it must be the same for all.
    const STEPS = 100_000;
    const first = start(STEPS);
    await untilStored(20, first.child);
    process.kill(daemonPid(), "SIGKILL");
    const broken = await first.ended;
    expect(broken.code).toBe(1);
    const { error } = JSON.parse(broken.out) as { error: { code: string; message: string } };
    expect(error.code).toBe("daemon-ended");
    expect(error.message).toMatch(
      /The weights of step \d+, .* are in small\.trained\.onnx\. The same command goes on/,
    );

    const before = stored();
    expect(before).toBeGreaterThanOrEqual(20);
    const second = start(STEPS);
    await untilStored(before + 20, second.child);
    second.child.kill("SIGKILL");
    await second.ended;

    const third = start(STEPS);
    await third.said("Going on:");
    const between = stored();
    await untilStored(between + 20, third.child);
    third.child.kill("SIGINT");
    const ended = await third.ended;
    const result = resultOf(ended);
    expect(ended.error).toMatch(/Going on: .*--fresh begins anew/);
    expect(result.resumedFrom).toBeGreaterThanOrEqual(before + 20);
    expect(result).toMatchObject({ interrupted: true, out: join(folder, "models", "small.trained.onnx") });
    expect(result.writtenStep).toBeGreaterThanOrEqual(between + 20);
    expect(readdirSync(trainings()).map((name) => join(trainings(), name))).toEqual([result.kept]);
  }, 180_000);

  it("is written elsewhere where its file cannot be, and later without training again", async () => {
    const away = join(folder, "away");
    mkdirSync(away);
    const { ended } = start(20, "--out", join(away, "trained.onnx"));
    while (globSync(join(trainings(), "train-*", "run.json")).length === 0) await wait(10);
    rmSync(away, { recursive: true });
    const answer = await ended;
    const { error } = JSON.parse(answer.out) as { error: { code: string; message: string } };
    expect(error.code).toBe("output-not-writable");
    const [, instead = ""] = /The trained model is in (.*\.onnx) instead/.exec(error.message) ?? [];
    expect(existsSync(instead)).toBe(true);

    const again = resultOf(await start(20, "--out", join(folder, "trained.onnx")).ended);
    expect(again).toMatchObject({ resumedFrom: 20, writtenStep: 20, step: 20, kept: null });
    expect(readFileSync(join(folder, "trained.onnx")).length).toBeGreaterThan(0);
    expect(readdirSync(trainings())).toEqual([]);
  }, 180_000);

  it("begins anew with --fresh", async () => {
    const first = start(100_000);
    await untilStored(20, first.child);
    first.child.kill("SIGKILL");
    await first.ended;
    const other = start(100_000, "--fresh");
    // The plan is said by whoever has the home.
    await other.said("Training:");
    const second = await start(100_000).ended;
    expect(JSON.parse(second.out)).toMatchObject({ error: { code: "training-running" } });
    await untilStored(20, other.child);
    other.child.kill("SIGINT");
    expect(resultOf(await other.ended).resumedFrom).toBe(null);
  }, 180_000);
});
