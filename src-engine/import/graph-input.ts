import { Failure } from "../../src-protocol/failure.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import type { ValueInfoProto } from "../onnx_pb.js";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { elementTypeIn } from "./element-types.ts";
import { freeName } from "./free-dimensions.ts";
import type { ImportOptions } from "./import-model.ts";
import { type Known, known } from "./known.ts";
import { type ConstantBudget, checkedShape } from "./limits.ts";
import { printable } from "../printable.ts";

/**
 * An input of the file: an input of the graph, with its free dimensions fixed, or the numbers that
 * were given for it.
 *
 * @throws Failure `free-dimension`, `bad-shape`, `unsupported-type`, `model-too-large`
 */
export function readInput(
  { name, type: stated }: ValueInfoProto,
  { sizes = {}, fixed = {} }: ImportOptions,
  graph: GraphBuilder,
  budget: ConstantBudget,
): Tensor | Known {
  const what = `The input "${printable(name)}"`;
  if (stated?.value.case !== "tensorType" || !stated.value.value.shape) {
    throw new Failure(
      "unsupported-type",
      `${what} is not a tensor of known rank. Export the model with plain tensors as inputs.`,
    );
  }
  const { elemType, shape: dims } = stated.value.value;
  const type = elementTypeIn(elemType, graph.float);
  const shape = checkedShape(
    what,
    dims.dim.map((dim, axis) => {
      const key = freeName(name, dim, axis);
      if (key === null) return dim.value.case === "dimValue" ? dim.value.value : 0;
      const size = sizes[key];
      // Of what is empty, such as the cache of what came before, nothing is computed.
      const least = Object.hasOwn(fixed, name) ? 0 : 1;
      if (size !== undefined && Number.isSafeInteger(size) && size >= least) return size;
      throw new Failure(
        "free-dimension",
        `${what} has the free dimension "${printable(key)}". Say its size: shapes are fixed when a model is trained.`,
      );
    }),
  );
  const given = fixed[name];
  if (given === undefined) return graph.input(name, shape, type);
  const size = sizeOf(shape);
  budget.take(size);
  const values = valuesOf(given, shape);
  if (values.length !== size)
    throw new Failure(
      "bad-shape",
      `${what} was given ${values.length} numbers, where its shape [${shape}] needs ${size}.`,
    );
  return known(type, shape, values);
}

function valuesOf(given: number | readonly number[] | "positions", shape: Shape): readonly number[] {
  if (typeof given === "object") return given;
  const places = shape.at(-1) ?? 1;
  return Array.from({ length: sizeOf(shape) }, (_, i) => (given === "positions" ? i % places : given));
}
