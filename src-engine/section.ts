import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import { nodesBehind, type Producers } from "./cut-cost.ts";
import type { CutPoint } from "./cut-frontier.ts";
import { differentiate } from "./differentiate.ts";
import type { ElementType } from "./element-type.ts";
import { GraphBuilder, type Node } from "./graph-builder.ts";
import type { ParameterInfo } from "./stage.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

export interface Named {
  name: string;
  tensor: Tensor;
}

/** A micro-batch's own data. */
export interface DataInput extends Named {
  /** How it is fed, where that is not as the tensor: token numbers come flat and as int32. */
  fed?: { type: ElementType; shape: Shape };
}

/** What can be cut: an imported model, or any graph with its inputs named. */
export interface Cuttable {
  graph: GraphBuilder;
  inputs: readonly DataInput[];
  outputs: readonly Named[];
  parameters: readonly (ParameterInfo & Pick<Named, "tensor">)[];
  /** Stored inputs that are not trained. */
  tables?: readonly (ParameterInfo & Pick<Named, "tensor">)[];
  /** How its graphs are written; `fast` where it is not said. */
  arithmetic?: Arithmetic;
}

/** A contiguous part of a model's graph, from one cut point to the next. */
export interface Section {
  model: Cuttable;
  from: CutPoint | null;
  to: CutPoint | null;
  /** What the section computes, as `differentiate` sees it. */
  nodes: readonly Node[];
  ends: readonly Named[];
  data: readonly DataInput[];
  tables: readonly Named[];
  parameters: Cuttable["parameters"];
  /** The same nodes, from one of the model's cut points to the next. */
  parts: readonly Part[];
  /** Beside the parameters' own names, which are those of the last place where the section reads them. */
  uses: readonly Use[];
}

/**
 * What lies between two neighbouring cut points. Nodes that depend on parameters alone may be in several
 * parts. A model without shared parameters is one part.
 */
interface Part {
  nodes: readonly Node[];
  reads: readonly { name: string; tensor: Tensor }[];
}

/**
 * A further place where a section reads a parameter that is shared. It is fed by a name of its own, and
 * its gradient has a sum of its own.
 */
export interface Use {
  /** E.g. `wte.weight#0`: the number is that of the place in the model. */
  name: string;
  parameter: Cuttable["parameters"][number];
}

/** A whole model as `sectionOf` divides it. */
export interface Divided {
  model: Cuttable;
  producers: Producers;
  points: readonly CutPoint[];
  /**
   * Parameters that are read in more than one place, which is between two neighbouring points. Their
   * gradients are summed by place, so that the order of adding does not depend on where the model is cut.
   */
  shared: ReadonlySet<Tensor>;
}

/** From place `start` to before place `end`: place i lies between points i − 1 and i, the first has none before it. */
export function sectionOf(divided: Divided, start: number, end: number): Section {
  const { model } = divided;
  const { from, to, ends, nodes } = between(divided, start, end);
  const results = ends.map(({ tensor }) => tensor);
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
    ...placesOf(divided, start, end, nodes),
  };
}

function between(
  { model, producers, points }: Divided,
  start: number,
  end: number,
): Pick<Section, "from" | "to" | "ends" | "nodes"> {
  const [from, to] = [points[start - 1] ?? null, points[end - 1] ?? null];
  const ends = to ? [{ name: "y", tensor: to.tensor }] : model.outputs;
  const results = ends.map(({ tensor }) => tensor);
  return { from, to, ends, nodes: nodesBehind(producers, results, new Set(from ? [from.tensor] : [])) };
}

/** `uses`: from the last place to the first, which is the order in which gradients are added. */
function placesOf(
  divided: Divided,
  start: number,
  end: number,
  all: readonly Node[],
): Pick<Section, "parts" | "uses"> {
  const shared = divided.model.parameters.filter(({ tensor }) => divided.shared.has(tensor));
  if (shared.length === 0) return { parts: [{ nodes: all, reads: [] }], uses: [] };
  const uses: Use[] = [];
  const seen = new Set<Tensor>();
  const parts: Part[] = [];
  for (let place = end - 1; place >= start; place--) {
    const { nodes } = between(divided, place, place + 1);
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    const own = shared.filter(({ tensor }) => read.has(tensor));
    const reads = own.map((parameter) => {
      const { tensor } = parameter;
      if (!seen.has(tensor)) return { name: parameter.name, tensor };
      const use = { name: `${parameter.name}#${place}`, parameter };
      uses.push(use);
      return { name: use.name, tensor };
    });
    for (const { tensor } of own) seen.add(tensor);
    parts.unshift({ nodes, reads });
  }
  return { parts, uses };
}

