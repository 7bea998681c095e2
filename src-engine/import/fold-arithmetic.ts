import { Failure } from "../../src-protocol/failure.ts";
import type { ElementType } from "../element-type.ts";
import { cos, exp, log, power, sin, tanh } from "../portable-math.ts";
import { axisOf, broadcast, type Shape, sizeOf } from "../shape.ts";
import type { Fold, FoldCall } from "./fold.ts";
import { broadcastIndex, coordinates, type Known, known, strides } from "./known.ts";
import { elementTypeIn } from "./element-types.ts";

type Compute = (...values: number[]) => number;

function elementwise(
  operands: readonly Known[],
  type: ElementType,
  budget: FoldCall["budget"],
  compute: Compute,
): Known[] {
  const shape = operands.map((operand) => operand.shape).reduce(broadcast, []);
  budget.take(sizeOf(shape));
  const steps = operands.map((operand) => strides(operand.shape));
  const values: number[] = [];
  for (const place of coordinates(shape)) {
    const of = operands.map(
      (operand, k) => operand.values[broadcastIndex(operand.shape, steps[k] ?? [], place)] ?? 0,
    );
    values.push(compute(...of));
  }
  return [known(type, shape, values)];
}

/** Of the elements of all inputs, which broadcast; `type`: of the result, else that of the first input. */
function each(compute: Compute, type?: ElementType): Fold {
  return ({ inputs, budget, at }) =>
    elementwise(
      inputs.map((_, i) => at(i)),
      type ?? at(0).type,
      budget,
      compute,
    );
}

