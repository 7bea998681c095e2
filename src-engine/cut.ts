import { Failure } from "../src-protocol/failure.ts";
import { chooseBalance, type NodeCapacity, type RangeCost } from "./cut-balance.ts";
import {
  bytesOf,
  nodesBehind,
  nodesFor,
  peakBytes,
  type Producers,
  producersOf,
  productFlops,
} from "./cut-cost.ts";
import { type CutPoint, cutPoints } from "./cut-frontier.ts";
import { differentiate } from "./differentiate.ts";
import { GraphBuilder, type Node } from "./graph-builder.ts";
import type { Graph } from "./graphs.ts";
import { encodeModel } from "./model-file.ts";
import type { ParameterInfo } from "./stage.ts";
import type { Tensor } from "./tensor.ts";

interface Named {
  name: string;
  tensor: Tensor;
}

/** What can be cut: an imported model, or any graph with its inputs named. */
export interface Cuttable {
  graph: GraphBuilder;
  inputs: readonly Named[];
  outputs: readonly Named[];
  parameters: readonly (ParameterInfo & Pick<Named, "tensor">)[];
  /** Stored inputs that are not trained. */
  tables?: readonly (ParameterInfo & Pick<Named, "tensor">)[];
}

/** Bytes that a parameter takes while it is trained. */
export interface TrainingBytes {
  weight: number;
  gradient: number;
  optimizer: number;
}

/**
 * As the engine trains today, 20 bytes a parameter: the weight, AdamW's two moments and the gradient
 * in float32, and the gradient once more, because ONNX Runtime's Node binding copies what it gives.
 */
export const FLOAT32_ADAMW: TrainingBytes = { weight: 4, gradient: 8, optimizer: 8 };

export interface StageMemory {
  /** Weights and optimiser. */
  stateBytes: number;
  /** All results of the backward graph at its peak, gradients included, when nothing is done in place. */
  runBytes: number;
  /** Both, and what is fed: the most that training the stage takes for one micro-batch. */
  peakBytes: number;
}

/** One part of a cut model: what one node would serve. */
export interface CutStage {
  index: number;
  stages: number;
  /** What it trains. A tied parameter is in every stage that reads it; its gradients are to be summed. */
  parameters: readonly ParameterInfo[];
  parameterCount: number;
  /** Data that the stage needs besides the activations: the same for every stage that names it. */
  data: readonly string[];
  /** Stored inputs that are not trained. */
  tables: readonly string[];
  /** For one micro-batch; the backward without the recomputed forward. */
  flops: { forward: number; backward: number };
  memory: StageMemory;
  /** Activations that arrive and leave, for one micro-batch; their gradients go the other way. */
  boundaryBytes: { in: number; out: number };
  /** The node of the model after which the stage ends; null for the last. */
  endsAfter: string | null;
  /** Inputs: `x` (not the first stage), data, tables, parameters. Outputs: `y`, or the model's own. */
  forward(): Graph;
  /**
   * Inputs: `x`, data, then `dy`, or `d_NAME` for each output of the model that is not a single number
   * (a loss, whose gradient is 1); tables, parameters. Outputs: `dx` (not the first stage), `d_NAME`
   * for each parameter.
   */
  backward(): Graph;
}

export interface CutOptions {
  /** null: as few as fit on `nodes`. */
  stages: number | null;
  nodes: readonly NodeCapacity[];
  bytes?: TrainingBytes;
}

/** More cut points than this are thinned out: the search is quadratic. */
const MOST_UNITS = 1024;

/**
 * Cuts a forward graph into stages that are connected by one tensor each, so that each fits into its
 * node's memory and the slowest is as fast as possible.
 *
 * @throws Failure `too-many-stages`, `does-not-fit`, `not-differentiable`
 */
