import { create } from "@bufbuild/protobuf";
import { Failure } from "../../src-protocol/failure.ts";
import {
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from "../onnx_pb.js";
import { IMPORT_LIMITS } from "./limits.ts";

/** A graph inside of a node, of which nothing has a name of anything outside. */
export interface Branch {
  /** Names of what it is given at each turn; an If's have none. */
  inputs: readonly string[];
  nodes: readonly NodeProto[];
  /** Names, in the order of the graph's outputs. */
  outputs: readonly string[];
}

/** The graphs inside of all nodes of a model, those inside of them too. */
export interface Branches {
  /** By the If; what has no two branches is missing. */
  of: ReadonlyMap<NodeProto, { yes: Branch; no: Branch }>;
  /** By the Loop or Scan. */
  bodies: ReadonlyMap<NodeProto, Branch>;
  nodes: readonly NodeProto[];
  /** Stored inside of them, under their new names. */
  tensors: readonly TensorProto[];
  /** By the new name, the tensor in the file. */
  originals: ReadonlyMap<string, TensorProto>;
}

/** Attributes that are graphs, of the operators that have some. */
const GRAPHS: Readonly<Record<string, readonly string[]>> = {
  If: ["then_branch", "else_branch"],
  Loop: ["body"],
  Scan: ["body"],
};

function graphsOf(node: NodeProto): readonly GraphProto[] {
  const names = Object.hasOwn(GRAPHS, node.opType) ? GRAPHS[node.opType] : undefined;
  return (names ?? []).flatMap((name) => graphOf(node, name) ?? []);
}

function graphOf({ attribute }: NodeProto, name: string): GraphProto | undefined {
  return attribute.find((each) => each.name === name)?.g;
}

function ownNames({ input, initializer, node }: GraphProto): string[] {
  return [
    ...input.map(({ name }) => name),
    ...initializer.map(({ name }) => name),
    ...node.flatMap(({ output }) => output),
  ];
}

/** What a node reads: its inputs, and what the graphs inside of it read from around it. */
export function readsOf(node: NodeProto, depth = 0): readonly string[] {
  if (depth > IMPORT_LIMITS.branchDepth) return node.input;
  const inside = graphsOf(node).flatMap((graph) => {
    const own = new Set(ownNames(graph));
    const read = [
      ...graph.node.flatMap((each) => readsOf(each, depth + 1)),
      ...graph.output.map((each) => each.name),
    ];
    return read.filter((each) => !own.has(each));
  });
  return [...node.input, ...inside];
}

/**
 * The graphs inside of every If, Loop and Scan among `nodes`. Several may call things alike: each gets names of
 * its own, so that it can be read as if its nodes stood in the node's place.
 *
 * @throws Failure `model-too-large` when they are nested deeper, or have more nodes, than is read
 */
export function branchesOf(nodes: readonly NodeProto[]): Branches {
  const of = new Map<NodeProto, { yes: Branch; no: Branch }>();
  const bodies = new Map<NodeProto, Branch>();
  const originals = new Map<string, TensorProto>();
  const [inside, tensors]: [NodeProto[], TensorProto[]] = [[], []];

  const opened = (node: NodeProto, names: ReadonlyMap<string, string>, depth: number): NodeProto => {
    const renamed = (name: string): string => names.get(name) ?? name;
    // Onto a message of its own: a spread would lose the defaults, which lie in its prototype.
    const copy =
      names.size === 0
        ? node
        : Object.assign(create(NodeProtoSchema), node, {
            input: node.input.map(renamed),
            output: node.output.map(renamed),
          });
    const graphs = graphsOf(node);
    if (graphs.length === 0) return copy;
    if (depth >= IMPORT_LIMITS.branchDepth) {
      throw new Failure(
        "model-too-large",
        `The model has Ifs or loops inside of one another, ${depth + 1} deep; at most ${IMPORT_LIMITS.branchDepth} are read. Export it with fixed choices.`,
      );
    }
    const place = copy.output.find((name) => name !== "") ?? "";
    const [first, second] = graphs;
    if (node.opType !== "If" && first) bodies.set(copy, branch(first, `${place}/body/`, names, depth + 1));
    else if (first && second)
      of.set(copy, {
        yes: branch(first, `${place}/then/`, names, depth + 1),
        no: branch(second, `${place}/else/`, names, depth + 1),
      });
    return copy;
  };

  const branch = (
    graph: GraphProto,
    prefix: string,
    outer: ReadonlyMap<string, string>,
    depth: number,
  ): Branch => {
    const names = new Map([
      ...outer,
      ...ownNames(graph)
        .filter((name) => name !== "")
        .map((name) => [name, prefix + name] as const),
    ]);
    const inner = (name: string): string => names.get(name) ?? name;
    for (const tensor of graph.initializer) {
      const name = inner(tensor.name);
      tensors.push(Object.assign(create(TensorProtoSchema), tensor, { name }));
      originals.set(name, tensor);
    }
    if (inside.length + graph.node.length > IMPORT_LIMITS.nodes) {
      throw new Failure(
        "model-too-large",
        `The model's Ifs and loops hold more than ${IMPORT_LIMITS.nodes} nodes. Export it with fixed choices.`,
      );
    }
    const its = graph.node.map((node) => opened(node, names, depth));
    inside.push(...its);
    return {
      inputs: graph.input.map(({ name }) => inner(name)),
      nodes: its,
      outputs: graph.output.map(({ name }) => inner(name)),
    };
  };

  for (const node of nodes) opened(node, new Map(), 0);
  return { of, bodies, nodes: inside, tensors, originals };
}
