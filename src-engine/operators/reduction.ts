import { Failure } from "../../src-protocol/failure.ts";
import { type Call, int, primitive, type TensorType } from "../operator.ts";
import { axisOf, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { zero } from "./elementwise.ts";

type Reduction = Call<"1-2", typeof attributes>;

const attributes = { keepdims: int(1), noop_with_empty_axes: int(0) };

/** The axes that are reduced: all of them if none are given. */
function reducedAxes({ inputs: [x, axes], attributes }: Reduction): ReadonlySet<number> {
  if (axes && !axes.value) {
    throw new Failure(
      "bad-shape",
      "The axes of a reduction are computed by the graph. Fix them to constants.",
    );
  }
  const given = axes?.value ?? [];
  if (given.length > 0) return new Set(given.map((axis) => axisOf(axis, x.rank)));
  return new Set(attributes.noop_with_empty_axes === 1 ? [] : x.shape.keys());
}

/** The shape of the result where reduced axes stay with size 1. */
function keptShape(call: Reduction): number[] {
  const axes = reducedAxes(call);
  return call.inputs[0].shape.map((size, axis) => (axes.has(axis) ? 1 : size));
}

function reduced(call: Reduction): TensorType[] {
  const axes = reducedAxes(call);
  const [x] = call.inputs;
  const shape =
    call.attributes.keepdims === 1 ? keptShape(call) : x.shape.filter((_, axis) => !axes.has(axis));
  return [{ type: x.type, shape }];
}

/** A reduction whose slope at `x` is `slope(x, y)`, with `y` as it broadcasts to `x`. */
function reduction(slope: (x: Tensor, y: Tensor, dy: Tensor) => Tensor) {
  return primitive({
    inputs: "1-2",
    attributes,
    infer: reduced,
    gradient: (call) => {
      const kept = keptShape(call);
      const [x] = call.inputs;
      return [() => slope(x, call.y.reshape(kept), call.dy.reshape(kept)).expand(x.shape), null];
    },
  });
}

/** To every position of the extreme value in equal parts. */
function toTheExtreme(x: Tensor, y: Tensor, dy: Tensor): Tensor {
  const chosen = x.equal(y).cast(x.type);
  const axes = x.shape.flatMap((size, axis) => (size !== y.shape[axis] ? [axis] : []));
  return chosen.mul(axes.length > 0 ? dy.div(chosen.sum(...axes)) : dy);
}

/**
 * To each factor the product of the others. Zeros are counted apart: with one of them only its own
 * place has a slope, with more none.
 */
function toTheFactors(x: Tensor, y: Tensor, dy: Tensor): Tensor {
  const { graph } = x;
  const isZero = x.equal(0);
  const zeros = isZero.cast(x.type);
  const axes = x.shape.flatMap((size, axis) => (size !== y.shape[axis] ? [axis] : []));
  const one = graph.constant(x.type, [], [1]);
  const factors = isZero.where(one, x);
  if (axes.length === 0) return dy.expand(x.shape);
  const product = graph.apply("ReduceProd", [factors, graph.indices(axes)]);
  const isTheOnlyZero = zeros.sum(...axes).equal(zeros);
  return isTheOnlyZero.where(dy.mul(product.div(factors)), graph.constant(x.type, [], [0]));
}

/** Operators along axes. The axes are a constant input, as in ONNX from opset 13 and 18 on. */
export const reductions = {
  ReduceSum: reduction((_x, _y, dy) => dy),
  ReduceMean: reduction((x, y, dy) => dy.mul(sizeOf(y.shape) / sizeOf(x.shape))),
  ReduceMax: reduction(toTheExtreme),
  ReduceMin: reduction(toTheExtreme),
  ReduceSumSquare: reduction((x, _y, dy) => x.mul(dy.mul(2))),
  ReduceProd: reduction(toTheFactors),
  ReduceL1: reduction((x, _y, dy) => x.greater(0).where(dy, x.less(0).where(dy.neg(), zero(x)))),
  ReduceLogSum: reduction((_x, y, dy) => dy.div(y.exp())),
  // At a row of zeros the length has no slope: 0 is taken, as PyTorch takes it.
  ReduceL2: reduction((x, y, dy) => x.mul(y.equal(0).where(zero(y), dy.div(y)))),
  ReduceLogSumExp: reduction((x, y, dy) => x.sub(y).exp().mul(dy)),
  Softmax: primitive({
    inputs: 1,
    attributes: { axis: int(-1) },
    infer: ({ inputs: [x], attributes: { axis } }) => {
      axisOf(axis, x.rank);
      return [x];
    },
    gradient: ({ attributes: { axis }, y, dy }) => [() => y.mul(dy.sub(dy.mul(y).sum(axis)))],
  }),
  LogSoftmax: primitive({
    inputs: 1,
    attributes: { axis: int(-1) },
    infer: ({ inputs: [x], attributes: { axis } }) => {
      axisOf(axis, x.rank);
      return [x];
    },
    gradient: ({ attributes: { axis }, y, dy }) => [() => dy.sub(y.exp().mul(dy.sum(axis)))],
  }),
};