export function cutGraph(model: Cuttable, { stages, nodes, bytes = FLOAT32_ADAMW }: CutOptions): CutStage[] {
  const all = pointsOf(model);
  const points = usefulPoints(all, unitsOf(model, all));
  const cost = rangeCosts(unitsOf(model, points), points, bytes);
  const { starts } = chooseBalance(points.length + 1, stages, nodes, cost);
  const producers = producersOf(model.graph.tape);
  const known = new Map<string, Measured>();
  return starts.map((start, index) => {
    const end = starts[index + 1];
    const from = start === 0 ? null : (points[start - 1] ?? null);
    const to = end === undefined ? null : (points[end - 1] ?? null);
    return cutStage(sectionOf(model, producers, from, to), index, starts.length, bytes, known);
  });
}

/** Where the model can be cut; see `cutPoints`. */
export function pointsOf({ graph, inputs, outputs, parameters }: Cuttable): CutPoint[] {
  const ends = outputs.map(({ tensor }) => tensor);
  return cutPoints(
    nodesFor(graph.tape, ends),
    inputs.map(({ tensor }) => tensor),
    parameters.map(({ tensor }) => tensor),
    ends,
  );
}

/** What lies between two neighbouring cut points. */
interface Unit {
  flops: number;
  /** Bytes of all results of its forward. */
  results: number;
  parameters: Cuttable["parameters"];
}

/** One more than points: the last is what follows the last point. */
function unitsOf({ graph, outputs, parameters }: Cuttable, points: readonly CutPoint[]): Unit[] {
  const ends = outputs.map(({ tensor }) => tensor);
  const producers = producersOf(graph.nodes);
  const byTensor = new Map(parameters.map((parameter) => [parameter.tensor, parameter]));
  return [...points, null].map((point, i) => {
    const known = new Set([points[i - 1]?.tensor].filter((tensor) => tensor !== undefined));
    const nodes = nodesBehind(producers, point ? [point.tensor] : ends, known);
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    return {
      flops: nodes.reduce((sum, node) => sum + productFlops(node), 0),
      results: nodes.flatMap(({ outputs }) => outputs).reduce((sum, tensor) => sum + bytesOf(tensor), 0),
      parameters: [...read].flatMap((tensor) => byTensor.get(tensor) ?? []),
    };
  });
}

/**
 * The points between which there is work. Of neighbours with only elementwise steps between them (before
 * and after an activation or a pooling) the one where least is sent is kept.
 */
function usefulPoints(points: readonly CutPoint[], units: readonly Unit[]): CutPoint[] {
  const groups: CutPoint[][] = [];
  const hasWork = (unit: Unit | undefined): boolean => !unit || unit.flops > 0 || unit.parameters.length > 0;
  for (const [i, point] of points.entries()) {
    if (i === 0 || hasWork(units[i])) groups.push([]);
    groups.at(-1)?.push(point);
  }
  if (!hasWork(units.at(-1))) groups.pop();
  const useful = groups.flatMap((group) =>
    group.toSorted((a, b) => bytesOf(a.tensor) - bytesOf(b.tensor)).slice(0, 1),
  );
  const every = Math.ceil(useful.length / (MOST_UNITS - 1));
  return useful.filter((_, i) => i % every === 0);
}

/**
 * What the search compares: memory is estimated as the state of the parameters and every result of
 * the forward kept once; the backward as twice the forward.
 */
function rangeCosts(
  units: readonly Unit[],
  points: readonly CutPoint[],
  { weight, gradient, optimizer }: TrainingBytes,
): (from: number, to: number) => RangeCost {
  const boundary = points.map(({ tensor }) => bytesOf(tensor));
  const bytesPerParameter = weight + gradient + optimizer;
  const table = units.map((_, from) => {
    const held = new Set<string>();
    let memoryBytes = 0;
    let flops = 0;
    return units.slice(from).map((unit, length) => {
      for (const { name, size } of unit.parameters) {
        if (!held.has(name)) memoryBytes += size * bytesPerParameter;
        held.add(name);
      }
      memoryBytes += unit.results;
      flops += 3 * unit.flops;
      const bytes = (boundary[from - 1] ?? 0) + (boundary[from + length] ?? 0);
      return { memoryBytes, flops, bytes };
    });
  });
  return (from, to) => {
    const found = table[from]?.[to - from - 1];
    if (!found) throw new RangeError(`no units ${from} to ${to}`);
    return found;
  };
}

