import { Failure } from "../../src-protocol/failure.ts";
import type { Tensor } from "../tensor.ts";
import { NodeAttributes } from "./node-attributes.ts";
import { asRow, type ImportCall, type Lowering } from "./import-call.ts";

/** Of an axis that a window moves along, and of whatever a file says about windows. */
const LARGEST_WINDOWED = 65_536;

/** The rules of these list the positions of an axis: its size is bounded first. */
function bounded({ op }: ImportCall, sizes: readonly number[]): void {
  const most = Math.max(0, ...sizes.map(Math.abs));
  if (most <= LARGEST_WINDOWED) return;
  throw new Failure(
    "model-too-large",
    `${op} along an axis, or with a window, of ${most}; at most ${LARGEST_WINDOWED} is taken.`,
  );
}

/** How many numbers each attribute has for each axis that the window moves along. */
const PER_AXIS = { kernel_shape: 1, strides: 1, dilations: 1, output_padding: 1, output_shape: 1, pads: 2 };
const PADDINGS: ReadonlySet<string> = new Set(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);

/** What a file says about its window, held against the input, as the runtime does. */
function checkWindow(call: ImportCall, x: Tensor): void {
  const { attributes, op } = call;
  const space = x.rank - 2;
  const refused = (why: string): Failure =>
    new Failure("bad-node", `The window of ${op} does not fit a tensor of shape [${x.shape}]: ${why}.`);
  if (space < 1) throw refused("there is no axis after batch and channels");
  for (const [name, each] of Object.entries(PER_AXIS)) {
    const given = attributes.numbers(name);
    if (given && given.length !== each * space) throw refused(`its ${name} are [${given}]`);
    if ((name === "strides" || name === "dilations") && given?.some((step) => step < 1))
      throw refused(`its ${name} [${given}] are not all above 0`);
  }
  const weights = op.startsWith("Conv") ? call.tensor(1) : undefined;
  const kernel = attributes.numbers("kernel_shape") ?? weights?.shape.slice(2);
  if (!kernel) throw refused("it has no kernel_shape");
  if (weights && (weights.rank !== x.rank || kernel.some((size, i) => size !== weights.dim(i + 2))))
    throw refused(`its kernel is [${kernel}], its weights are [${weights.shape}]`);
  const automatic = attributes.text("auto_pad", "NOTSET");
  if (!PADDINGS.has(automatic)) throw refused("its auto_pad is unknown");
  if (automatic.startsWith("SAME") && attributes.numbers("dilations")?.some((each) => each !== 1))
    throw refused("it is padded automatically, and dilated");
  const pads = attributes.numbers("pads") ?? [];
  if (weights && automatic !== "NOTSET" && attributes.has("pads"))
    throw refused("it is padded automatically, and says its pads");
  if (weights && pads.some((each) => each < 0)) throw refused(`its pads are [${pads}]`);
  const extra = attributes.numbers("output_padding") ?? [];
  if (extra.some((each, i) => each < 0 || each >= (attributes.numbers("strides")?.[i] ?? 1)))
    throw refused(`its output_padding [${extra}] is not less than its strides`);
  if (!weights && pads.some((pad, i) => pad >= (kernel[i % space] ?? 0)))
    throw refused(`its pads [${pads}] are not smaller than the window`);
}

/** ONNX Runtime's kernels have no more axes that a window moves along. */
const MOST_AXES = 3;

/**
 * A window of 1 along an axis leaves it alone: such axes go into the batch, where there are more than the
 * kernels have. JAX and Keras write poolings over batch and channels too.
 */
