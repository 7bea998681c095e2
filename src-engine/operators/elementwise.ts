import { Failure } from "../../src-protocol/failure.ts";
import { ELEMENT_TYPES, elementTypeOf } from "../element-type.ts";
import { type Call, composite, int, primitive, type Pull, type TensorType } from "../operator.ts";
import { broadcast, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

export const same = ({ inputs: [x] }: Call<1>): TensorType[] => [x];
const broadcasted = ({ inputs: [a, b] }: Pick<Call<2>, "inputs">): TensorType[] => [
  { type: a.type, shape: broadcast(a.shape, b.shape) },
];
const compared = ({ inputs: [a, b] }: Call<2>): TensorType[] => [
  { type: "bool", shape: broadcast(a.shape, b.shape) },
];
const all = ({ inputs }: Call<"many">): TensorType[] => [
  {
    type: (inputs[0] as Tensor).type,
    shape: inputs.reduce<Shape>((shape, input) => broadcast(shape, input.shape), []),
  },
];

/** `x` where `condition` holds, 0 elsewhere. */
export function keptWhere(condition: Tensor, x: Tensor): Tensor {
  return condition.where(x, zero(x));
}

/** 0, of the type of `x`. */
export function zero(x: Tensor): Tensor {
  return x.graph.constant(x.type, [], [0]);
}

/** All inputs added up: not every provider has Sum. */
function total(inputs: readonly Tensor[]): Tensor {
  return inputs.reduce((sum, each) => sum.add(each));
}

/** Goes to the inputs that are the result; to equals in equal parts. */
function toTheChosen(inputs: readonly Tensor[], y: Tensor, dy: Tensor): (() => Tensor)[] {
  const chosen = (x: Tensor): Tensor => x.equal(y).cast(y.type);
  const share = (): Tensor => dy.div(total(inputs.map(chosen)));
  return inputs.map((x) => () => share().mul(chosen(x)));
}

/** xⁿ⁻¹·n, without a power where a product will do, and 0 for n = 0 even at x = 0. */
function powerSlope(x: Tensor, n: Tensor): Tensor {
  const known = n.value?.length === 1 ? n.value[0] : undefined;
  if (known === 0) return zero(x);
  if (known === 1) return x.graph.constant(x.type, [], [1]);
  if (known === 2) return x.mul(2);
  if (known === 3) return x.mul(x).mul(3);
  const slope = x.pow(n.sub(1)).mul(n);
  return known === undefined ? n.equal(0).where(zero(x), slope) : slope;
}

/** Elementwise arithmetic. Inputs broadcast; the walk sums their gradients back to their shapes. */
export const elementwise = {
  Add: primitive({ inputs: 2, infer: broadcasted, gradient: ({ dy }) => [() => dy, () => dy] }),
  Sub: primitive({ inputs: 2, infer: broadcasted, gradient: ({ dy }) => [() => dy, () => dy.neg()] }),
  Mul: primitive({
    inputs: 2,
    infer: broadcasted,
    gradient: ({ inputs: [a, b], dy }) => [() => dy.mul(b), () => dy.mul(a)],
  }),
  Div: primitive({
    inputs: 2,
    infer: broadcasted,
    gradient: ({ inputs: [, b], y, dy }) => [() => dy.div(b), () => dy.mul(y).div(b).neg()],
  }),
  /** The exponent may be of another type. Its own gradient needs a base of at least 0. */
  Pow: primitive({
    inputs: 2,
    infer: broadcasted,
    gradient: ({ inputs: [x, n], y, dy }) => [
      () => dy.mul(powerSlope(x, n.value?.length === 1 ? n : n.cast(x.type))),
      () => dy.mul(x.equal(0).where(zero(x), y.mul(x.log()))),
    ],
  }),
  Sum: composite({ inputs: "many", expand: ({ inputs }) => total(inputs) }),
  Mean: composite({ inputs: "many", expand: ({ inputs }) => total(inputs).mul(1 / inputs.length) }),
  Max: primitive({
    inputs: "many",
    infer: all,
    gradient: ({ inputs, y, dy }) => toTheChosen(inputs, y, dy),
  }),
  Min: primitive({
    inputs: "many",
    infer: all,
    gradient: ({ inputs, y, dy }) => toTheChosen(inputs, y, dy),
  }),
  /** `x` kept within bounds; at a bound the slope is 1, as in PyTorch. */
  Clip: primitive({
    inputs: "1-3",
    infer: ({ inputs: [x] }) => [x],
    gradient: ({ inputs: [x, least, most], y, dy }) => [
      () => keptWhere(x.equal(y), dy),
      ...(least ? [() => keptWhere(x.less(least), dy)] : []),
      ...(most ? [() => keptWhere(x.greater(most), dy)] : []),
    ],
  }),
  Where: primitive({
    inputs: 3,
    infer: ({ inputs: [condition, a, b] }) => [
      { type: a.type, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) },
    ],
    gradient: ({ inputs: [condition], dy }) => [
      null,
      () => keptWhere(condition, dy),
      () => condition.where(zero(dy), dy),
    ],
  }),

  /** What a division leaves, with the sign of `b`, or (fmod) of `a`. */
  Mod: primitive({
    inputs: 2,
    attributes: { fmod: int(0) },
    infer: (call) => {
      const [{ type }] = call.inputs;
      const { fmod } = call.attributes;
      if (fmod !== 1 && (fmod !== 0 || type.startsWith("float")))
        throw new Failure("bad-node", `A Mod of ${type} with fmod ${fmod}; of fractions it must be 1.`);
      return broadcasted(call);
    },
    gradient: ({ inputs: [a, b], y, dy }) => [() => dy, () => dy.mul(a.sub(y).div(b)).neg()],
  }),
  Identity: primitive({ inputs: 1, infer: same, gradient: ({ dy }) => [() => dy] }),
  Neg: primitive({ inputs: 1, infer: same, gradient: ({ dy }) => [() => dy.neg()] }),
  /** 0 at 0. */
  Abs: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [() => x.greater(0).where(dy, keptWhere(x.less(0), dy.neg()))],
  }),
  Exp: primitive({ inputs: 1, infer: same, gradient: ({ y, dy }) => [() => dy.mul(y)] }),
  Log: primitive({ inputs: 1, infer: same, gradient: ({ inputs: [x], dy }) => [() => dy.div(x)] }),
  Sqrt: primitive({ inputs: 1, infer: same, gradient: ({ y, dy }) => [() => dy.div(y.mul(2))] }),
  Reciprocal: primitive({ inputs: 1, infer: same, gradient: ({ y, dy }) => [() => dy.mul(y.mul(y)).neg()] }),
  Sin: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [(): Tensor => dy.mul(x.graph.apply("Cos", [x]))],
  }),
  Cos: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [(): Tensor => dy.mul(x.graph.apply("Sin", [x])).neg()],
  }),
  Erf: primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], dy }) => [() => dy.mul(x.mul(x).neg().exp()).mul(2 / Math.sqrt(Math.PI))],
  }),
  /** Between numbers with a fraction; what becomes a whole number or a condition has no gradient. */
  Cast: primitive({
    inputs: 1,
    attributes: { to: int(ELEMENT_TYPES.float32.onnx), saturate: int(1) },
    infer: ({ inputs: [x], attributes }) => [
      { type: elementTypeOf(attributes.to) ?? x.type, shape: x.shape },
    ],
    gradient: ({ inputs: [x], y, dy }): readonly Pull[] =>
      [x, y].every(({ type }) => type.startsWith("float")) ? [() => dy.cast(x.type)] : [null],
  }),

  // Constant between jumps: no gradient.
  Sign: primitive({ inputs: 1, infer: same, gradient: () => [null] }),
  Floor: primitive({ inputs: 1, infer: same, gradient: () => [null] }),
  Ceil: primitive({ inputs: 1, infer: same, gradient: () => [null] }),
  Round: primitive({ inputs: 1, infer: same, gradient: () => [null] }),

  Equal: primitive({ inputs: 2, infer: compared }),
  Greater: primitive({ inputs: 2, infer: compared }),
  GreaterOrEqual: primitive({ inputs: 2, infer: compared }),
  Less: primitive({ inputs: 2, infer: compared }),
  LessOrEqual: primitive({ inputs: 2, infer: compared }),
  And: primitive({ inputs: 2, infer: compared }),
  Or: primitive({ inputs: 2, infer: compared }),
  Xor: primitive({ inputs: 2, infer: compared }),
  Not: primitive({ inputs: 1, infer: same }),
  IsNaN: primitive({ inputs: 1, infer: ({ inputs: [x] }) => [{ type: "bool", shape: x.shape }] }),
};
