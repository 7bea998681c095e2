import { Failure } from "../../src-protocol/failure.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ImportCall, Lowering } from "./import-call.ts";

/**
 * Recurrent layers, written out step by step: X [T, batch, in] and a state [batch, hidden] for each
 * direction. Formulas and the order of gates are those of ONNX's LSTM, GRU and RNN. The products with
 * X are one for all steps; those with the state are one a step.
 */

/** Steps of all directions together: each becomes a dozen nodes, and its gradient two dozen. */
const MOST_STEPS = 4096;

type Activation = (x: Tensor) => Tensor;

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  sigmoid: (x) => x.sigmoid(),
  tanh: (x) => x.tanh(),
  relu: (x) => x.graph.apply("Relu", [x]),
  softsign: (x) => x.graph.apply("Softsign", [x]),
  softplus: (x) => x.graph.apply("Softplus", [x]),
};

/** One direction of a layer. */
interface Direction {
  /** X · Wᵀ and all biases that are added to it, for each step: [batch, gates · hidden]. */
  readonly inputs: readonly Tensor[];
  /** Rᵀ [hidden, gates · hidden]. */
  readonly recurrent: Tensor;
  /** Of the state's product, [1, gates · hidden]; null: none. */
  readonly recurrentBias: Tensor | null;
  /** [batch, hidden]; null: zeros. */
  readonly state: Tensor | null;
  readonly cell: Tensor | null;
  /** Of an LSTM's gates i, o, f, each [1, hidden]. */
  readonly peepholes: readonly Tensor[] | null;
  readonly activations: readonly Activation[];
  /** Whether an LSTM keeps what it does not take in: f is 1 − i. */
  readonly isCoupled: boolean;
  /** For each step 1 where a sequence goes on, [batch, 1], and 0 behind its end; null: all go on. */
  readonly going: readonly (Tensor | null)[];
}

interface State {
  readonly state: Tensor;
  readonly cell: Tensor | null;
}

/** What comes of a step, from what it reads of X and the state before; null: it is zero. */
type Step = (x: Tensor, before: { state: Tensor | null; cell: Tensor | null }, its: Direction) => State;

interface Kind {
  readonly gates: number;
  readonly activations: readonly string[];
  step(call: ImportCall): Step;
}

