import { bytesOf, nodesFor, peakBytes, productFlops } from "./cut-cost.ts";
import type { Node } from "./graph-builder.ts";
import { exactGraph } from "./exact/exact-graph.ts";
import { closeGraph, type Graph } from "./graph.ts";
import { keptTensors, RECOMPUTE, type Recompute } from "./recompute.ts";
import { gradientsOf, type Replay, replay, type Section, signatureOf } from "./section.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** A trainable tensor. Matrices of the built-in models are `[in, out]`, row-major: a layer is `x · W`. */
export interface ParameterInfo {
  /** Unique in the model, e.g. `blocks.2.query`. Also the name of the graph input. */
  name: string;
  shape: readonly number[];
  /** Number of values, the product of `shape`. */
  size: number;
  /** Whether AdamW's weight decay applies: to matrices, not to vectors. */
  decay: boolean;
}

/** Bytes that a parameter takes while it is trained. */
export interface TrainingBytes {
  weight: number;
  gradient: number;
  optimizer: number;
}

/**
 * As the engine trains, 20 bytes a parameter in float32: the weight, AdamW's two moments, the sum of
 * the gradients, and that sum once more, because ONNX Runtime's Node binding copies what it gives.
 */
export const FLOAT32_ADAMW: TrainingBytes = { weight: 4, gradient: 8, optimizer: 8 };

export interface StageMemory {
  /** Weights and optimiser. */
  stateBytes: number;
  /**
   * The gradients, and all results of the larger of the stage's graphs at its peak, when nothing is
   * done in place.
   */
  runBytes: number;
  /** Held from a micro-batch's forward to its backward: the stage's input, and what it keeps. */
  keptBytes: number;
  /** The most that training takes with one micro-batch in flight; each further one adds `keptBytes`. */
  peakBytes: number;
}

export interface GraphOptions {
  recompute?: Recompute;
  /** The gradients are added to inputs `g_NAME`. */
  accumulate?: boolean;
}

/** A contiguous part of a model: what one node serves. */
export interface Stage {
  /** 0 is the head. */
  index: number;
  stages: number;
  isHead: boolean;
  isTail: boolean;
  /** What it trains. A tied parameter is in every stage that reads it; its gradients are to be summed. */
  parameters: readonly ParameterInfo[];
  parameterCount: number;
  /**
   * Further places where it reads one of its parameters, in the class `exact` alone; fed with the
   * parameter, by a name of their own. Their gradients have sums of their own, which are added to the
   * parameter's at the step's end, in this order: the same bits wherever the model is cut.
   */
  uses: readonly { name: string; parameter: string; shape: readonly number[]; size: number }[];
  /** Data that the stage needs besides the activations: the same for every stage that names it. */
  data: readonly string[];
  /** Stored inputs that are not trained. */
  tables: readonly string[];
  /** Shape of `x`; null for the head. */
  input: Shape | null;
  /** Shape of `y`; null for the tail. */
  output: Shape | null;
  /** Of the matrix products for one micro-batch; the backward without the recomputed forward. */
  flops: { forward: number; backward: number };
  memory: Readonly<Record<Recompute, StageMemory>>;
  /** Activations that arrive and leave, for one micro-batch; their gradients go the other way. */
  boundaryBytes: { in: number; out: number };
  /** The node of the model after which the stage ends; null for the last. */
  endsAfter: string | null;
  /**
   * Inputs: `x` (not the head), data, tables, parameters, uses. Outputs: `y`, or the model's own; with
   * `selective` also `kept_0`, `kept_1`, …, which `backward` takes.
   */
  forward(options?: GraphOptions): Graph;
  /**
   * Inputs: as forward, then `dy`, or `d_NAME` for each output of the model that is not a single
   * number (a loss, whose gradient is 1). Outputs: `dx` (not the head), `d_NAME` for each parameter and use.
   */
  backward(options?: GraphOptions): Graph;
  /** Both at once, for a tail: the outputs of forward and of backward. */
  train(options?: GraphOptions): Graph;
}

/** FLOPs and memory, which many stages of a deep model have in common. */
export type Measured = Pick<Stage, "flops" | "memory">;

/** `known`: what was measured before, by signature. */
export function stageOf(
  section: Section,
  index: number,
  stages: number,
  bytes: TrainingBytes,
  known: Map<string, Measured>,
): Stage {
  const { from, to, data, tables, parameters, uses } = section;
  const { arithmetic = "fast" } = section.model;
  const signature = signatureOf(section);
  const measured = known.get(signature) ?? measure(section, bytes);
  known.set(signature, measured);
  return {
    index,
    stages,
    isHead: index === 0,
    isTail: index === stages - 1,
    parameters: parameters.map(({ name, shape, size, decay }) => ({ name, shape, size, decay })),
    parameterCount: countOf(section),
    uses: uses.map(({ name, parameter: { name: parameter, shape, size } }) => ({
      name,
      parameter,
      shape,
      size,
    })),
    data: data.map(({ name }) => name),
    tables: tables.map(({ name }) => name),
    input: from?.tensor.shape ?? null,
    output: to?.tensor.shape ?? null,
    ...measured,
    boundaryBytes: { in: from ? bytesOf(from.tensor) : 0, out: to ? bytesOf(to.tensor) : 0 },
    endsAfter: to?.node ?? null,
    // Made when asked for: a plan of hundreds of stages keeps no graphs.
    forward: (options) => {
      const { stage, inputs, kept } = open(section, options);
      return closeGraph(stage.graph, { ...stage.outputs, ...named(kept) }, inputs, arithmetic);
    },
    backward: (options) => {
      const { stage, kept, gradients } = open(section, options);
      return closeGraph(stage.graph, gradients, withKept(stage, kept), arithmetic);
    },
    train: (options) => {
      const { stage, gradients } = open(section, { ...options, recompute: "full" });
      return closeGraph(stage.graph, { ...stage.outputs, ...gradients }, stage.graph.inputs, arithmetic);
    },
  };
}

