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
import { create, toBinary } from "@bufbuild/protobuf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { importModel } from "../src-engine/import/import-model.ts";
import { ModelProtoSchema } from "../src-engine/onnx_pb.js";
import { heldOutOffsets, tokensAt } from "../src-engine/samples.ts";
import { trainSingle } from "../src-worker/replay/single.ts";
import type { TrainingResult } from "./model-train.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";

const FIXTURES = join(import.meta.dirname, "..", "src-engine", "fixtures");
/** The fixtures know 24 tokens. */
const TEXT = "the cat sat on the mat and the dog ran to the cat but the bird flew over the house ".repeat(40);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah train "));
  for (const name of ["data", "tmp", "models"]) mkdirSync(join(folder, name));
  const tokens = Uint16Array.from(TEXT, (letter) => (letter.codePointAt(0) ?? 0) % 24);
  writeFileSync(join(folder, "data", "letters.u16"), tokens);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function fixture(name: string): string {
  const path = join(folder, "models", name);
  copyFileSync(join(FIXTURES, name), path);
  return path;
}

interface Ended {
  code: number | null;
  out: string;
  error: string;
}

function start(...words: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(import.meta.dirname, "tah.ts"), "model", "train", ...words], {
    // ONNX Runtime would leave its device id in the home folder.
    env: {
      ...process.env,
      TMPDIR: join(folder, "tmp"),
      TAH_HOME: join(folder, "home"),
      HOME: folder,
      XDG_CACHE_HOME: join(folder, "cache"),
    },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, as a terminal makes: Ctrl-C reaches every process of it.
    detached: true,
  });
  let out = "";
  let error = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, out, error })));
  return { child, ended };
}

/** What no later command needs would lie here. */
function leftBehind(): string[] {
  return [join(folder, "tmp"), join(folder, "home", "trainings")].flatMap((place) =>
    existsSync(place) ? readdirSync(place).map((name) => join(place, name)) : [],
  );
}

const train = (...words: string[]): Promise<Ended> => start(...words).ended;

function resultOf({ code, out, error }: Ended): TrainingResult {
  expect({ code, error: code === 0 || code === 130 ? "" : error }).toMatchObject({ error: "" });
  return JSON.parse(out) as TrainingResult;
}

/** What the program plans for the same words, computed here in one process. */
async function planned(model: string, steps: number): Promise<TrainingPlan> {
  const alone = join(folder, "alone");
  mkdirSync(alone);
  const none = {
    tokens: null,
    scores: null,
    fixed: {},
    sizes: {},
    stages: null,
    column: null,
    freeze: [],
    train: [],
  };
  const sizes = { batch: 4, sequence: 12, microBatches: 2, learningRate: 3e-3, seed: 1 };
  const data = { data: join(folder, "data"), include: [], exclude: [] };
  return planTraining({ model, steps, ...data, ...none, ...sizes }, alone, {
    cache: join(folder, "prepared"),
  });
}

/** Held-out loss of a model file, by ONNX Runtime alone. */
async function heldOutLoss(file: string, { run, corpusFile }: TrainingPlan): Promise<number> {
  const session = await InferenceSession.create(file);
  const corpus = readFileSync(corpusFile);
  const losses: number[] = [];
  for (let index = 0; index < run.evaluationMicroBatches; index++) {
    const offsets = heldOutOffsets({ ...run, index, corpusTokens: corpus.length / 2 });
    const { tokens, targets } = tokensAt(corpus, offsets, run.sequence, 2);
    const input = new Tensor("int64", BigInt64Array.from(tokens, BigInt), [run.batch, run.sequence]);
    const { output } = await session.run({ input });
    const scores = output?.data as Float32Array;
    for (const [row, target] of targets.entries()) {
      const own = scores.subarray(row * 24, row * 24 + 24);
      losses.push(Math.log(own.reduce((sum, score) => sum + Math.exp(score), 0)) - (own[target] ?? 0));
    }
  }
  await session.release();
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** Scores that are the tokens themselves, one-hot. */
function modelWithoutParameters(): Uint8Array {
  const dim = ["batch", "sequence"].map((name) => ({ value: { case: "dimParam" as const, value: name } }));
  const tensor = (elemType: number) => ({
    value: { case: "tensorType" as const, value: { elemType, shape: { dim } } },
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        name: "empty",
        input: [{ name: "input", type: tensor(7) }],
        output: [{ name: "output" }],
        initializer: [
          { name: "depth", dataType: 7, dims: [], int64Data: [24n] },
          // What stands for off and on is no parameter.
          { name: "values", dataType: 1, dims: [2n], floatData: [0, 1] },
        ],
        node: [{ opType: "OneHot", name: "scores", input: ["input", "depth", "values"], output: ["output"] }],
      },
    }),
  );
}