const KINDS = {
  RNN: {
    gates: 1,
    activations: ["Tanh"],
    step: () => (x, before, its) => ({
      state: act(its, 0, withState(x, before.state, its)),
      cell: null,
    }),
  },
  GRU: { gates: 3, activations: ["Sigmoid", "Tanh"], step: gruStep },
  LSTM: { gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"], step: () => lstmStep },
} satisfies Record<string, Kind>;

function act({ activations }: Direction, index: number, x: Tensor): Tensor {
  return (activations[index] ?? ((same: Tensor) => same))(x);
}

/** Of all gates: the product with the state, added to that with X. */
function withState(x: Tensor, state: Tensor | null, { recurrent }: Direction): Tensor {
  return state === null ? x : x.add(state.matmul(recurrent));
}

function parts(x: Tensor, count: number): readonly Tensor[] {
  const size = x.dim(-1) / count;
  return x.split(
    x.rank - 1,
    Array.from({ length: count }, () => size),
  );
}

/** Gates i, o, f, c. */
function lstmStep(x: Tensor, before: { state: Tensor | null; cell: Tensor | null }, its: Direction): State {
  const [i, o, f, c] = parts(withState(x, before.state, its), 4) as [Tensor, Tensor, Tensor, Tensor];
  const [pi, po, pf] = its.peepholes ?? [];
  const seen = (gate: Tensor, cell: Tensor | null, peephole: Tensor | undefined): Tensor =>
    peephole === undefined || cell === null ? gate : gate.add(cell.mul(peephole));
  const taken = act(its, 0, seen(i, before.cell, pi));
  const forgetting = (cell: Tensor): Tensor =>
    its.isCoupled ? taken.neg().add(1) : act(its, 0, seen(f, cell, pf));
  const kept = before.cell && forgetting(before.cell).mul(before.cell);
  const added = taken.mul(act(its, 1, c));
  const cell = kept === null ? added : kept.add(added);
  return { cell, state: act(its, 0, seen(o, cell, po)).mul(act(its, 2, cell)) };
}

/** Gates z, r, h. With `linear_before_reset` the reset is of the state's product, else of the state. */
function gruStep({ attributes }: ImportCall): Step {
  const isLinear = attributes.number("linear_before_reset", 0) !== 0;
  return (x, { state: before }, its) => {
    const hidden = its.recurrent.dim(0);
    const [xz, xr, xh] = parts(x, 3) as [Tensor, Tensor, Tensor];
    const bias = its.recurrentBias && (parts(its.recurrentBias, 3)[2] as Tensor);
    const [rz, rr, rh] = parts(its.recurrent, 3) as [Tensor, Tensor, Tensor];
    const product = before && before.matmul(isLinear ? its.recurrent : rz.concat([rr], 1));
    const [hz = null, hr = null, hh = null] = product ? parts(product, isLinear ? 3 : 2) : [];
    const z = act(its, 0, hz ? xz.add(hz) : xz);
    const r = act(its, 0, hr ? xr.add(hr) : xr);
    const plus = (sum: Tensor | null, other: Tensor | null): Tensor | null =>
      sum && other ? sum.add(other) : (sum ?? other);
    const reset = isLinear
      ? multiplied(plus(hh, bias), r)
      : plus(before && before.mul(r).matmul(rh), bias?.expand([1, hidden]) ?? null);
    const h = act(its, 1, reset ? xh.add(reset) : xh);
    // (1 - z) · h + z · before
    const state = before ? h.add(z.mul(before.sub(h))) : h.sub(z.mul(h));
    return { state, cell: null };
  };
}

function multiplied(x: Tensor | null, by: Tensor): Tensor | null {
  return x && x.mul(by);
}

function refused({ op, name }: ImportCall, what: string): Failure {
  return new Failure(
    "unsupported-operator",
    `Node ${name} (${op}) is a recurrent layer ${what}. Export the model without that: recurrent layers are trained step by step.`,
  );
}

/** [directions, batch, hidden] with `layout` 0, [batch, directions, hidden] with 1; null: zeros. */
function initial(call: ImportCall, index: number, direction: number, isBatchFirst: boolean): Tensor | null {
  if (call.optional(index) === undefined) return null;
  const x = isBatchFirst ? call.tensor(index).transpose(1, 0, 2) : call.tensor(index);
  if (x.value?.every((value) => value === 0) === true) return null;
  return x.slice(0, direction, direction + 1).reshape(x.shape.slice(1));
}

function must(call: ImportCall, what: string, tensor: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(tensor.shape, shape)) return tensor;
  throw new Failure(
    "bad-shape",
    `The ${what} of a ${call.op} has the shape [${tensor.shape}], not [${shape}].`,
  );
}

/** Where each sequence goes on, by its length (`sequence_lens`), if it says one. */
function goingOn(call: ImportCall, steps: number, batch: number): readonly (Tensor | null)[] {
  const given = call.optional(4) && must(call, "sequence_lens", call.tensor(4), [batch]);
  const shortest = given ? Math.min(...(given.value ?? [0])) : steps;
  const { graph } = call;
  const lengths = given?.cast("int64").reshape([batch, 1]);
  return Array.from({ length: steps }, (_, step) =>
    lengths === undefined || step < shortest
      ? null
      : graph.apply("Greater", [lengths, graph.constant("int64", [], [step])]).cast(graph.float),
  );
}

