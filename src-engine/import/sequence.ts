import { Failure } from "../../src-protocol/failure.ts";
import { axisOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { type Known, known, knownIndices } from "./known.ts";
import { NodeAttributes } from "./node-attributes.ts";

/** A list of tensors, as ONNX's sequence operators make and read it. It is gone when the model is imported. */
export class Sequence {
  readonly items: readonly (Tensor | Known)[];

  constructor(items: readonly (Tensor | Known)[]) {
    this.items = items;
  }
}

export type Value = Tensor | Known | Sequence;

/** Applies a standard operator to values, known ones too. */
export type Apply = (
  op: string,
  attributes: NodeAttributes,
  inputs: readonly (Tensor | Known | undefined)[],
  outputs: number,
) => readonly (Tensor | Known)[];

/** A node that makes or reads a list. */
export interface SequenceCall {
  name: string;
  op: string;
  attributes: NodeAttributes;
  inputs: readonly (Value | undefined)[];
  apply: Apply;
}

/** Of one operator, as many pieces as a list may have. */
const MOST_ITEMS = 65_536;

function refused({ op, name }: SequenceCall, why: string): Failure {
  return new Failure(
    "unsupported-operator",
    `Node ${name} (${op}) ${why}. Lists of tensors are read at places that the model fixes: give it fixed sizes and places, or join what it lists before exporting.`,
  );
}

function listOf(call: SequenceCall): readonly (Tensor | Known)[] {
  const [list] = call.inputs;
  if (list instanceof Sequence) return list.items;
  throw refused(call, "reads a list where there is a tensor");
}

function tensorAt(call: SequenceCall, i: number): Tensor | Known {
  const value = call.inputs[i];
  if (value !== undefined && !(value instanceof Sequence)) return value;
  throw refused(call, value === undefined ? "lacks an input" : "reads a tensor where there is a list");
}

function knownAt(call: SequenceCall, i: number): Known | undefined {
  const value = call.inputs[i];
  if (value === undefined || !(value instanceof Tensor || value instanceof Sequence)) return value;
  throw refused(call, "takes a place or a size from the model's data");
}

/** A place in a list of so many; negative ones count from the end. */
function placeIn(call: SequenceCall, i: number, size: number, end = size): number {
  const given = knownAt(call, i)?.values[0] ?? end - 1;
  const place = given < 0 ? given + size : given;
  if (Number.isInteger(place) && place >= 0 && place < end) return place;
  throw refused(call, `reads place ${given} of a list of ${size}`);
}

/** One axis of `x` in pieces of these sizes. */
export function piecesOf(
  apply: Apply,
  x: Tensor | Known,
  axis: number,
  sizes: readonly number[],
): readonly (Tensor | Known)[] {
  if (sizes.length === 1) return [x];
  return apply("Split", NodeAttributes.of({ axis }), [x, knownIndices(sizes)], sizes.length);
}

/** `x` in another shape of the same size. */
export function inShape(x: Tensor | Known, shape: readonly number[]): Tensor | Known {
  return x instanceof Tensor ? x.reshape(shape) : known(x.type, shape, x.values);
}

/** Joined along an axis that they have, or along a new one. */
export function joined(
  apply: Apply,
  items: readonly (Tensor | Known)[],
  axis: number,
  isNew: boolean,
): Tensor | Known {
  const shaped = isNew ? items.map((each) => inShape(each, each.shape.toSpliced(axis, 0, 1))) : items;
  const [first] = shaped;
  if (first !== undefined && shaped.length === 1) return first;
  const [result] = apply("Concat", NodeAttributes.of({ axis }), shaped, 1);
  if (result === undefined) throw new RangeError("Concat gave nothing");
  return result;
}

function split(call: SequenceCall): Sequence {
  const { attributes, apply } = call;
  const x = tensorAt(call, 0);
  const axis = axisOf(attributes.number("axis", 0), x.shape.length);
  const size = x.shape[axis] ?? 0;
  const given = knownAt(call, 1);
  const each = given === undefined ? 1 : (given.values[0] ?? 0);
  const isCut = given === undefined || given.shape.length === 0;
  if (isCut && (!(each >= 1) || size / each > MOST_ITEMS))
    throw refused(call, `cuts ${size} into pieces of ${each}`);
  const sizes = isCut
    ? Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each))
    : given.values;
  const pieces = piecesOf(apply, x, axis, sizes);
  if (given !== undefined || attributes.number("keepdims", 1) === 1) return new Sequence(pieces);
  return new Sequence(pieces.map((piece) => inShape(piece, piece.shape.toSpliced(axis, 1))));
}

const OPERATORS: Readonly<Record<string, (call: SequenceCall) => Value>> = {
  SequenceEmpty: () => new Sequence([]),
  SequenceConstruct: (call) => new Sequence(call.inputs.map((_, i) => tensorAt(call, i))),
  SplitToSequence: split,
  SequenceLength: (call) => known("int64", [], [listOf(call).length]),
  SequenceAt: (call) => {
    const list = listOf(call);
    return list[placeIn(call, 1, list.length)] as Tensor | Known;
  },
  SequenceInsert: (call) => {
    const list = listOf(call);
    if (list.length >= MOST_ITEMS) throw refused(call, `makes a list of more than ${MOST_ITEMS}`);
    return new Sequence(list.toSpliced(placeIn(call, 2, list.length, list.length + 1), 0, tensorAt(call, 1)));
  },
  SequenceErase: (call) => {
    const list = listOf(call);
    return new Sequence(list.toSpliced(placeIn(call, 1, list.length), 1));
  },
  ConcatFromSequence: (call) => {
    const list = listOf(call);
    const isNew = call.attributes.number("new_axis", 0) === 1;
    const [first] = list;
    if (first === undefined) throw refused(call, "joins an empty list");
    const rank = first.shape.length + Number(isNew);
    return joined(call.apply, list, axisOf(call.attributes.number("axis", 0), rank), isNew);
  },
};

export function isSequenceOperator(op: string): boolean {
  return Object.hasOwn(OPERATORS, op);
}

/** @throws Failure `unsupported-operator` where a list is read at places that data decide */
export function sequenceResult(call: SequenceCall): Value {
  const operator = OPERATORS[call.op];
  if (operator === undefined) throw new RangeError(`${call.op} is no operator of lists`);
  return operator(call);
}