interface OpenStage {
  stage: Replay;
  /** Those of the forward. */
  inputs: ReadonlyMap<Tensor, string>;
  /** How many nodes are the forward's. */
  forwardNodes: number;
  gradients: Readonly<Record<string, Tensor>>;
  kept: readonly Tensor[];
}

function open(section: Section, { recompute = "full", accumulate = false }: GraphOptions = {}): OpenStage {
  const stage = replay(section);
  const inputs = new Map(stage.graph.inputs);
  const forwardNodes = stage.graph.nodes.length;
  const gradients = gradientsOf(stage, section, { accumulate });
  const kept = recompute === "selective" ? keptOf(section, stage, forwardNodes, gradients) : [];
  return { stage, inputs, forwardNodes, gradients, kept };
}

/** The last stage goes back at once: it keeps nothing. */
function keptOf(
  { to }: Section,
  { graph, trained }: Replay,
  forwardNodes: number,
  gradients: Readonly<Record<string, Tensor>>,
): readonly Tensor[] {
  return to ? keptTensors(graph, forwardNodes, trained, Object.values(gradients)) : [];
}

function named(kept: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(kept.map((tensor, i) => [`kept_${i}`, tensor]));
}

function withKept({ graph }: Replay, kept: readonly Tensor[]): Map<Tensor, string> {
  return new Map([
    ...graph.inputs,
    ...Object.entries(named(kept)).map(([name, tensor]) => [tensor, name] as const),
  ]);
}

function measure(section: Section, bytes: TrainingBytes): Measured {
  const { stage, forwardNodes, gradients } = open(section, { accumulate: true });
  const { graph, outputs, trained, x } = stage;
  const { dx: _, ...sums } = gradients;
  const results = Object.values(gradients);
  // They are added to where they are: that memory is counted as the gradients'.
  const elsewhere = new Set(Object.values(sums));
  const before = new Set(nodesFor(graph.nodes, Object.values(outputs)));
  const added = nodesFor(graph.nodes, results).filter((node) => !before.has(node));
  const count = countOf(section);
  const sumCount = section.uses.reduce((sum, { parameter: { size } }) => sum + size, count);
  const stateBytes = count * (bytes.weight + bytes.optimizer);
  // Parameters and sums are among the inputs, and counted apart.
  const fedBytes = sumOf(graph.inputs.keys()) - 2 * sumOf(trained);
  const apart = scoresBytes(section);
  const peak = (wanted: readonly Tensor[], known: readonly Tensor[]): number => {
    if (section.model.arithmetic !== "exact")
      return peakBytes(graph, wanted, { known: new Set(known), elsewhere, apart });
    // As it will be written: a softmax is five nodes then, and products have parts.
    const exact = exactGraph(graph, named(wanted), withKept(stage, known));
    const sums = wanted.filter((each) => elsewhere.has(each)).flatMap((each) => exact.of(each) ?? []);
    return peakBytes(exact.graph, Object.values(exact.outputs), { elsewhere: new Set(sums), apart });
  };
  const memory = (recompute: Recompute): StageMemory => {
    const kept = recompute === "selective" ? keptOf(section, stage, forwardNodes, gradients) : [];
    const keptBytes = sumOf(kept) + (x ? bytesOf(x) : 0);
    // What the forward gives is copied, as the gradients are.
    const forward = kept.length > 0 ? peak([...Object.values(outputs), ...kept], []) : 0;
    const backward = peak(results, kept);
    const runBytes = Math.max(forward, backward) + sumCount * bytes.gradient;
    return { stateBytes, runBytes, keptBytes, peakBytes: stateBytes + runBytes + fedBytes + sumOf(kept) };
  };
  return {
    flops: { forward: flopsOf(before), backward: flopsOf(added) },
    memory: Object.fromEntries(RECOMPUTE.map((each) => [each, memory(each)])) as Stage["memory"],
  };
}

/** Below this, memory that one result leaves is found by the next. */
const LARGE_SCORES_BYTES = 32 * 2 ** 20;

/**
 * The bytes of a tail's scores, if they are large: a loss makes eight results of their size, of which
 * three are needed at a time, and was measured to take the room of all (32,000 tokens known, 512 in a
 * micro-batch: 1.4 to 1.5 GB, where three would make 1.0).
 */
function scoresBytes({ nodes }: Section): number | null {
  const [scores] = nodes.find(({ op }) => op === "SoftmaxCrossEntropyLoss")?.inputs ?? [];
  const bytes = scores ? bytesOf(scores) : 0;
  return bytes >= LARGE_SCORES_BYTES ? bytes : null;
}

function flopsOf(nodes: Iterable<Node>): number {
  let sum = 0;
  for (const node of nodes) sum += productFlops(node);
  return sum;
}

function sumOf(tensors: Iterable<Tensor>): number {
  let sum = 0;
  for (const tensor of tensors) sum += bytesOf(tensor);
  return sum;
}

function countOf({ parameters }: Section): number {
  return parameters.reduce((sum, { size }) => sum + size, 0);
}
