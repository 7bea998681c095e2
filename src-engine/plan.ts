import type { ModelSpec } from "../src-protocol/model.ts";
import { type Cuttable, type CutStage, cutGraph, FLOAT32_ADAMW, type TrainingBytes } from "./cut.ts";
import type { NodeCapacity } from "./cut-balance.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { block, embed, type MicroBatchShape, scores } from "./llama.ts";
import { cutModel } from "./stage.ts";
import type { Tensor } from "./tensor.ts";

/**
 * A computer of 8 GiB of which training may take three quarters: the system and an open browser have
 * the rest. 100 GFLOP/s is what two cores sustain; 20 Mbit/s is a usual uplink.
 */
export const DEFAULT_NODE: NodeCapacity = {
  memoryBytes: 0.75 * 8 * 2 ** 30,
  flopsPerSecond: 1e11,
  bytesPerSecond: 2.5e6,
};

export interface PlanOptions {
  /** null: as few as fit. */
  stages?: number | null;
  shape?: MicroBatchShape;
  bytes?: TrainingBytes;
}

export interface Plan {
  stages: readonly Omit<CutStage, "forward" | "backward">[];
  /** Of the whole model; a parameter that several stages hold counts once. */
  parameterCount: number;
  /** What one stage boundary carries for a token, in each direction, in float32. */
  bytesPerTokenAndBoundary: number;
  /** Sent by all nodes together for one token: activations forward, gradients back. */
  bytesPerToken: number;
  /** The most that one node needs. */
  peakBytes: number;
}

/**
 * How a built-in model is divided among `nodes`: contiguous stages, one a node, cut where one
 * activation is live (between blocks, and between attention and feed-forward).
 *
 * Counted as the engine trains today (`FLOAT32_ADAMW`: 20 bytes a parameter), with micro-batches of
 * 1 × 512 tokens and every result of a stage's backward graph, which computes the forward again.
 *
 * @throws Failure `does-not-fit`, `too-many-stages`
 */
export function plan(
  model: ModelSpec,
  nodes: readonly NodeCapacity[],
  { stages = null, shape = { batch: 1, sequence: 512 }, bytes = FLOAT32_ADAMW }: PlanOptions = {},
): Plan {
  return planOf(cutGraph(llamaGraph(model, shape), { stages, nodes, bytes }), shape.batch * shape.sequence);
}

/** The figures of a cut model. `tokens`: in one micro-batch (or sequences, pictures, rows). */
export function planOf(stages: readonly CutStage[], tokens: number): Plan {
  const sizes = new Map(stages.flatMap(({ parameters }) => parameters.map(({ name, size }) => [name, size])));
  const boundaries = stages.map(({ boundaryBytes }) => boundaryBytes.out);
  return {
    stages: stages.map(({ forward: _forward, backward: _backward, ...stage }) => stage),
    parameterCount: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    bytesPerTokenAndBoundary: Math.max(0, ...boundaries) / tokens,
    bytesPerToken: (2 * boundaries.reduce((sum, bytes) => sum + bytes, 0)) / tokens,
    peakBytes: Math.max(...stages.map(({ memory }) => memory.peakBytes)),
  };
}

/** A built-in model as one forward graph with its loss. */
export function llamaGraph(model: ModelSpec, shape: MicroBatchShape): Cuttable {
  const [whole] = cutModel(model, 1);
  const graph = new GraphBuilder();
  const rows = [shape.batch * shape.sequence];
  const [tokens, targets] = [graph.input("tokens", rows, "int32"), graph.input("targets", rows, "int32")];
  const parameters = (whole?.parameters ?? []).map(({ name, shape, size, decay }) => {
    return { name, shape, size, decay, tensor: graph.input(name, shape) };
  });
  const byName = new Map(parameters.map(({ name, tensor }) => [name, tensor]));
  const parameter = (name: string): Tensor => {
    const found = byName.get(name);
    if (!found) throw new RangeError(`The model has no parameter "${name}".`);
    return found;
  };
  const start = embed(tokens, parameter("embedding"));
  const before = graph.tape.length;
  const first = graph.within("blocks.0", () =>
    block(start, (name) => parameter(`blocks.0.${name}`), model, shape),
  );
  const nodes = graph.tape.slice(before);
  let x = first;
  // Blocks are alike: the others repeat the first one's nodes, and share its tables of positions.
  for (let i = 1; i < model.blocks; i++) {
    const made = new Map([[start, x]]);
    for (const [name, tensor] of byName) {
      if (name.startsWith("blocks.0."))
        made.set(tensor, parameter(name.replace("blocks.0.", `blocks.${i}.`)));
    }
    graph.within(`blocks.${i}`, () => {
      for (const { op, inputs, outputs, attributes } of nodes) {
        const results = graph.applyAll(
          op,
          inputs.map((input) => made.get(input) ?? input),
          attributes,
        );
        for (const [k, output] of outputs.entries()) made.set(output, results[k] as Tensor);
      }
    });
    x = made.get(first) ?? x;
  }
  const output = scores(x, parameter("final.norm"), parameter("final.output"), model);
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [output, targets]);
  return {
    graph,
    inputs: [
      { name: "tokens", tensor: tokens },
      { name: "targets", tensor: targets },
    ],
    outputs: [{ name: "loss", tensor: loss }],
    parameters,
  };
}