function withoutIdleAxes(call: ImportCall, x: Tensor): readonly Tensor[] {
  const { attributes, op, outputs, name } = call;
  const space = x.rank - 2;
  const weights = op.startsWith("Conv") ? call.tensor(1) : undefined;
  const kernel = attributes.numbers("kernel_shape") ?? weights?.shape.slice(2) ?? [];
  const at = (key: keyof typeof PER_AXIS, axis: number, otherwise: number): number =>
    attributes.numbers(key)?.[axis] ?? otherwise;
  const isIdle = (axis: number): boolean =>
    kernel[axis] === 1 &&
    at("strides", axis, 1) === 1 &&
    at("pads", axis, 0) === 0 &&
    at("pads", axis + space, 0) === 0 &&
    at("output_padding", axis, 0) === 0 &&
    !attributes.has("output_shape");
  const axes = Array.from({ length: space }, (_, axis) => axis);
  const [idle, active] = [axes.filter(isIdle), axes.filter((axis) => !isIdle(axis))];
  if (active.length > MOST_AXES || outputs > 1)
    throw new Failure(
      "unsupported-operator",
      `Node ${name} (${op}) moves a window along ${active.length} axes${outputs > 1 ? " and gives where the greatest were" : ""}; at most ${MOST_AXES} are taken. Reshape some of them into the batch before exporting.`,
    );
  // One axis stays, if all are idle.
  const kept = active.length > 0 ? active : idle.splice(-1);
  const own = (values: readonly number[] | undefined): readonly number[] | undefined =>
    values && kept.map((axis) => values[axis] ?? 0);
  const order = [0, ...idle.map((axis) => axis + 2), 1, ...kept.map((axis) => axis + 2)];
  const moved = x.transpose(...order);
  const batch = moved.shape.slice(0, idle.length + 1);
  const flat = moved.reshape([
    batch.reduce((product, size) => product * size, 1),
    ...moved.shape.slice(idle.length + 1),
  ]);
  const given: Record<string, number | readonly number[] | string> = {};
  for (const key of attributes.names) {
    if (key === "pads") {
      const pads = attributes.numbers("pads");
      given["pads"] = [...(own(pads) ?? []), ...(own(pads?.slice(space)) ?? [])];
    } else if (Object.hasOwn(PER_AXIS, key)) given[key] = own(attributes.numbers(key)) ?? [];
    else if (key === "auto_pad") given[key] = attributes.text(key, "");
    else given[key] = attributes.number(key, 0);
  }
  const w = weights?.reshape([...weights.shape.slice(0, 2), ...kept.map((axis) => weights.dim(axis + 2))]);
  const operand = (i: number): Tensor | undefined => (i === 0 ? flat : i === 1 ? w : call.optional(i));
  const [y] = asRow({
    ...call,
    attributes: NodeAttributes.of(given),
    optional: operand,
    tensor: (i) => operand(i) ?? call.tensor(i),
  });
  if (!y) return [];
  const spread = y.reshape([...batch, ...y.shape.slice(1)]);
  return [spread.transpose(...order.map((_, axis) => order.indexOf(axis)))];
}

/** Convolutions and poolings. */
function windowed(call: ImportCall): readonly Tensor[] {
  const x = call.tensor(0);
  bounded(call, [
    ...x.shape,
    ...Object.keys(PER_AXIS).flatMap((name) => call.attributes.numbers(name) ?? []),
  ]);
  checkWindow(call, x);
  const bias = call.op.startsWith("Conv") ? call.optional(2) : undefined;
  if (bias && bias.rank !== 1)
    throw new Failure("bad-shape", `The bias of a convolution has the shape [${bias.shape}].`);
  const [y] = x.rank - 2 > MOST_AXES ? withoutIdleAxes(call, x) : asRow(call);
  if (!y || (bias && bias.dim(0) !== y.dim(1)))
    throw new Failure("bad-shape", `${y?.dim(1)} channels do not fit a bias of [${bias?.shape}].`);
  return [y];
}

/** What is reflected must be there, after what negative amounts cut. */
function checkReflection(
  x: Tensor,
  amounts: readonly number[],
  axes = [...x.shape.keys()] as readonly number[],
): void {
  for (const [i, axis] of axes.entries()) {
    const along = [amounts[i] ?? 0, amounts[axes.length + i] ?? 0];
    const left = along.reduce((size, amount) => size + Math.min(amount, 0), x.dim(axis));
    if (Math.max(...along) > 0 && Math.max(...along) >= left)
      throw new Failure(
        "bad-shape",
        `A Pad reflects ${Math.max(...along)} of the ${left} positions of an axis.`,
      );
  }
}

