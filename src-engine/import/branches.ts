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

/** One of the two graphs of an If, of which nothing inside has a name of anything outside. */
export interface Branch {
  nodes: readonly NodeProto[];
  /** Names, in the order of the If's outputs. */
  outputs: readonly string[];
}

/** The branches of all Ifs of a model, those inside of branches too. */
export interface Branches {
  /** By the If; what has no two branches is missing. */
  of: ReadonlyMap<NodeProto, { yes: Branch; no: Branch }>;
  nodes: readonly NodeProto[];
  /** Stored inside of branches. */
  tensors: readonly TensorProto[];
}

function graphOf({ attribute }: NodeProto, name: string): GraphProto | undefined {
  return attribute.find((each) => each.name === name)?.g;
}

/** What a node reads: its inputs, and what an If's branches read from around it. */
export function readsOf(node: NodeProto, depth = 0): readonly string[] {
  if (node.opType !== "If" || depth > IMPORT_LIMITS.branchDepth) return node.input;
  const inside = ["then_branch", "else_branch"].flatMap((name) => {
    const graph = graphOf(node, name);
    if (!graph) return [];
    const own = new Set([
      ...graph.initializer.map((each) => each.name),
      ...graph.node.flatMap(({ output }) => output),
    ]);
    const read = [
      ...graph.node.flatMap((each) => readsOf(each, depth + 1)),
      ...graph.output.map((each) => each.name),
    ];
    return read.filter((each) => !own.has(each));
  });
  return [...node.input, ...inside];
}

/**
 * The branches of every If among `nodes`. Both may call things alike: each gets names of its own, so
 * that a branch can be read as if its nodes stood in the If's place.
 *
 * @throws Failure `model-too-large` when Ifs are nested deeper, or have more nodes, than is read
 */
export function branchesOf(nodes: readonly NodeProto[]): Branches {
  const of = new Map<NodeProto, { yes: Branch; no: Branch }>();
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
    const [yes, no] = [graphOf(node, "then_branch"), graphOf(node, "else_branch")];
    if (node.opType !== "If" || !yes || !no) return copy;
    if (depth >= IMPORT_LIMITS.branchDepth) {
      throw new Failure(
        "model-too-large",
        `The model has Ifs inside of Ifs, ${depth + 1} deep; at most ${IMPORT_LIMITS.branchDepth} are read. Export it with fixed choices.`,
      );
    }
    const place = copy.output[0] ?? "";
    of.set(copy, {
      yes: branch(yes, `${place}/then/`, names, depth + 1),
      no: branch(no, `${place}/else/`, names, depth + 1),
    });
    return copy;
  };

  const branch = (
    graph: GraphProto,
    prefix: string,
    outer: ReadonlyMap<string, string>,
    depth: number,
  ): Branch => {
    const own = [...graph.initializer.map(({ name }) => name), ...graph.node.flatMap(({ output }) => output)];
    const names = new Map([
      ...outer,
      ...own.filter((name) => name !== "").map((name) => [name, prefix + name] as const),
    ]);
    for (const tensor of graph.initializer)
      tensors.push(Object.assign(create(TensorProtoSchema), tensor, { name: names.get(tensor.name) ?? "" }));
    if (inside.length + graph.node.length > IMPORT_LIMITS.nodes) {
      throw new Failure(
        "model-too-large",
        `The model's Ifs hold more than ${IMPORT_LIMITS.nodes} nodes. Export it with fixed choices.`,
      );
    }
    const its = graph.node.map((node) => opened(node, names, depth));
    inside.push(...its);
    return { nodes: its, outputs: graph.output.map(({ name }) => names.get(name) ?? name) };
  };

  for (const node of nodes) opened(node, new Map(), 0);
  return { of, nodes: inside, tensors };
}