/** Multiplied by the root of its squares, written with a logarithm, an embedding of zeros has a slope that is no number. */
const SQUARES = [
  ["Mul", ["x", "x"], "squares"],
  ["ReduceSum", ["squares", "axes"], "sums"],
  ["Log", ["sums"], "logs"],
  ["Mul", ["logs", "half"], "halves"],
  ["Exp", ["halves"], "lengths"],
] as const;
/** A step moves some of these parameters below 0, where they have no root. */
const GAINS = [["Sqrt", ["gains"], "lengths"]] as const;

function modelOfRoots(roots: typeof SQUARES | typeof GAINS): Uint8Array {
  const dim = ["batch", "sequence"].map((name) => ({ value: { case: "dimParam" as const, value: name } }));
  const type = { value: { case: "tensorType" as const, value: { elemType: 7, shape: { dim } } } };
  const weights = Array.from({ length: 192 }, (_, i) => Math.sin(i * i));
  const rows = [
    ["Gather", ["embed", "input"], "x"],
    ...roots,
    ["Mul", ["x", "lengths"], "scaled"],
    ["MatMul", ["scaled", "head"], "output"],
  ] as const;
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        name: "roots",
        input: [{ name: "input", type }],
        output: [{ name: "output" }],
        initializer: [
          {
            name: "embed",
            dataType: 1,
            dims: [24n, 8n],
            floatData: weights.map((weight) => (roots === SQUARES ? 0 : weight)),
          },
          { name: "gains", dataType: 1, dims: [8n], floatData: weights.slice(0, 8).map(() => 0.05) },
          { name: "head", dataType: 1, dims: [8n, 24n], floatData: weights },
          { name: "half", dataType: 1, dims: [], floatData: [0.5] },
          { name: "axes", dataType: 7, dims: [1n], int64Data: [-1n] },
        ],
        node: rows.map(([opType, input, output]) => ({
          opType,
          name: output,
          input: [...input],
          output: [output],
        })),
      },
    }),
  );
}

