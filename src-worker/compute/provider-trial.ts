import { randomStream } from "../../src-engine/random.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { DEFAULT_MODEL, DEFAULT_OPTIMIZER } from "../../src-protocol/model.ts";
import { LARGEST_ERROR } from "../../src-protocol/providers.ts";
import type { Computed, ExecutionProvider, ProviderOutcome } from "../../src-protocol/providers.ts";
import type { ComputeOptions, StageSpec } from "./compute-call.ts";
import type { Compute } from "./compute.ts";
import { stageBytes, stageMemory } from "../stage/stage-memory.ts";

/** Made and closed by the trial: each provider's compute thread is one like a worker's. */
export type MakeCompute = (options: ComputeOptions) => Pick<Compute, "call" | "close">;

const SEED = 1;
/** A head, an inner stage and a tail: all of the graphs that a worker runs, in milliseconds. */
const SMALL: Omit<StageSpec, "stage"> = {
  model: { ...DEFAULT_MODEL, vocabulary: 256, width: 64, heads: 2, blocks: 3, hidden: 128 },
  batch: 2,
  sequence: 16,
  stages: 3,
};
/** One block as a home trains it. */
const MIDDLE: StageSpec = {
  model: { ...DEFAULT_MODEL, width: 512, heads: 8, blocks: 3, hidden: 1408 },
  batch: 4,
  sequence: 128,
  stages: 3,
  stage: 1,
};
const MICRO_BATCHES = 2;
const STEPS = 2;
/** The median of so many rounds, or of as many as fit into the time. */
const ROUNDS = 3;
const SPEED_MS = 1_500;
const HOPELESS_MS = 15_000;

/**
 * Whether a provider computes what the processor does, and how fast. It is used as a worker uses
 * it: the same compute thread, graphs, memory and optimiser.
 */
export async function tryProvider(
  provider: ExecutionProvider,
  threads: number,
  make: MakeCompute,
): Promise<ProviderOutcome> {
  const compute = make({ threads, executionProvider: provider, niceness: null });
  // The processor is the measure: that it agrees with itself would say nothing.
  const reference = provider === "cpu" ? null : make({ threads, executionProvider: "cpu", niceness: null });
  try {
    const found = await trainSmall(compute);
    const outcome = compare(found, reference === null ? found : await trainSmall(reference));
    if (outcome.kind !== "right") return outcome;
    await reference?.close();
    return { ...outcome, gflops: await speedOf(compute, provider, threads) };
  } catch (error) {
    return { kind: "refused", detail: plainReason(error) };
  } finally {
    await Promise.all([compute.close(), reference?.close()]);
  }
}

interface Result {
  readonly what: Computed;
  readonly tensor: string;
  readonly values: Float32Array;
}

/** Two optimiser steps of two micro-batches on each of the small stages; everything that comes out. */
async function trainSmall(compute: Pick<Compute, "call">): Promise<Result[]> {
  const results: Result[] = [];
  for (let stage = 0; stage < SMALL.stages; stage++) {
    const { answer: info } = await compute.call("open", { spec: { ...SMALL, stage }, file: null });
    const memory = stageMemory(info, new SharedArrayBuffer(stageBytes(info)));
    const recompute = stage === 1 ? "selective" : "full";
    await compute.call("load", { memory: memory.buffer, seed: SEED, recompute });
    const keep = (what: Computed, tensor: string, values: Float32Array | null): void => {
      if (values !== null) results.push({ what, tensor: `stage ${stage} ${tensor}`, values });
    };
    for (let step = 0; step < STEPS; step++) {
      for (let microBatch = 0; microBatch < MICRO_BATCHES; microBatch++) {
        const name = `${stage} ${step} ${microBatch}`;
        const draw = (tensor: string, shape: readonly number[], scale: number): Float32Array<ArrayBuffer> =>
          drawn(`${name} ${tensor}`, shape, scale);
        const x = info.input === null ? null : draw("x", info.input, 1);
        const [tokens, targets] = [tokensOf(`${name} tokens`), tokensOf(`${name} targets`)];
        if (info.isTail) {
          const { answer } = await compute.call("tail", { x, data: { tokens, targets } });
          keep("losses", "loss", Float32Array.of(answer.loss));
          keep("gradients", "dx", answer.output);
        } else {
          const forward = await compute.call("forward", {
            microBatch,
            x,
            data: { tokens, targets },
            keep: true,
          });
          keep("results", "y", forward.answer.output);
          const dy = draw("dy", info.output ?? [], 0.01);
          keep("gradients", "dx", (await compute.call("backward", { microBatch, dy })).answer.output);
        }
      }
      await compute.call("optimise", { optimizer: DEFAULT_OPTIMIZER, step, microBatches: MICRO_BATCHES });
      await compute.call("download", {});
      for (const [i, { name }] of info.parameters.entries()) {
        // Moments that begin at zero are the gradient and its square.
        keep("gradients", `m of ${name}`, memory.m[i]?.slice() ?? null);
        keep("gradients", `v of ${name}`, memory.v[i]?.slice() ?? null);
        keep("parameters", name, memory.parameters[i]?.slice() ?? null);
      }
    }
  }
  return results;
}