interface Section {
  model: Cuttable;
  from: CutPoint | null;
  to: CutPoint | null;
  /** What the section computes, as `differentiate` sees it. */
  nodes: readonly Node[];
  ends: readonly Named[];
  data: readonly Named[];
  tables: readonly Named[];
  parameters: Cuttable["parameters"];
}

function sectionOf(
  model: Cuttable,
  producers: Producers,
  from: CutPoint | null,
  to: CutPoint | null,
): Section {
  const ends = to ? [{ name: "y", tensor: to.tensor }] : model.outputs;
  const results = ends.map(({ tensor }) => tensor);
  const nodes = nodesBehind(producers, results, new Set(from ? [from.tensor] : []));
  const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...results]);
  const isRead = ({ tensor }: Pick<Named, "tensor">): boolean => read.has(tensor);
  return {
    model,
    from,
    to,
    nodes,
    ends,
    data: model.inputs.filter(isRead),
    tables: (model.tables ?? []).filter(isRead),
    parameters: model.parameters.filter(isRead),
  };
}

function cutStage(
  section: Section,
  index: number,
  stages: number,
  bytes: TrainingBytes,
  known: Map<string, Measured>,
): CutStage {
  const { from, to, data, tables, parameters } = section;
  const signature = signatureOf(section);
  const measured = known.get(signature) ?? measure(section, bytes);
  known.set(signature, measured);
  return {
    index,
    stages,
    parameters: parameters.map(({ name, shape, size, decay }) => ({ name, shape, size, decay })),
    parameterCount: parameters.reduce((sum, { size }) => sum + size, 0),
    data: data.map(({ name }) => name),
    tables: tables.map(({ name }) => name),
    ...measured,
    boundaryBytes: { in: from ? bytesOf(from.tensor) : 0, out: to ? bytesOf(to.tensor) : 0 },
    endsAfter: to?.node ?? null,
    // Made when asked for: a plan of hundreds of stages keeps no graphs.
    forward: () => {
      const { graph, outputs } = replay(section);
      return close(graph, outputs);
    },
    backward: () => {
      const stage = replay(section);
      const gradients = gradientsOf(stage, section);
      return close(stage.graph, gradients);
    },
  };
}

type Measured = Pick<CutStage, "flops" | "memory">;

/** Equal for sections that compute alike: most of a deep model's do. */
function signatureOf({ nodes, from, ends }: Section): string {
  const numbers = new Map<Tensor, number>();
  const own = (tensor: Tensor): string => {
    if (tensor.value) return `constant ${tensor.id}`;
    const number = numbers.get(tensor) ?? numbers.size;
    numbers.set(tensor, number);
    return `${number} ${tensor.type}[${tensor.shape}]`;
  };
  const parts = nodes.map(
    ({ op, inputs, outputs, attributes }) =>
      `${outputs.map(own)}=${op}(${inputs.map(own)})${JSON.stringify(attributes)}`,
  );
  return [from ? own(from.tensor) : "", ...parts, ...ends.map(({ tensor }) => own(tensor))].join(";");
}

function measure(section: Section, bytes: TrainingBytes): Measured {
  const stage = replay(section);
  const { graph } = stage;
  const before = new Set(nodesFor(graph.nodes, Object.values(stage.outputs)));
  const gradients = Object.values(gradientsOf(stage, section));
  const added = nodesFor(graph.nodes, gradients).filter((node) => !before.has(node));
  const flopsOf = (nodes: Iterable<Node>): number => {
    let sum = 0;
    for (const node of nodes) sum += productFlops(node);
    return sum;
  };
  const trained = new Set(stage.trained);
  const fedBytes = [...graph.inputs.keys()].reduce(
    (sum, tensor) => sum + (trained.has(tensor) ? 0 : bytesOf(tensor)),
    0,
  );
  const count = section.parameters.reduce((sum, { size }) => sum + size, 0);
  const stateBytes = count * (bytes.weight + bytes.optimizer);
  // The graph gives gradients in its own float type; training may keep them in another.
  const gradientBytes = stage.trained.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const runBytes = peakBytes(graph, gradients) - gradientBytes + count * bytes.gradient;
  return {
    flops: { forward: flopsOf(before), backward: flopsOf(added) },
    memory: { stateBytes, runBytes, peakBytes: stateBytes + runBytes + fedBytes },
  };
}

