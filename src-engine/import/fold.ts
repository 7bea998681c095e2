import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import { foldArithmetic } from "./fold-arithmetic.ts";
import { foldShapes } from "./fold-shapes.ts";
import type { Known } from "./known.ts";
import type { ConstantBudget } from "./limits.ts";
import type { NodeAttributes } from "./node-attributes.ts";

/** An operator whose inputs are all known. */
export interface FoldCall {
  /** undefined: an optional input that was left out. */
  inputs: readonly (Known | undefined)[];
  attributes: NodeAttributes;
  /** Version of the default operator set of the file. */
  opset: number;
  /** How many outputs the node names. */
  outputs: number;
  float: FloatType;
  /** Must be asked before a result is made. */
  budget: ConstantBudget;
  /** Input `i`, which must be there. */
  at(i: number): Known;
}

export type Fold = (call: FoldCall) => Known[];

/**
 * What can be computed while importing: the operators with which exporters compute shapes, masks
 * and tables of positions. An operator that is missing here becomes a node of the graph.
 */
export const FOLDS: Readonly<Record<string, Fold>> = { ...foldShapes, ...foldArithmetic };

export function missingInput(op: string, i: number): Failure {
  return new Failure(
    "bad-model-file",
    `${op} lacks its input ${i}. The file is damaged, or of another ONNX version.`,
  );
}