function tokensOf(name: string): Int32Array<ArrayBuffer> {
  const next = randomStream("provider-trial", name);
  const { vocabulary } = SMALL.model;
  return Int32Array.from({ length: SMALL.batch * SMALL.sequence }, () => Math.floor(next() * vocabulary));
}

/** Uniform, with a standard deviation of `scale`. */
function drawn(name: string, shape: readonly number[], scale: number): Float32Array<ArrayBuffer> {
  const next = randomStream("provider-trial", name);
  const size = shape.reduce((product, each) => product * each, 1);
  return Float32Array.from({ length: size }, () => scale * Math.sqrt(12) * (next() - 0.5));
}

/** The worst of all results. */
export function compare(
  found: readonly Result[],
  expected: readonly Result[],
): Exclude<ProviderOutcome, { kind: "right" }> | { kind: "right"; error: number } {
  let worst: { result: Result; error: number } | null = null;
  for (const [i, result] of found.entries()) {
    if (!result.values.every(Number.isFinite))
      return { kind: "nan", what: result.what, tensor: result.tensor };
    const error = distance(result.values, expected[i]?.values ?? new Float32Array(0));
    if (worst === null || error > worst.error) worst = { result, error };
  }
  if (worst === null) return { kind: "refused", detail: "its test gave no results" };
  const { error, result } = worst;
  return error <= LARGEST_ERROR
    ? { kind: "right", error }
    : { kind: "wrong", what: result.what, tensor: result.tensor, error };
}

/** ‖found − expected‖ / ‖expected‖ */
function distance(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Number.MAX_VALUE;
  let [difference, size] = [0, 0];
  for (let i = 0; i < found.length; i++) {
    const away = (found[i] as number) - (expected[i] as number);
    difference += away * away;
    size += (expected[i] as number) * (expected[i] as number);
  }
  if (difference === 0) return 0;
  return Math.min(Math.sqrt(difference / size), Number.MAX_VALUE);
}

/**
 * GFLOP/s of matrix products, forward and backward, without the recomputed forward. The processor's
 * are counted by its own time: it trains meanwhile, where a graphics card does nothing else.
 */
async function speedOf(
  compute: Pick<Compute, "call">,
  provider: ExecutionProvider,
  threads: number,
): Promise<number> {
  const { answer: info } = await compute.call("open", { spec: MIDDLE, file: null });
  const memory = new SharedArrayBuffer(stageBytes(info));
  fillQuickly(new Float32Array(memory));
  await compute.call("load", { memory, seed: null, recompute: "full" });
  const data = [drawn("x", info.input ?? [], 1), drawn("dy", info.output ?? [], 0.01)] as const;
  const round = async (microBatch: number): Promise<number> => {
    const [x, dy] = [data[0].slice(), data[1].slice()];
    const [since, used] = [performance.now(), process.cpuUsage()];
    await compute.call("forward", { microBatch, x, data: {}, keep: true }, [x.buffer]);
    await compute.call("backward", { microBatch, dy }, [dy.buffer]);
    const { user, system } = process.cpuUsage(used);
    return provider === "cpu" ? (user + system) / 1000 / threads : performance.now() - since;
  };
  // The first also prepares what the others use, so it counts only where it leaves no hope anyway.
  const began = performance.now();
  const times = [await round(0)];
  if (performance.now() - began < HOPELESS_MS) {
    times.pop();
    const until = performance.now() + SPEED_MS;
    do times.push(await round(times.length + 1));
    while (times.length < ROUNDS && performance.now() < until);
  }
  const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.POSITIVE_INFINITY;
  return (info.flops.forward + info.flops.backward) / (median * 1e6);
}

/** Weights as large as real ones: their values do not matter for the speed, but zeros might. */
function fillQuickly(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = ((Math.imul(i, 0x9e37_79b1) >> 16) / 0x8000) * 0.05;
}

/** In a person's words where the reason is a usual one, else as much of ONNX Runtime's as fits. */
function plainReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/No supported adapters|Failed to get a WebGPU adapter/.test(text))
    return "no graphics card that it can use was found";
  if (/out of memory|OutOfMemory/i.test(text)) return "it has too little memory";
  const short = text.replaceAll(/\s+/g, " ").trim().slice(0, 300);
  return error instanceof Failure && error.code === "graph-refused"
    ? `it could not prepare a model (${short})`
    : `it could not run a model (${short})`;
}
