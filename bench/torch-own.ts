import type { Tensor as Value } from "onnxruntime-node";
import { differentiate } from "../src-engine/differentiate.ts";
import { closeGraph } from "../src-engine/graph.ts";
import type { Graph } from "../src-engine/graph.ts";
import { GraphBuilder } from "../src-engine/graph-builder.ts";
import { OPERATORS } from "../src-engine/operators.ts";
import { block } from "../src-engine/llama.ts";
import type { MicroBatchShape } from "../src-engine/llama.ts";
import type { Recompute } from "../src-engine/recompute.ts";
import type { ParameterInfo } from "../src-engine/stage.ts";
import type { Tensor } from "../src-engine/tensor.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { release } from "../src-worker/compute/compute-call.ts";
import { loadRuntime, Sessions } from "../src-worker/compute/sessions.ts";
import { StageCompute } from "../src-worker/compute/stage-compute.ts";
import { stageBytes } from "../src-worker/stage/stage-memory.ts";

type Floats = Float32Array<ArrayBuffer>;

export interface BlockCase {
  model: LlamaSpec;
  shape: MicroBatchShape;
  threads: number;
  /** Of the block in the middle of the model, with their values; names are `PREFIX.query` and so on. */
  parameters: readonly { info: ParameterInfo; values: Float32Array }[];
  /** [batch·sequence, width] each. */
  x: Float32Array;
  dy: Float32Array;
}

/** Names of parameters begin so. */
export const BLOCK = "blocks.1";
const CPU = { executionProvider: "cpu", niceness: null } as const;

/**
 * Forward and backward of the block in one run: what PyTorch's forward and `backward()` do together.
 * Gives y, dx and the gradients in the parameters' order.
 */
export async function blockInOneRun(request: BlockCase): Promise<() => Promise<Floats[]>> {
  const { model, shape, threads, parameters, x, dy } = request;
  const runtime = await loadRuntime();
  const sessions = new Sessions(runtime, { threads, ...CPU });
  const session = await sessions.get("train", () => blockGraph(request));
  const data = [shape.batch * shape.sequence, model.width];
  const value = (values: Float32Array, shape: readonly number[]): Value =>
    new runtime.Tensor("float32", values, shape);
  const feeds = Object.fromEntries([
    ...parameters.map(({ info: { name, shape }, values }) => [name, value(values, shape)] as const),
    ["x", value(x, data)] as const,
    ["dy", value(dy, data)] as const,
  ]);
  const names = ["y", "dx", ...parameters.map(({ info }) => `d_${info.name}`)];
  return async () => {
    const outputs = await session.run(feeds);
    return names.map((name) => outputs[name]?.data as Floats);
  };
}

function blockGraph({ model, shape, parameters }: BlockCase): Graph {
  const graph = new GraphBuilder(OPERATORS);
  const data = [shape.batch * shape.sequence, model.width];
  const [x, dy] = [graph.input("x", data), graph.input("dy", data)];
  const own = new Map(parameters.map(({ info }) => [info.name, graph.input(info.name, info.shape)]));
  const parameter = (name: string): Tensor => {
    const found = own.get(`${BLOCK}.${name}`);
    if (found === undefined) throw new RangeError(`The block has no parameter "${name}".`);
    return found;
  };
  const y = block(x, parameter, model, shape);
  const [dx, ...gradients] = differentiate(graph, new Map([[y, dy]]), [x, ...own.values()]);
  if (dx === undefined) throw new RangeError("The block has no gradient for its input.");
  return closeGraph(graph, {
    y,
    dx,
    ...Object.fromEntries([...own.keys()].map((name, i) => [`d_${name}`, gradients[i] as Tensor])),
  });
}

/**
 * The same as a worker's compute thread does it in the middle of a pipeline: a forward, and later a
 * backward that computes again what was not kept. Gives y and dx; gradients stay in the worker.
 */
export async function blockAsWorker(
  { model, shape, threads, x, dy }: BlockCase,
  recompute: Recompute,
  seed: number,
): Promise<() => Promise<Floats[]>> {
  const compute = new StageCompute(await loadRuntime(), { threads, ...CPU });
  const stage = await compute.open({ spec: { model, stages: 3, stage: 1, ...shape }, file: null });
  if (stage.parameters.some(({ name }) => !name.startsWith(`${BLOCK}.`)))
    throw new RangeError("The stage in the middle of three is not the block in the middle of three.");
  await compute.load({ memory: new SharedArrayBuffer(stageBytes(stage)), seed, recompute });
  return async () => {
    // Copies, because the worker gives their memory back.
    const { output: y } = await compute.forward({ microBatch: 0, x: x.slice(), data: {}, keep: true });
    const { output: dx } = await compute.backward({ microBatch: 0, dy: dy.slice() });
    return dx === null ? [y] : [y, dx];
  };
}

/** As the worker does when it has sent them: the next run writes to memory that is warm. */
export function drop(outputs: readonly Floats[]): void {
  for (const output of outputs) release(output);
}