/** Equal for sections that compute alike: most of a deep model's do. */
export function signatureOf({ nodes, from, ends, uses }: Section): string {
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
  const further = uses.map(({ parameter: { tensor } }) => own(tensor));
  return [from ? own(from.tensor) : "", ...parts, ...ends.map(({ tensor }) => own(tensor)), ...further].join(
    ";",
  );
}

/** A section in a graph of its own. */
export interface Replay {
  graph: GraphBuilder;
  x: Tensor | null;
  outputs: Readonly<Record<string, Tensor>>;
  /** In the order of the section's parameters, and then of its uses. */
  trained: readonly Tensor[];
}

export function replay({ model, from, ends, data, tables, parameters, parts, uses }: Section): Replay {
  const graph = new GraphBuilder(model.graph.operators, model.graph.float);
  const made = new Map<Tensor, Tensor>();
  if (from) made.set(from.tensor, graph.input("x", from.tensor.shape, from.tensor.type));
  for (const { name, tensor, fed } of data) {
    const input = graph.input(name, fed?.shape ?? tensor.shape, fed?.type ?? tensor.type);
    made.set(tensor, fed ? input.cast(tensor.type).reshape(tensor.shape) : input);
  }
  const stored = new Map<string, Tensor>();
  const further = uses.map(({ name, parameter: { tensor } }) => ({ name, tensor }));
  for (const { name, tensor } of [...tables, ...parameters, ...further])
    stored.set(name, graph.input(name, tensor.shape, tensor.type));
  for (const { name, tensor } of [...tables, ...parameters]) made.set(tensor, stored.get(name) as Tensor);
  const copy = (tensor: Tensor): Tensor => {
    const copied =
      made.get(tensor) ?? (tensor.value && graph.constant(tensor.type, tensor.shape, tensor.value));
    if (!copied) throw new RangeError("A stage reads a tensor that no node of it computes.");
    made.set(tensor, copied);
    return copied;
  };
  for (const { nodes, reads } of parts) {
    /** What depends on shared parameters, and so is another thing in each part. */
    const own = new Set<Tensor>();
    for (const { name, tensor } of reads) {
      made.set(tensor, stored.get(name) as Tensor);
      own.add(tensor);
    }
    for (const { name, op, inputs, outputs, attributes } of nodes) {
      if (inputs.some((input) => own.has(input))) for (const output of outputs) own.add(output);
      else if (outputs.every((output) => made.has(output))) continue;
      // Messages name the nodes as the model does.
      const scope = name.slice(0, Math.max(0, name.lastIndexOf("/")));
      const results = graph.within(scope, () => graph.applyAll(op, inputs.map(copy), attributes));
      for (const [i, output] of outputs.entries()) made.set(output, results[i] as Tensor);
    }
  }
  return {
    graph,
    x: from ? copy(from.tensor) : null,
    outputs: Object.fromEntries(ends.map(({ name, tensor }) => [name, copy(tensor)])),
    trained: [...parameters, ...uses].map(({ name }) => stored.get(name) as Tensor),
  };
}

/**
 * Adds the gradients of `dx` and of each parameter and use, `d_NAME`. With `accumulate` there is an input
 * `g_NAME` for each, which its gradient is added to: a runtime that is given the same
 * memory for `g_NAME` and `d_NAME` sums over micro-batches in place.
 */
export function gradientsOf(
  { graph, x, outputs, trained }: Replay,
  { to, parameters, uses }: Section,
  { accumulate }: { accumulate: boolean },
): Record<string, Tensor> {
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
  if (accumulate) {
    for (const [i, { name }] of [...parameters, ...uses].entries()) {
      const parameter = trained[i] as Tensor;
      seeds.set(parameter, graph.input(`g_${name}`, parameter.shape));
    }
  }
  const targets = [...(x ? [x] : []), ...trained];
  const names = [...(x ? ["dx"] : []), ...[...parameters, ...uses].map(({ name }) => `d_${name}`)];
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