interface Replay {
  graph: GraphBuilder;
  x: Tensor | null;
  outputs: Readonly<Record<string, Tensor>>;
  /** In the order of the section's parameters. */
  trained: readonly Tensor[];
}

/** The section in a graph of its own. */
function replay({ model, from, nodes, ends, data, tables, parameters }: Section): Replay {
  const graph = new GraphBuilder(model.graph.float);
  const made = new Map<Tensor, Tensor>();
  const open = (rows: readonly Named[]): void => {
    for (const { name, tensor } of rows) made.set(tensor, graph.input(name, tensor.shape, tensor.type));
  };
  if (from) open([{ name: "x", tensor: from.tensor }]);
  open(data);
  open(tables);
  open(parameters);
  const copy = (tensor: Tensor): Tensor => {
    const copied =
      made.get(tensor) ?? (tensor.value && graph.constant(tensor.type, tensor.shape, tensor.value));
    if (!copied) throw new RangeError("A stage reads a tensor that no node of it computes.");
    made.set(tensor, copied);
    return copied;
  };
  for (const { name, op, inputs, outputs, attributes } of nodes) {
    // Messages name the nodes as the model does.
    const scope = name.slice(0, Math.max(0, name.lastIndexOf("/")));
    const results = graph.within(scope, () => graph.applyAll(op, inputs.map(copy), attributes));
    for (const [i, output] of outputs.entries()) made.set(output, results[i] as Tensor);
  }
  return {
    graph,
    x: from ? copy(from.tensor) : null,
    outputs: Object.fromEntries(ends.map(({ name, tensor }) => [name, copy(tensor)])),
    trained: parameters.map(({ tensor }) => copy(tensor)),
  };
}

function gradientsOf(stage: Replay, { to, parameters }: Section): Record<string, Tensor> {
  const { graph, x, outputs, trained } = stage;
  const seeds = new Map<Tensor, Tensor>();
  for (const [name, output] of Object.entries(outputs)) {
    if (output.type !== graph.float) continue;
    const isLoss = !to && output.shape.every((size) => size === 1);
    const seed = isLoss ? graph.full(output.shape, 1) : graph.input(to ? "dy" : `d_${name}`, output.shape);
    seeds.set(output, seed);
  }
  if (seeds.size === 0) {
    throw new Failure(
      "not-differentiable",
      "None of the model's outputs is a float tensor, so there is nothing to train it by.",
    );
  }
  const targets = [...(x ? [x] : []), ...trained];
  const names = [...(x ? ["dx"] : []), ...parameters.map(({ name }) => `d_${name}`)];
  const found = differentiated(graph, seeds, targets);
  return Object.fromEntries(names.map((name, i) => [name, found[i] as Tensor]));
}

/** Shapes that passed forward and contradict each other backward are the model's fault: it says so. */
function differentiated(...[graph, seeds, targets]: Parameters<typeof differentiate>): Tensor[] {
  try {
    return differentiate(graph, seeds, targets);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "bad-shape") throw error;
    throw new Failure(
      "bad-shape",
      `The model cannot be trained, because shapes in it contradict each other. ${error.message} Export it again.`,
      { cause: error },
    );
  }
}

function close(graph: GraphBuilder, outputs: Readonly<Record<string, Tensor>>): Graph {
  return {
    bytes: encodeModel(graph, outputs),
    inputs: [...graph.inputs.values()],
    outputs: Object.keys(outputs),
  };
}
