import { Failure } from "../../src-protocol/failure.ts";
import { axisOf } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import type { Branch } from "./branches.ts";
import { known } from "./known.ts";
import type { NodeAttributes } from "./node-attributes.ts";
import { type Apply, inShape, joined, piecesOf, Sequence, type Value } from "./sequence.ts";

/** Turns of one loop, and nodes that all loops of a model become. */
const MOST_TURNS = 4096;
export const MOST_LOOP_NODES = 50_000;

/** A Loop or Scan, and what it is given. */
export interface LoopCall {
  name: string;
  op: string;
  opset: number;
  attributes: NodeAttributes;
  inputs: readonly (Value | undefined)[];
  body: Branch;
  /** How many outputs the node has. */
  outputs: number;
  apply: Apply;
  /** What the body computes of these, in the order of its outputs. */
  turn(given: readonly Value[]): readonly Value[];
}

/**
 * A loop written out, turn by turn: as often as the model fixes it.
 *
 * @throws Failure `unsupported-operator` where data decide how often, `bad-node`, `model-too-large`
 */
export function writtenOut(call: LoopCall): readonly Value[] {
  return call.op === "Loop" ? loop(call) : scan(call);
}

function refused({ op, name }: LoopCall, why: string): Failure {
  return new Failure(
    "unsupported-operator",
    `Node ${name} (${op}) is a loop ${why}. Loops are trained written out, turn by turn: export the model with a fixed number of turns, or unrolled (Keras: unroll=True).`,
  );
}

function single(call: LoopCall, i: number, what: string): number | null {
  const value = call.inputs[i];
  if (value === undefined) return null;
  if (value instanceof Tensor || value instanceof Sequence || value.values.length !== 1)
    throw refused(call, `whose ${what} the data decide`);
  return value.values[0] ?? 0;
}

function mustBe(value: Value | undefined, call: LoopCall): Value {
  if (value !== undefined) return value;
  throw new Failure("bad-node", `The loop ${call.name} is given too little.`);
}

function loop(call: LoopCall): readonly Value[] {
  const { inputs, body } = call;
  const turns = single(call, 0, "number of turns") ?? Infinity;
  let goesOn = (single(call, 1, "condition") ?? 1) !== 0;
  let states = inputs.slice(2).map((value) => mustBe(value, call));
  const count = states.length;
  if (body.inputs.length !== count + 2 || body.outputs.length < count + 1)
    throw new Failure("bad-node", `The body of the loop ${call.name} does not fit what it is given.`);
  const scanned: Value[][] = body.outputs.slice(count + 1).map(() => []);
  for (let turn = 0; goesOn && turn < turns; turn++) {
    if (turn >= MOST_TURNS) throw refused(call, `of more than ${MOST_TURNS} turns`);
    const results = call.turn([known("int64", [], [turn]), known("bool", [], [1]), ...states]);
    const [condition] = results;
    if (condition === undefined || condition instanceof Tensor || condition instanceof Sequence)
      throw refused(call, "that ends when its data say so");
    goesOn = condition.values[0] !== 0;
    states = results.slice(1, count + 1);
    for (const [i, value] of results.slice(count + 1).entries()) scanned[i]?.push(value);
  }
  return [...states, ...scanned.map((items) => stacked(call, items, 0, false))];
}

function scan(call: LoopCall): readonly Value[] {
  const { inputs, body, attributes, opset, apply } = call;
  if (opset < 9) throw refused(call, "of an operator set before 9");
  const given = inputs.map((value) => mustBe(value, call));
  const scans = attributes.number("num_scan_inputs", 0);
  const count = given.length - scans;
  if (!(scans >= 1) || count < 0 || body.inputs.length !== given.length || body.outputs.length < count)
    throw new Failure("bad-node", `The body of the loop ${call.name} does not fit what it is given.`);
  const axes = attributes.numbers("scan_input_axes");
  const directions = attributes.numbers("scan_input_directions");
  const pieces = given.slice(count).map((value, i) => {
    if (value instanceof Sequence) throw refused(call, "over a list");
    const axis = axisOf(axes?.[i] ?? 0, value.shape.length);
    const length = value.shape[axis] ?? 0;
    if (!(length >= 1 && length <= MOST_TURNS))
      throw refused(call, `of ${length} turns; 1 to ${MOST_TURNS} are written out`);
    const each = piecesOf(
      apply,
      value,
      axis,
      Array.from({ length }, () => 1),
    ).map((piece) => inShape(piece, piece.shape.toSpliced(axis, 1)));
    return (directions?.[i] ?? 0) === 1 ? each.toReversed() : each;
  });
  const turns = pieces[0]?.length ?? 0;
  if (pieces.some(({ length }) => length !== turns))
    throw new Failure("bad-node", `The loop ${call.name} goes over tensors of different lengths.`);
  let states: readonly Value[] = given.slice(0, count);
  const scanned: Value[][] = body.outputs.slice(count).map(() => []);
  for (let turn = 0; turn < turns; turn++) {
    const results = call.turn([...states, ...pieces.flatMap((each) => each[turn] ?? [])]);
    states = results.slice(0, count);
    for (const [i, value] of results.slice(count).entries()) scanned[i]?.push(value);
  }
  const outAxes = attributes.numbers("scan_output_axes");
  const outDirections = attributes.numbers("scan_output_directions");
  return [
    ...states,
    ...scanned.map((items, i) => stacked(call, items, outAxes?.[i] ?? 0, (outDirections?.[i] ?? 0) === 1)),
  ];
}

/** What each turn gave, along a new axis. */
function stacked(call: LoopCall, items: readonly Value[], axis: number, isBackwards: boolean): Value {
  const tensors = items.flatMap((each) => (each instanceof Sequence ? [] : [each]));
  const [first] = tensors;
  if (first === undefined || tensors.length !== items.length)
    throw refused(call, "that makes a list, or nothing, at each turn");
  const rank = first.shape.length + 1;
  return joined(call.apply, isBackwards ? tensors.toReversed() : tensors, axisOf(axis, rank), true);
}
