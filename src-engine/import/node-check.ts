import { Failure } from "../../src-protocol/failure.ts";
import type { NodeProto } from "../onnx_pb.js";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { missingInput } from "./fold.ts";
import { type Known, knownIndices } from "./known.ts";
import { checkedShape } from "./limits.ts";
import { nodePlace } from "./model-bytes.ts";
import { printable } from "../printable.ts";
import type { NodeAttributes } from "./node-attributes.ts";

/** Says of which node a refusal is that does not know it. */
export function named<T>(node: NodeProto, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Failure) || (error.code !== "bad-shape" && error.code !== "bad-node")) throw error;
    throw new Failure(
      error.code,
      `Node ${nodePlace(node)} (${printable(node.opType)}) does not fit its inputs. ${error.message}`.slice(
        0,
        2000,
      ),
      { cause: error },
    );
  }
}

/** @throws Failure for a result that is empty, or larger than a tensor may be */
export function mustHaveElements(node: string, { shape }: Tensor): void {
  const checked = checkedShape(`The result of node ${node}`, shape);
  if (checked.includes(0))
    throw new Failure(
      "bad-shape",
      `The result of node ${node} is empty: its shape is [${shape}]. The model does not fit the sizes that were given for it.`,
    );
}

/** @throws Failure `bad-model-file` */
export function missing(op: string, i: number): never {
  throw missingInput(op, i);
}

/** What Shape gives: all sizes, or those of a range of axes. */
export function shapeOf(shape: Shape, attributes: NodeAttributes): Known {
  const start = attributes.number("start", 0);
  const end = attributes.number("end", shape.length);
  return knownIndices(shape.slice(start, end));
}