function activationsOf(call: ImportCall, kind: Kind, directions: number): readonly (readonly Activation[])[] {
  const { attributes } = call;
  const bound = attributes.number("clip", 0);
  if (attributes.has("activation_alpha") || attributes.has("activation_beta"))
    throw refused(call, "whose activations have numbers of their own (activation_alpha, activation_beta)");
  const given = attributes.texts("activations");
  const names = given ?? Array.from({ length: directions }, () => kind.activations).flat();
  if (names.length !== directions * kind.activations.length)
    throw new Failure("bad-node", `A ${call.op} with ${names.length} activations.`);
  const all = names.map((name, index): Activation => {
    const found = Object.hasOwn(ACTIVATIONS, name.toLowerCase())
      ? ACTIVATIONS[name.toLowerCase()]
      : undefined;
    if (found === undefined) throw refused(call, `with the activation "${name.slice(0, 40)}"`);
    // As ONNX Runtime does it: an LSTM's gates are bounded, what it puts out of its cell is not.
    return bound > 0 && index % kind.activations.length < 2 ? (x) => found(bounded(x, bound)) : found;
  });
  const each = kind.activations.length;
  return Array.from({ length: directions }, (_, i) => all.slice(i * each, (i + 1) * each));
}

const DIRECTIONS: Readonly<Record<string, readonly boolean[]>> = {
  forward: [false],
  reverse: [true],
  bidirectional: [false, true],
};

function recurrent(call: ImportCall): readonly Tensor[] {
  const kind: Kind = KINDS[call.op as keyof typeof KINDS];
  const { attributes } = call;
  const isBatchFirst = attributes.number("layout", 0) === 1;
  const backwards = DIRECTIONS[attributes.text("direction", "forward")];
  if (backwards === undefined) throw new Failure("bad-node", "Its direction is unknown.");
  const given = call.tensor(0);
  if (given.rank !== 3) throw new Failure("bad-shape", `[${given.shape}] are no sequences.`);
  const x = isBatchFirst ? given.transpose(1, 0, 2) : given;
  const [steps = 0, batch = 0, width = 0] = x.shape;
  if (steps * backwards.length > MOST_STEPS)
    throw refused(call, `over ${steps} steps; at most ${MOST_STEPS / backwards.length} are written out`);
  const { gates } = kind;
  const hidden = call.tensor(2).dim(-1);
  const all = gates * hidden;
  const [count] = [backwards.length];
  const w = must(call, "W", call.tensor(1), [count, all, width]);
  const r = must(call, "R", call.tensor(2), [count, all, hidden]);
  const b = call.optional(3) && must(call, "B", call.tensor(3), [count, 2 * all]);
  const p = call.op === "LSTM" && call.optional(7) && must(call, "P", call.tensor(7), [count, 3 * hidden]);
  if (attributes.has("hidden_size") && attributes.number("hidden_size", 0) !== hidden)
    throw new Failure("bad-shape", `Its hidden_size is not the ${hidden} of its R.`);
  const going = goingOn(call, steps, batch);
  const activations = activationsOf(call, kind, count);
  const step = kind.step(call);
  const isGruBias = call.op === "GRU" && attributes.number("linear_before_reset", 0) !== 0;
  const rows = x.reshape([steps * batch, width]);

  const results = backwards.map((isBackwards, index) => {
    const own = (tensor: Tensor): Tensor => (count === 1 ? tensor : tensor.slice(0, index, index + 1));
    const matrix = (tensor: Tensor, columns: number): Tensor =>
      own(tensor).reshape([all, columns]).transpose(1, 0);
    const [wb = null, rb = null] = b ? parts(own(b), 2) : [];
    // A GRU that resets the product resets its bias too: only the other gates' are added to X's.
    const [, , zero] = rb && isGruBias ? parts(rb, 3) : [];
    const outside = zero && rb ? rb.sub(rb.mul(onLast(rb, hidden))) : rb;
    const product = rows.matmul(matrix(w, width));
    const biased = wb && outside ? product.add(wb.add(outside)) : product;
    const inputs = biased
      .reshape([steps, batch, all])
      .split(
        0,
        Array.from({ length: steps }, () => 1),
      )
      .map((each) => each.reshape([batch, all]));
    const direction: Direction = {
      inputs,
      recurrent: matrix(r, hidden),
      recurrentBias: isGruBias ? rb : null,
      state: initial(call, 5, index, isBatchFirst),
      cell: call.op === "LSTM" ? initial(call, 6, index, isBatchFirst) : null,
      peepholes: p ? parts(own(p), 3) : null,
      activations: activations[index] ?? [],
      isCoupled: attributes.number("input_forget", 0) !== 0,
      going,
    };
    return run(direction, step, isBackwards);
  });

  const states = results.map(({ states: its }) => stacked(its));
  const joined = (tensors: readonly Tensor[], axis: number): Tensor =>
    concatenated(
      tensors.map((tensor) => unsqueezed(tensor, axis)),
      axis,
    );
  // Y [T, directions, batch, hidden], or [batch, T, directions, hidden].
  const y = joined(states, 1);
  const last = joined(
    results.map(({ end }) => end.state),
    0,
  );
  const cells = results.flatMap(({ end: { cell } }) => cell ?? []);
  const outputs = [
    isBatchFirst ? y.transpose(2, 0, 1, 3) : y,
    isBatchFirst ? last.transpose(1, 0, 2) : last,
    ...(cells.length > 0 ? [joined(cells, 0)].map((c) => (isBatchFirst ? c.transpose(1, 0, 2) : c)) : []),
  ];
  return outputs;
}

