import type { ElementType } from "./element-type.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** What one attribute holds, with the value it has when it is not given. */
type AttributeType =
  | { readonly kind: "int" | "float"; readonly default: number }
  | { readonly kind: "ints"; readonly default: readonly number[] }
  | { readonly kind: "string"; readonly default: string };
export type AttributeTypes = Readonly<Record<string, AttributeType>>;
export type AttributeValue = AttributeType["default"];
export type AttributeValues<A extends AttributeTypes> = {
  readonly [K in keyof A]: A[K]["kind"] extends "ints"
    ? readonly number[]
    : A[K]["kind"] extends "string"
      ? string
      : number;
};

/** ONNX attributes are typed: a whole-valued float must still be written as a float. */
export const int = (value: number) => ({ kind: "int", default: value }) as const;
export const float = (value: number) => ({ kind: "float", default: value }) as const;
export const ints = (...values: number[]) =>
  ({ kind: "ints", default: values as readonly number[] }) as const;
export const text = (value: string) => ({ kind: "string", default: value as string }) as const;

/**
 * How many inputs: a number, a range (the last ones may be left out), or any number. An optional
 * input in the middle is given its default's value instead.
 */
interface InputsOf {
  1: readonly [Tensor];
  2: readonly [Tensor, Tensor];
  3: readonly [Tensor, Tensor, Tensor];
  5: readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
  "1-2": readonly [Tensor, Tensor?];
  "1-3": readonly [Tensor, Tensor?, Tensor?];
  "2-3": readonly [Tensor, Tensor, Tensor?];
  "2-4": readonly [Tensor, Tensor, Tensor?, Tensor?];
  "3-4": readonly [Tensor, Tensor, Tensor, Tensor?];
  "3-5": readonly [Tensor, Tensor, Tensor, Tensor?, Tensor?];
  many: readonly Tensor[];
}
export type Arity = keyof InputsOf;

export interface TensorType {
  type: ElementType;
  shape: Shape;
}

/** An operator with the tensors it is used on. */
export interface Call<N extends Arity = Arity, A extends AttributeTypes = AttributeTypes> {
  inputs: InputsOf[N];
  attributes: AttributeValues<A>;
}

export interface GradientCall<N extends Arity, A extends AttributeTypes> extends Call<N, A> {
  /** The only, or the first, output. */
  y: Tensor;
  /** The loss's gradient with respect to `y`, of the same shape. */
  dy: Tensor;
  /** For operators of several outputs: one entry each, undefined where nothing depends on it. */
  outputs: readonly Tensor[];
  gradients: readonly (Tensor | undefined)[];
}

/**
 * The gradient with respect to one input, made only when it is needed: as a tensor, or added onto
 * the sum that the input's other uses gave, where the operator can do that for free (Gemm's C).
 * null: the operator is not differentiable in this input (indices, shapes, conditions).
 *
 * A gradient may have the shape that the input was broadcast to: the walk sums it back.
 */
export type Pull = (() => Tensor) | { onto: (sum: Tensor | undefined) => Tensor } | null;

/**
 * One row of the table: all that the engine knows about an operator.
 *
 * A *primitive* is an ONNX operator: `infer` gives the types of its outputs. A *composite* is
 * written in other operators by `expand`. One with a rule is differentiated as a whole, by that
 * better rule; one without is differentiated through the operators it is written in.
 * Rules may state again what the forward computed: equal nodes are made once (see `GraphBuilder`).
 */
export interface Operator<N extends Arity = Arity, A extends AttributeTypes = AttributeTypes> {
  inputs: N;
  attributes: A;
  /** ONNX domain; standard operators have "". */
  domain: string;
  infer: ((call: Call<N, A>) => readonly TensorType[]) | null;
  expand: ((call: Call<N, A>) => Tensor | readonly Tensor[]) | null;
  /**
   * null: a composite's parts are differentiated; of a primitive, nothing can be. A rule that gives
   * null has nothing to say about these attributes: the node is refused.
   */
  gradient: ((call: GradientCall<N, A>) => readonly Pull[] | null) | null;
}

/** Rows by the operator's name. Whoever builds, walks or writes a graph is given one. */
export type OperatorTable = Readonly<Record<string, Operator>>;

interface OperatorRow<N extends Arity, A extends AttributeTypes> {
  inputs: N;
  attributes?: A;
  domain?: string;
  gradient?: (call: GradientCall<N, A>) => readonly Pull[] | null;
}

/** A row for an ONNX operator. */
export function primitive<N extends Arity, const A extends AttributeTypes = Record<never, never>>(
  row: OperatorRow<N, A> & { infer: (call: Call<N, A>) => readonly TensorType[] },
): Operator {
  return erase({ domain: "", attributes: {} as A, gradient: null, expand: null, ...row });
}

/** A row for an operator that is written in others. */
export function composite<N extends Arity, const A extends AttributeTypes = Record<never, never>>(
  row: OperatorRow<N, A> & { expand: (call: Call<N, A>) => Tensor | readonly Tensor[] },
): Operator {
  return erase({ domain: "", attributes: {} as A, gradient: null, infer: null, ...row });
}

/** The builder checks arity and attributes before it calls a row, so rows may be typed exactly. */
function erase<N extends Arity, A extends AttributeTypes>(row: Operator<N, A>): Operator {
  return row as unknown as Operator;
}