describe("tah model train", () => {
  it.each([
    [
      "at the first step",
      SQUARES,
      /^Step 1 broke .*-not-finite\..* no number in embed\..*Nothing was written/,
    ],
    ["later", GAINS, /^Step [1-9]\d broke .*The weights of step \d+, .* in roots\.trained\.onnx/],
  ])(
    "ends with a sentence where the same step breaks again and again: %s",
    async (_, given, sentence) => {
      const roots = join(folder, "models", "roots.onnx");
      writeFileSync(roots, modelOfRoots(given));
      const words = ["--data", join(folder, "data"), "--steps", "60", "--sequence", "12", "--stages", "2"];
      const answer = await train(roots, ...words, "--learning-rate", "3e-3", "--json");
      expect(answer.code).toBe(1);
      expect(JSON.parse(answer.out)).toMatchObject({
        error: { code: "training-broken", message: expect.stringMatching(sentence) as string },
      });
      expect(leftBehind()).toEqual([]);
      const out = join(folder, "models", "roots.trained.onnx");
      const sizes = { batch: 1, sequence: 4 };
      const written = existsSync(out) ? importModel(readFileSync(out), { sizes }).parameters : [];
      expect(written).toHaveLength(given === GAINS ? 3 : 0);
      for (const { read } of written) expect(read().every(Number.isFinite)).toBe(true);
    },
    120_000,
  );

  it("trains a model with tied matrices in three processes as in one, and writes it back into its file", async () => {
    const model = fixture("gpt2-tied.onnx");
    const sizes = ["--sequence", "12", "--micro-batches", "2", "--learning-rate", "3e-3"];
    const result = resultOf(
      await train(model, "--data", join(folder, "data"), "--steps", "10", ...sizes, "--json"),
    );
    const out = join(folder, "models", "gpt2-tied.trained.onnx");
    expect(result).toMatchObject({ out, writtenStep: 10, step: 10, steps: 10, stages: 3, processes: 5 });
    expect(result).toMatchObject({ resumedFrom: null, kept: null });
    expect(leftBehind()).toEqual([]);
    // Three beginnings of held-out data, and what the model made of each before and after.
    expect(result.samples).toHaveLength(3);
    for (const { prompt, untrained, trained } of result.samples) {
      expect(prompt).toMatch(/^\d+( \d+){5}$/);
      expect(trained).toMatch(/^( \d+){40}$/);
      expect(trained).not.toEqual(untrained);
    }

    const plan = await planned(model, 10);
    const corpus = readFileSync(plan.corpusFile);
    const measured = new Set([0, 10]);
    const alone = await trainSingle({
      spec: plan.run,
      corpus,
      file: plan.packed,
      steps: 11,
      threads: 1,
      evaluateAt: (step) => measured.has(step),
    });
    expect(result.lossFirst).toBeCloseTo(alone[0]?.loss ?? 0, 3);
    expect(result.lossLast).toBeCloseTo(alone[9]?.loss ?? 0, 3);
    expect(result.heldOutLossBefore).toBeCloseTo(alone[0]?.heldOutLoss ?? 0, 3);
    expect(result.heldOutLossAfter).toBeCloseTo(alone[10]?.heldOutLoss ?? 0, 3);
    expect(result.heldOutLossAfter).toBeLessThan((result.heldOutLossBefore ?? 0) - 0.3);
    // The file is the proof: another program finds the same loss with it.
    expect(await heldOutLoss(model, plan)).toBeCloseTo(result.heldOutLossBefore ?? 0, 3);
    expect(await heldOutLoss(out, plan)).toBeCloseTo(result.heldOutLossAfter ?? 0, 3);
  }, 60_000);

  it("writes what was stored last when it is interrupted, and leaves nothing running", async () => {
    const sizes = ["--steps", "100000", "--sequence", "16", "--stages", "2"];
    const { child, ended } = start(
      fixture("llama-tied.onnx"),
      "--data",
      join(folder, "data"),
      ...sizes,
      "--json",
    );
    const stored = (): boolean =>
      globSync(join(folder, "home", "trainings", "train-*", "network", "checkpoint.json")).length > 0;
    while (!stored() && child.exitCode === null) await wait(20);
    process.kill(-(child.pid ?? 0), "SIGINT");
    const answer = await ended;
    const result = resultOf(answer);
    expect(answer.code).toBe(130);
    expect(result).toMatchObject({ interrupted: true, stages: 2, heldOutLossAfter: null });
    expect((result.writtenStep ?? 0) % 20).toBe(0);
    expect(result.out !== null && existsSync(result.out)).toBe(true);
    expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow("ESRCH");
    expect(readdirSync(join(folder, "tmp"))).toEqual([]);
    // What it goes on from, and nothing else.
    expect(leftBehind()).toEqual([result.kept]);
  }, 60_000);

  it("refuses what cannot work before any process starts, in one sentence", async () => {
    const model = fixture("llama-tied.onnx");
    const data = ["--data", join(folder, "data")];
    const text = join(folder, "text");
    mkdirSync(text);
    writeFileSync(join(text, "a.txt"), "Call me Ishmael. ".repeat(100));
    const existing = join(folder, "existing.onnx");
    const empty = join(folder, "empty.onnx");
    writeFileSync(empty, modelWithoutParameters());
    writeFileSync(existing, "");
    const refused = async (code: string, ...words: string[]): Promise<void> => {
      const answer = await train(...words, "--json");
      expect(JSON.parse(answer.out)).toMatchObject({ error: { code } });
      expect(answer.code).toBe(code.startsWith("bad-") ? 2 : 1);
    };
    await Promise.all([
      refused("too-many-stages", model, ...data, "--steps", "3", "--stages", "17"),
      refused("corpus-too-small", model, ...data, "--steps", "3", "--sequence", "1000"),
      refused("data-needs-tokens", model, "--data", text, "--steps", "3"),
    ]);
    await Promise.all([
      refused("output-exists", model, ...data, "--steps", "3", "--out", existing),
      refused("nothing-to-train", empty, ...data, "--steps", "3"),
      refused("which-tokens", fixture("mlp.onnx"), ...data, "--steps", "3"),
      refused("bad-use", model, ...data, "--steps", "none"),
    ]);
    expect(leftBehind()).toEqual([]);
    expect(readdirSync(join(folder, "models"))).toEqual(["llama-tied.onnx", "mlp.onnx"]);
  }, 60_000);
});