/** 1 for the last gate's part, else 0. */
function onLast(bias: Tensor, hidden: number): Tensor {
  const size = bias.dim(-1);
  const values = Array.from({ length: size }, (_, i) => (i >= size - hidden ? 1 : 0));
  return bias.graph.constant(bias.type, [1, size], values);
}

function run(
  direction: Direction,
  step: Step,
  isBackwards: boolean,
): { states: readonly Tensor[]; end: State } {
  const places = direction.inputs.map((x, at) => ({ x, going: direction.going[at] ?? null }));
  const states: Tensor[] = [];
  let [state, cell] = [direction.state, direction.cell];
  for (const { x, going } of isBackwards ? places.toReversed() : places) {
    const next = step(x, { state, cell }, direction);
    // Behind its end a sequence puts out zeros, and its state stays.
    states.push(going === null ? next.state : next.state.mul(going));
    [state, cell] = [stayed(next.state, state, going), next.cell && stayed(next.cell, cell, going)];
  }
  if (state === null) throw new Failure("bad-shape", "A recurrent layer over no steps.");
  return { states: isBackwards ? states.reverse() : states, end: { state, cell } };
}

/** `next` where a sequence goes on, else what was `before`; null: zeros. */
function stayed(next: Tensor, before: Tensor | null, going: Tensor | null): Tensor {
  if (going === null) return next;
  const own = next.mul(going);
  return before === null ? own : own.add(before.mul(going.neg().add(1)));
}

function bounded(x: Tensor, bound: number): Tensor {
  const at = (value: number): Tensor => x.graph.constant(x.type, [], [value]);
  return x.graph.apply("Clip", [x, at(-bound), at(bound)]);
}

/** [batch, hidden] of each step as [T, batch, hidden]. */
function stacked(states: readonly Tensor[]): Tensor {
  return concatenated(
    states.map((state) => unsqueezed(state, 0)),
    0,
  );
}

function unsqueezed(tensor: Tensor, axis: number): Tensor {
  return tensor.reshape(tensor.shape.toSpliced(axis, 0, 1));
}

function concatenated(tensors: readonly Tensor[], axis: number): Tensor {
  const [first, ...others] = tensors as [Tensor, ...Tensor[]];
  return others.length === 0 ? first : first.concat(others, axis);
}

export const lowerRecurrent: Readonly<Record<string, Lowering>> = {
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
};
