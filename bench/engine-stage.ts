import type { InferenceSession, Tensor } from "onnxruntime-node";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { GraphBuilder } from "../src-engine/graph-builder.ts";
import { OPERATORS } from "../src-engine/operators.ts";
import { llamaModel } from "../src-engine/llama-model.ts";
import { encodeModel } from "../src-engine/model-file.ts";
import { initialValues } from "../src-engine/parameters.ts";
import { randomStream } from "../src-engine/random.ts";
import { cutModel } from "../src-engine/stages.ts";
import { release } from "../src-worker/compute/compute-call.ts";
import { loadRuntime, Sessions } from "../src-worker/compute/sessions.ts";
import { interleave, cpuClock } from "./interleave.ts";
import { median } from "./median.ts";

/** Child of the engine benchmark: one case, `process.argv[2]`, of a stage between head and tail. */
export interface StageCase {
  width: number;
  blocks: number;
  tokens: number;
  /** With 1, times are CPU time: steady on a busy computer. With more, wall time. */
  threads: number;
}

/**
 * GFLOP/s count the matrix products that run, a multiply-add as 2 and attention as the full square.
 * Per token, with blocks·(2·(4·width² + 3·width·hidden) + 4·sequence·width) = forward:
 *
 *     forward + backward = 3·forward − 2·width·hidden
 *
 * because the backward graph computes the forward again without its last product, which no gradient
 * needs. Times are those of whole runs: outputs are copied out, as a worker pays it.
 */
export interface StageSpeed extends StageCase {
  sequence: number;
  parameters: number;
  matmulGflops: number;
  forwardGflops: number;
  forwardBackwardGflops: number;
  forwardRatio: number;
  forwardBackwardRatio: number;
  /** Trained by a stage like this: its forward, and later its backward with the forward in it. */
  tokensPerSecond: number;
  /** Of the process after training runs, before the product was loaded. */
  peakRssMiB: number;
  /** CPU time over wall time while measured; below `threads` others had the computer in between. */
  coresUsed: number;
  rounds: number;
}

const PRODUCT = 1536;
/** That of the default run; all cases are whole sequences. */
const SEQUENCE = 128;
const HEAD_WIDTH = 64;
const SECONDS = 5;

const measured = JSON.parse(process.argv[2] ?? "{}") as StageCase;
process.send?.(await speedOf(measured));
process.disconnect?.();

async function speedOf({ width, blocks, tokens, threads }: StageCase): Promise<StageSpeed> {
  const runtime = await loadRuntime();
  const sessions = new Sessions(runtime, { threads, executionProvider: "cpu", niceness: null });
  const random = randomStream("bench", "engine");
  const noise = (shape: readonly number[]): Tensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    return new runtime.Tensor(
      "float32",
      Float32Array.from({ length: size }, () => random() - 0.5),
      shape,
    );
  };

  const model: LlamaSpec = {
    ...DEFAULT_MODEL,
    width,
    heads: width / HEAD_WIDTH,
    hidden: 64 * Math.round((8 * width) / 3 / 64),
    blocks: 3 * blocks,
  };
  const shape = { batch: tokens / SEQUENCE, sequence: SEQUENCE };
  const plan = cutModel(llamaModel(model, shape), 3)[1];
  if (plan?.parameters.length !== 9 * blocks)
    throw new RangeError(`The middle stage has not ${blocks} blocks.`);
  const parameters = Object.fromEntries(
    plan.parameters.map((info) => [
      info.name,
      new runtime.Tensor("float32", initialValues(model, info, 1), [...info.shape]),
    ]),
  );
  await sessions.keepOnly("the benchmark's");
  const forwardSession = await sessions.get("forward", () => plan.forward());
  const backwardSession = await sessions.get("backward", () => plan.backward());
  const feeds = { ...parameters, x: noise([tokens, width]) };
  const gradientFeeds = { ...feeds, dy: noise([tokens, width]) };
  const forward = async (): Promise<void> => drop(await forwardSession.run(feeds));
  const backward = async (): Promise<void> => drop(await backwardSession.run(gradientFeeds));
  for (let i = 0; i < 2; i++) {
    await forward();
    await backward();
  }
  const peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024);

  // Of the product one row only is copied out: its speed is that of the product alone.
  const graph = new GraphBuilder(OPERATORS);
  const a = graph.input("a", [PRODUCT, PRODUCT]);
  const b = graph.input("b", [PRODUCT, PRODUCT]);
  const row = a.matmul(b).gather(graph.input("row", [1], "int32"));
  const productSession = await runtime.InferenceSession.create(encodeModel(graph, { c: row }), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // As the worker's own sessions: else its threads take a core from the next one after each run.
    extra: { session: { force_spinning_stop: "1" } },
  });
  const productFeeds = {
    a: noise([PRODUCT, PRODUCT]),
    b: noise([PRODUCT, PRODUCT]),
    row: new runtime.Tensor("int32", new Int32Array(1), [1]),
  };
  const matmul = async (): Promise<void> => drop(await productSession.run(productFeeds));

  const begun = { wall: performance.now(), cpu: process.cpuUsage() };
  const times = await interleave(
    { matmul, forward, backward },
    {
      warmUp: 1,
      rounds: 50,
      seconds: SECONDS,
      clock: threads === 1 ? cpuClock : () => performance.now(),
    },
  );
  const { user, system } = process.cpuUsage(begun.cpu);
  const coresUsed = (user + system) / 1000 / (performance.now() - begun.wall);
  const flopsPerToken = blocks * (2 * (4 * width ** 2 + 3 * width * model.hidden) + 4 * SEQUENCE * width);
  const forwardFlops = tokens * flopsPerToken;
  const backwardFlops = tokens * (3 * flopsPerToken - 2 * width * model.hidden);
  const matmulSpeeds = times.matmul.map((ms) => (2 * PRODUCT ** 3) / ms / 1e6);
  const forwardSpeeds = times.forward.map((ms) => forwardFlops / ms / 1e6);
  const backwardSpeeds = times.backward.map((ms) => backwardFlops / ms / 1e6);
  const ratio = (speeds: readonly number[]): number =>
    Number(median(speeds.map((speed, i) => speed / (matmulSpeeds[i] ?? speed))).toFixed(3));
  return {
    width,
    blocks,
    tokens,
    threads,
    sequence: SEQUENCE,
    parameters: plan.parameterCount,
    matmulGflops: Number(median(matmulSpeeds).toFixed(1)),
    forwardGflops: Number(median(forwardSpeeds).toFixed(1)),
    forwardBackwardGflops: Number(median(backwardSpeeds).toFixed(1)),
    forwardRatio: ratio(forwardSpeeds),
    forwardBackwardRatio: ratio(backwardSpeeds),
    tokensPerSecond: Math.round((1000 * tokens) / (median(times.forward) + median(times.backward))),
    peakRssMiB,
    coresUsed: Number(coresUsed.toFixed(2)),
    rounds: times.matmul.length,
  };
}

/** As the worker does it: the next run writes to memory that is warm. */
function drop(outputs: InferenceSession.OnnxValueMapType): void {
  for (const { data } of Object.values(outputs) as Tensor[]) {
    if (data instanceof Float32Array) release(data as Float32Array<ArrayBuffer>);
  }
}