const PAD_MODES: ReadonlySet<string> = new Set(["constant", "edge", "reflect", "wrap"]);

/** Amounts and value are attributes before operator set 11, then inputs. */
function pad(call: ImportCall): readonly Tensor[] {
  const { graph, attributes } = call;
  const x = call.tensor(0);
  const amounts = call.known(1)?.values ?? attributes.numbers("pads") ?? [];
  bounded(call, [...x.shape, ...amounts]);
  const axes = call.known(3);
  if (amounts.length !== 2 * (axes?.values.length ?? x.rank))
    throw new Failure(
      "bad-shape",
      `A Pad of [${x.shape}] has the amounts [${amounts}], not two for each axis.`,
    );
  const mode = attributes.text("mode", "constant");
  if (!PAD_MODES.has(mode)) throw new Failure("bad-node", "A Pad of an unknown mode.");
  if (mode === "reflect") checkReflection(x, amounts, axes?.values);
  const value = call.optional(2) ?? graph.constant(x.type, [], [attributes.number("value", 0)]);
  if (value.type !== x.type || value.rank > 1 || value.shape[0] === 0)
    throw new Failure("bad-shape", `A Pad of ${x.type} with ${value.type} of shape [${value.shape}].`);
  const named = axes ? [graph.indices(axes.values)] : [];
  return graph.applyAll("Pad", [x, graph.indices(amounts), value.reshape([]), ...named], {
    mode,
  });
}

/**
 * Before operator set 11 a Resize (before 10: Upsample) knows nothing but ratios, takes positions
 * from the start of the axis, and where it makes an axis smaller the next one in place of the last.
 */
function oldResize(call: ImportCall): readonly Tensor[] {
  const { graph, attributes, known, tensor } = call;
  const scales = known(1)?.values ?? attributes.numbers("scales") ?? [];
  const mode = attributes.text("mode", "nearest");
  const isUp = scales.every((scale) => scale >= 1);
  if (mode === "nearest" && !isUp && scales.some((scale) => scale > 1))
    throw new Failure(
      "bad-node",
      "It makes one axis larger and another one smaller. Export it with a newer opset.",
    );
  const none = graph.constant(graph.float, [0], []);
  return graph.applyAll("Resize", [tensor(0), none, graph.constant(graph.float, [scales.length], scales)], {
    mode: mode === "bilinear" ? "linear" : mode,
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: isUp ? "floor" : "ceil",
  });
}

/** Regions that nothing uses, and ratios where sizes are given, may be left out. */
function resize(call: ImportCall): readonly Tensor[] {
  const { graph, known, tensor, opset, op } = call;
  const x = tensor(0);
  const isOld = op === "Upsample" || opset < 11;
  const [scales = [], sizes = []] = [known(isOld ? 1 : 2)?.values, isOld ? [] : known(3)?.values];
  bounded(call, [...x.shape, ...sizes, ...scales.map((scale) => scale * Math.max(...x.shape, 1))]);
  if (isOld) return oldResize(call);
  if (scales.length > 0 && sizes.length > 0)
    throw new Failure("bad-shape", `A Resize has both scales [${scales}] and sizes [${sizes}].`);
  const numbers = (values: readonly number[]): Tensor => graph.constant(graph.float, [values.length], values);
  const rest = [numbers([]), numbers(scales), ...(sizes.length > 0 ? [graph.indices(sizes)] : [])];
  const given = [x, ...rest];
  return asRow({ ...call, op: "Resize", inputs: given.length, optional: (i) => given[i] });
}

/** Operators of which a file says more than their tensors' shapes. */
export const lowerWindows: Readonly<Record<string, Lowering>> = {
  Conv: windowed,
  ConvTranspose: windowed,
  MaxPool: windowed,
  AveragePool: windowed,
  Pad: pad,
  Resize: resize,
  Upsample: resize,
};