/** Over axes given as an attribute (older operator sets) or as the second input. */
function reduce(combine: (values: readonly number[]) => number): Fold {
  return ({ inputs, attributes, budget, at }) => {
    const x = at(0);
    const given = inputs[1]?.values ?? attributes.numbers("axes") ?? [];
    if (given.length === 0 && attributes.number("noop_with_empty_axes", 0) === 1) return [x];
    const all = x.shape.map((_, axis) => axis);
    const axes = new Set(given.length === 0 ? all : given.map((axis) => axisOf(axis, x.shape.length)));
    const kept = x.shape.map((size, axis) => (axes.has(axis) ? 1 : size));
    const count = sizeOf(kept);
    budget.take(Math.max(count, x.values.length));
    const groups: number[][] = Array.from({ length: count }, () => []);
    const steps = strides(kept);
    let i = 0;
    for (const place of coordinates(x.shape)) {
      groups[broadcastIndex(kept, steps, place)]?.push(x.values[i] ?? 0);
      i++;
    }
    const shape =
      attributes.number("keepdims", 1) === 1 ? kept : x.shape.filter((_, axis) => !axes.has(axis));
    return [known(x.type, shape, groups.map(combine))];
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Products of stacks of matrices: tables of rotary positions are made with one. */
function matmul({ at, budget }: FoldCall): Known[] {
  const [given, other] = [at(0), at(1)];
  // A vector is a matrix of one row or column, which the result does not have.
  const a = given.shape.length === 1 ? { ...given, shape: [1, ...given.shape] } : given;
  const b = other.shape.length === 1 ? { ...other, shape: [...other.shape, 1] } : other;
  const [rows, inner, columns] = [a.shape.at(-2), a.shape.at(-1), b.shape.at(-1)];
  if (rows === undefined || inner === undefined || columns === undefined || b.shape.at(-2) !== inner) {
    throw new Failure("bad-shape", `Matrices [${a.shape}] and [${b.shape}] cannot be multiplied.`);
  }
  const stack = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape: Shape = [...stack, rows, columns];
  // The work, not only the result, is bounded.
  budget.take(sizeOf(shape) * Math.max(inner, 1));
  const [stepsA, stepsB] = [strides(a.shape), strides(b.shape)];
  const values: number[] = [];
  for (const place of coordinates(shape)) {
    const [row, column] = [place.at(-2) ?? 0, place.at(-1) ?? 0];
    const outer = place.slice(0, -2);
    const startA = broadcastIndex(a.shape.slice(0, -2), stepsA, outer) + row * inner;
    const startB = broadcastIndex(b.shape.slice(0, -2), stepsB, outer) + column;
    let total = 0;
    for (let k = 0; k < inner; k++)
      total += (a.values[startA + k] ?? 0) * (b.values[startB + k * columns] ?? 0);
    values.push(total);
  }
  const own = [...stack, ...(a === given ? [rows] : []), ...(b === other ? [columns] : [])];
  return [known(a.type, own, values)];
}

function pick(condition: number, yes: number, no: number): number {
  return condition === 0 ? no : yes;
}

/** Arithmetic, comparisons and reductions of known values. */
export const foldArithmetic: Readonly<Record<string, Fold>> = {
  Add: each((a, b = 0) => a + b),
  Sub: each((a, b = 0) => a - b),
  Mul: each((a, b = 0) => a * b),
  Div: each((a, b = 0) => a / b),
  Mod: (call) =>
    call.attributes.number("fmod", 0) === 1
      ? each((a, b = 0) => a % b)(call)
      : each((a, b = 0) => a - b * Math.floor(a / b))(call),
  Pow: each((a, b = 0) => power(a, b)),
  Min: each(Math.min),
  Max: each(Math.max),
  Sum: each((...values) => sum(values)),
  Neg: each((x) => -x),
  Abs: each(Math.abs),
  Sign: each(Math.sign),
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  Round: each((x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))),
  Sqrt: each(Math.sqrt),
  Reciprocal: each((x) => 1 / x),
  Exp: each(exp),
  Log: each(log),
  Cos: each(cos),
  Sin: each(sin),
  Tanh: each(tanh),
  Relu: each((x) => Math.max(x, 0)),
  Sigmoid: each((x) => 1 / (1 + exp(-x))),
  Clip: ({ inputs, attributes, budget, at }) => {
    const low = inputs[1] ?? known("float64", [], [attributes.number("min", Number.NEGATIVE_INFINITY)]);
    const high = inputs[2] ?? known("float64", [], [attributes.number("max", Number.POSITIVE_INFINITY)]);
    return elementwise([at(0), low, high], at(0).type, budget, (x, low = 0, high = 0) =>
      Math.min(Math.max(x, low), high),
    );
  },

  Equal: each((a, b = 0) => Number(a === b), "bool"),
  Greater: each((a, b = 0) => Number(a > b), "bool"),
  GreaterOrEqual: each((a, b = 0) => Number(a >= b), "bool"),
  Less: each((a, b = 0) => Number(a < b), "bool"),
  LessOrEqual: each((a, b = 0) => Number(a <= b), "bool"),
  And: each((a, b = 0) => a & b, "bool"),
  Or: each((a, b = 0) => a | b, "bool"),
  Xor: each((a, b = 0) => a ^ b, "bool"),
  Not: each((a) => 1 - a, "bool"),
  IsNaN: each((a) => Number(Number.isNaN(a)), "bool"),
  Where: (call) => each((c, yes = 0, no = 0) => pick(c, yes, no), call.at(1).type)(call),

  Cast: ({ at, attributes, float, budget }) =>
    elementwise([at(0)], elementTypeIn(attributes.number("to", 1), float), budget, (x) => x),
  CastLike: ({ at, budget }) => elementwise([at(0)], at(1).type, budget, (x) => x),

  MatMul: matmul,
  ReduceSum: reduce(sum),
  ReduceMean: reduce((values) => sum(values) / values.length),
  ReduceProd: reduce((values) => values.reduce((product, value) => product * value, 1)),
  ReduceMax: reduce((values) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)),
  ReduceMin: reduce((values) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),

  /** Along one axis: positions from an attention mask. */
  CumSum: ({ at, attributes, budget }) => {
    const x = at(0);
    const axis = axisOf(at(1).values[0] ?? 0, x.shape.length);
    if (attributes.number("exclusive", 0) === 1 || attributes.number("reverse", 0) === 1) {
      throw new Failure("unsupported-operator", "CumSum is read only in its plain form.");
    }
    budget.take(x.values.length);
    const step = strides(x.shape)[axis] ?? 1;
    const values = [...x.values];
    let i = 0;
    for (const place of coordinates(x.shape)) {
      if ((place[axis] ?? 0) > 0) values[i] = (values[i] ?? 0) + (values[i - step] ?? 0);
      i++;
    }
    return [known(x.type, x.shape, values)];
  },
};
