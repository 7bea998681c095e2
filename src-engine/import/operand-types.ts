import { Failure } from "../../src-protocol/failure.ts";
import type { ElementType } from "../element-type.ts";
import { isFloat } from "./element-types.ts";

/** Operators that also move, compare or count whole numbers; all others compute with floats only. */
const ANY_TYPE: ReadonlySet<string> = new Set(
  (
    "Identity Reshape Flatten Squeeze Unsqueeze Transpose Expand Tile Concat Split Slice Gather GatherElements GatherND " +
    "ScatterElements ScatterND Trilu Pad Cast CastLike Where Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Not " +
    "Add Sub Mul Div Mod Min Max Clip Neg Abs Sign Sum Dropout DepthToSpace SpaceToDepth OneHot TopK ArgMax ArgMin CumSum " +
    "ReduceSum ReduceProd ReduceMax ReduceMin"
  ).split(" "),
);

/** Operators whose inputs are all of one type. */
const ONE_TYPE: ReadonlySet<string> = new Set(
  (
    "Add Sub Mul Div Mod Min Max Sum Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Concat Clip MatMul Gemm Conv " +
    "ConvTranspose BatchNormalization LayerNormalization RMSNormalization SimplifiedLayerNormalization InstanceNormalization " +
    "GroupNormalization PRelu"
  ).split(" "),
);

/** Operators whose second input are places in the first, or an axis of it. */
const INDEXED: ReadonlySet<string> = new Set([
  "Gather",
  "GatherElements",
  "GatherND",
  "ScatterElements",
  "ScatterND",
  "CumSum",
]);

/** @throws Failure `unsupported-type` where an operator would compute with numbers of the wrong type */
export function checkTypes(op: string, name: string, inputs: readonly { type: ElementType }[]): void {
  const [first, second] = inputs;
  if (!first) return;
  const other = ONE_TYPE.has(op) ? inputs.find(({ type }) => type !== first.type) : undefined;
  if (other) {
    throw new Failure(
      "unsupported-type",
      `Node ${name} (${op}) computes with ${first.type} and ${other.type} together. The file is damaged, or needs a Cast there.`,
    );
  }
  if (INDEXED.has(op) && second?.type !== "int32" && second?.type !== "int64") {
    throw new Failure(
      "unsupported-type",
      `Node ${name} (${op}) chooses places by ${second?.type ?? "nothing"} instead of whole numbers. The file is damaged, or needs a Cast there.`,
    );
  }
  if (isFloat(first.type) || ANY_TYPE.has(op)) return;
  throw new Failure(
    "unsupported-type",
    `Node ${name} (${op}) computes with ${first.type}. The engine does that with floats only: cast them first.`,
  );
}
