import { Failure } from "../../src-protocol/failure.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import type { AttributeValue, Operator } from "../operator.ts";
import { OPERATORS, type OperatorName } from "../operators.ts";
import type { Tensor } from "../tensor.ts";
import type { Known } from "./known.ts";
import type { NodeAttributes } from "./node-attributes.ts";

/** A node of a file, of which at least one input is not known while importing. */
export interface ImportCall {
  graph: GraphBuilder;
  op: string;
  /** The node's name in the file. */
  name: string;
  attributes: NodeAttributes;
  opset: number;
  /** How many inputs and outputs the node names; optional ones may be empty. */
  inputs: number;
  outputs: number;
  /** Input `i` as a tensor of the graph. */
  tensor(i: number): Tensor;
  /** undefined: it was left out. */
  optional(i: number): Tensor | undefined;
  /** The numbers of an input that must be known; undefined: it was left out. */
  known(i: number): Known | undefined;
}

/** How a node of a file is written in the operators of the table. */
export type Lowering = (call: ImportCall) => readonly Tensor[];

export function isRow(op: string): op is OperatorName {
  return Object.hasOwn(OPERATORS, op);
}

/** An operator of the table, with the file's own inputs and attributes. */
export function asRow(call: ImportCall): readonly Tensor[] {
  if (!isRow(call.op)) throw new RangeError(`${call.op} is no row of the table`);
  const inputs = Array.from({ length: call.inputs }, (_, i) => call.optional(i));
  while (inputs.length > 0 && inputs.at(-1) === undefined) inputs.pop();
  const given = inputs.filter((input) => input !== undefined);
  if (given.length !== inputs.length) {
    throw new Failure(
      "unsupported-operator",
      `Node ${call.name} (${call.op}) leaves out an input between others, which the engine does not take.`,
    );
  }
  return call.graph.applyAll(call.op, given, attributesFor(OPERATORS[call.op], call));
}

/** What the file gives, each of the kind that the row takes. The builder refuses what the row does not know. */
function attributesFor(row: Operator, { attributes }: ImportCall): Record<string, AttributeValue> {
  const found: Record<string, AttributeValue> = {};
  for (const name of attributes.names) {
    switch (row.attributes[name]?.kind) {
      case "ints":
        found[name] = attributes.numbers(name) ?? [];
        break;
      case "string":
        found[name] = attributes.text(name, "");
        break;
      default:
        found[name] = attributes.number(name, 0);
    }
  }
  return found;
}
