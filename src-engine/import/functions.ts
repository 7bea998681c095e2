import { create } from "@bufbuild/protobuf";
import { Failure } from "../../src-protocol/failure.ts";
import {
  AttributeProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx_pb.js";
import { IMPORT_LIMITS } from "./limits.ts";

/** Functions that call functions, so deep. */
const DEEPEST = 16;

const isStandard = (domain: string): boolean => domain === "" || domain === "ai.onnx";
const keyOf = (domain: string, name: string, overload: string): string =>
  `${isStandard(domain) ? "" : domain}\n${name}\n${overload}`;

type Names = ReadonlyMap<string, string>;

/**
 * Functions inside of the file (`functions` of ModelProto), written out where they are called: the graph
 * has no calls left, and each call's values have names of their own.
 *
 * @throws Failure `model-too-large` when functions call one another deeper, or become more nodes, than is read;
 * `unsupported-operator` when one is written for another operator set than the model
 */
export function writeOutFunctions({ functions, graph, opsetImport }: ModelProto): void {
  if (functions.length === 0 || !graph) return;
  const found = new Map(functions.map((each) => [keyOf(each.domain, each.name, each.overload), each]));
  const opset = opsetImport.find(({ domain }) => isStandard(domain))?.version;
  new Writer(found, opset).graph(graph, 0);
  functions.length = 0;
}

class Writer {
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #opset: bigint | undefined;
  #calls = 0;
  #nodes = 0;

  constructor(functions: ReadonlyMap<string, FunctionProto>, opset: bigint | undefined) {
    this.#functions = functions;
    this.#opset = opset;
  }

  graph(graph: GraphProto, depth: number): void {
    graph.node = this.#written(graph.node, depth);
  }

  #written(nodes: readonly NodeProto[], depth: number): NodeProto[] {
    return nodes.flatMap((node) => {
      for (const { g } of node.attribute) if (g) this.graph(g, depth);
      const called = this.#functions.get(keyOf(node.domain, node.opType, node.overload));
      if (called === undefined) return [node];
      if (depth >= DEEPEST)
        throw new Failure(
          "model-too-large",
          `The model's functions call one another more than ${DEEPEST} deep. Export it without functions.`,
        );
      return this.#written(this.#body(node, called), depth + 1);
    });
  }

  /** The body's nodes with the call's names and attributes. */
  #body(call: NodeProto, called: FunctionProto): NodeProto[] {
    const version = called.opsetImport.find(({ domain }) => isStandard(domain))?.version;
    if (version !== undefined && version !== this.#opset)
      throw new Failure(
        "unsupported-operator",
        `The file's function "${called.name}" is written for ONNX operator set ${version}, and the model for ${this.#opset}. Export it with one for both, or with its functions written out (onnx.inliner).`,
      );
    this.#nodes += called.node.length;
    if (this.#nodes > IMPORT_LIMITS.nodes)
      throw new Failure(
        "model-too-large",
        `The model's functions become more than ${IMPORT_LIMITS.nodes} nodes. Export a smaller model.`,
      );
    const prefix = `${call.name || called.name}#${this.#calls++}/`;
    const names = new Map<string, string>();
    for (const name of called.node.flatMap(({ output }) => output))
      if (name !== "") names.set(name, prefix + name);
    for (const [i, name] of called.input.entries()) names.set(name, call.input[i] ?? "");
    // What a function hands through as it is needs a node of its own.
    const handed = called.output.flatMap((name, i) => {
      const outside = call.output[i] ?? "";
      if (outside === "") return [];
      const isOwn = !called.input.includes(name) && names.get(name) === prefix + name;
      if (isOwn) names.set(name, outside);
      return isOwn
        ? []
        : [
            create(NodeProtoSchema, {
              opType: "Identity",
              name: `${prefix}output${i}`,
              input: [names.get(name) ?? name],
              output: [outside],
            }),
          ];
    });
    const attributes = new Map([
      ...called.attributeProto.map((each) => [each.name, each] as const),
      ...call.attribute.map((each) => [each.name, each] as const),
    ]);
    const nodes = called.node.map((node) => {
      const written = renamed(node, names, attributes);
      written.name = prefix + (node.name || node.opType);
      // Where it was exported from.
      written.metadataProps = [...node.metadataProps, ...call.metadataProps];
      return written;
    });
    return [...nodes, ...handed];
  }
}

type Attributes = ReadonlyMap<string, AttributeProto>;

function renamed(node: NodeProto, names: Names, attributes: Attributes): NodeProto {
  const of = (name: string): string => names.get(name) ?? name;
  return Object.assign(create(NodeProtoSchema), node, {
    input: node.input.map(of),
    output: node.output.map(of),
    attribute: node.attribute.flatMap((each) => {
      if (each.refAttrName !== "") {
        const given = attributes.get(each.refAttrName);
        // Not given and without a default, it is the operator's own.
        return given === undefined
          ? []
          : [Object.assign(create(AttributeProtoSchema), given, { name: each.name })];
      }
      if (!each.g) return [each];
      return [
        Object.assign(create(AttributeProtoSchema), each, { g: renamedGraph(each.g, names, attributes) }),
      ];
    }),
  });
}

/** What is inside reads the function's values, but for those of its own names. */
function renamedGraph(graph: GraphProto, names: Names, attributes: Attributes): GraphProto {
  const own = new Set([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  const outer = new Map([...names].filter(([name]) => !own.has(name)));
  return Object.assign(create(GraphProtoSchema), graph, {
    node: graph.node.map((node) => renamed(node, outer, attributes)),
    output: graph.output.map((each) =>
      Object.assign(create(ValueInfoProtoSchema), each, { name: outer.get(each.name) ?? each.name }),
    ),
  });
}
