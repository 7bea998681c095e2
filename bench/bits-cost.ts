import type { Tensor } from "onnxruntime-node";
import { readConfig } from "../src-engine/families/config.ts";
import { randomStream } from "../src-engine/random.ts";
import { stagesOf } from "../src-engine/stages.ts";
import { type Arithmetic, ARITHMETICS, kernelsFor } from "../src-protocol/arithmetic.ts";
import type { DecoderSpec } from "../src-protocol/decoder.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../src-protocol/model.ts";
import type { ModelSpec } from "../src-protocol/model.ts";
import { sessionOptions } from "../src-worker/compute/session-options.ts";
import { loadRuntime } from "../src-worker/compute/sessions.ts";
import { StageCompute } from "../src-worker/compute/stage-compute.ts";
import { parametersIn, stageBytes } from "../src-worker/stage/stage-memory.ts";
import { cpuClock, interleave } from "./interleave.ts";
import { median } from "./median.ts";

/** Child of the bench `bits`: what the class exact costs against fast, for the case `process.argv[2]`. */
export interface CostCase {
  readonly model: "Llama" | "GPT-2";
  readonly width: number;
  /** With 1, times are CPU time: steady on a busy computer. With more, wall time. */
  readonly threads: number;
}

export interface Cost {
  readonly passes: readonly object[];
  readonly training: object;
}

const runtime = await loadRuntime();
const { model, width, threads } = JSON.parse(process.argv[2] ?? "{}") as CostCase;
const cost: Cost =
  model === "GPT-2"
    ? { passes: [], training: await trainingCost(model, gpt2(width), threads) }
    : {
        passes: await passCost(width, threads),
        training: await trainingCost(model, modelOf(width), threads),
      };
process.send?.(cost);
process.disconnect?.();

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
