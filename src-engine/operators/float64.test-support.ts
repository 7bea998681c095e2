import { GraphBuilder, type Node } from "../graph-builder.ts";
import { OPERATORS } from "../operators.ts";
import type { AttributeValue } from "../operator.ts";
import type { OperatorName } from "../operators.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { scattered } from "./selection.ts";
import { positionsOf, type Window, windowsOf } from "./window.ts";

type Lowering = (
  inputs: readonly Tensor[],
  attributes: Readonly<Record<string, AttributeValue>>,
  node: Node,
) => Tensor;
type WindowAttributes = Parameters<typeof windowsOf>[1] & { group: number };

/**
 * ONNX Runtime has no float64 kernel for these. Where a rule is checked in float64 they are written
 * in operators that have one; another test checks these forms against the runtime's float32 kernels.
 */
export const FLOAT64_LOWERINGS: Partial<Record<OperatorName, Lowering>> = {
  Erf: ([x]) => erf(x as Tensor),
  Tan: ([x]) => {
    const angle = x as Tensor;
    return angle.graph.apply("Sin", [angle]).div(angle.graph.apply("Cos", [angle]));
  },
  Atan: ([x]) => atan(x as Tensor),
  Asin: ([x]) => asin(x as Tensor),
  Acos: ([x]) =>
    asin(x as Tensor)
      .neg()
      .add(Math.PI / 2),
  Sinh: ([x]) =>
    (x as Tensor)
      .exp()
      .sub((x as Tensor).neg().exp())
      .mul(0.5),
  Cosh: ([x]) =>
    (x as Tensor)
      .exp()
      .add((x as Tensor).neg().exp())
      .mul(0.5),
  Asinh: ([x]) => {
    const place = x as Tensor;
    return place.add(place.mul(place).add(1).sqrt()).log();
  },
  Acosh: ([x]) => {
    const place = x as Tensor;
    return place.add(place.mul(place).sub(1).sqrt()).log();
  },
  Atanh: ([x]) => {
    const place = x as Tensor;
    return place.add(1).div(place.neg().add(1)).log().mul(0.5);
  },
  Softplus: ([x]) => (x as Tensor).exp().add(1).log(),
  LeakyRelu: ([x], { alpha }) => above0(x as Tensor, (x as Tensor).mul(Number(alpha))),
  Elu: ([x], { alpha }) => above0(x as Tensor, (x as Tensor).exp().sub(1).mul(Number(alpha))),
  HardSigmoid: ([x], { alpha, beta }) => {
    const line = (x as Tensor).mul(Number(alpha)).add(Number(beta));
    return line.graph.apply("Clip", [line, line.graph.full([], 0), line.graph.full([], 1)]);
  },
  Conv: ([x, weights, bias], attributes) => {
    const { group, ...given } = attributes as unknown as WindowAttributes;
    const [images, kernels] = [x as Tensor, weights as Tensor];
    const windows = windowsOf(images.shape, given, kernels.shape.slice(2));
    const [batch, outputs] = [images.dim(0), kernels.dim(0)];
    const places = windows.map((_, i) => 2 * i + 2);
    const inner = (images.dim(1) / group) * sizeOf(windows.map(({ kernel }) => kernel));
    const counts = windows.map(({ count }) => count);
    const columns = unfolded(images, windows, 0)
      .transpose(0, ...places.map((axis) => axis + 1), 1, ...places)
      .reshape([batch, sizeOf(counts), group, inner])
      .transpose(0, 2, 3, 1);
    const y = kernels
      .reshape([1, group, outputs / group, inner])
      .matmul(columns)
      .reshape([batch, outputs, ...counts]);
    return withBias(y, bias);
  },
  ConvTranspose: ([x, weights, bias], attributes, { outputs: [declared] }) => {
    const { group, ...given } = attributes as unknown as WindowAttributes;
    const [images, kernels] = [x as Tensor, weights as Tensor];
    const space = (declared as Tensor).shape.slice(2);
    const counts = images.shape.slice(2);
    const windows = windowsOf(declared?.shape ?? [], given, kernels.shape.slice(2), { counts });
    const [batch, channels, outputs] = [images.dim(0), images.dim(1), kernels.dim(1) * group];
    const sizes = windows.map(({ kernel }) => kernel);
    const inner = kernels.dim(1) * sizeOf(sizes);
    const products = kernels
      .reshape([1, group, channels / group, inner])
      .transposed()
      .matmul(images.reshape([batch, group, channels / group, sizeOf(counts)]))
      .reshape([batch, outputs, ...sizes, ...counts]);
    const pairs = windows.flatMap((_, i) => [i + 2, i + 2 + windows.length]);
    const folded = products
      .transpose(0, 1, ...pairs)
      .reshape([batch, outputs, ...sizes.map((k, i) => k * (counts[i] ?? 1))]);
    const y = windows.reduce(
      (sum, window, i) => scattered(sum, i + 2, positionsOf(window), space[i] ?? 1),
      folded,
    );
    return withBias(y, bias);
  },
  AveragePool: ([x], attributes) => {
    const given = attributes as unknown as WindowAttributes;
    const images = x as Tensor;
    const windows = windowsOf(images.shape, given, [], { isCeil: attributes["ceil_mode"] === 1 });
    const places = windows.map((_, i) => 2 * i + 2);
    const summed = (from: Tensor, over: readonly Window[]): Tensor =>
      unfolded(from, over, 0)
        .sum(...places)
        .reshape([...from.shape.slice(0, 2), ...windows.map(({ count }) => count)]);
    const counted = windows.map((window) => {
      if (attributes["count_include_pad"] !== 1) return window;
      return { ...window, before: 0, size: window.size + window.before + window.after };
    });
    const ones = images.graph.full([1, 1, ...counted.map(({ size }) => size)], 1);
    return summed(images, windows).div(summed(ones, counted));
  },
};

/** `graph` again, in float64 kernels only: its nodes' outputs there, by their tensors here. */
export function inFloat64(graph: GraphBuilder): { graph: GraphBuilder; of: (tensor: Tensor) => Tensor } {
  const copy = new GraphBuilder(OPERATORS, "float64");
  const copies = new Map<Tensor, Tensor>();
  const of = (tensor: Tensor): Tensor => {
    const found = copies.get(tensor);
    if (!found) throw new Error("a tensor of another graph");
    return found;
  };
  for (const [tensor, name] of graph.inputs) copies.set(tensor, copy.input(name, tensor.shape, tensor.type));
  for (const tensor of graph.constants)
    copies.set(tensor, copy.constant(tensor.type, tensor.shape, tensor.value ?? []));
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(of);
    const lowering = FLOAT64_LOWERINGS[node.op as OperatorName];
    const outputs = lowering
      ? [lowering(inputs, node.attributes, node)]
      : copy.applyAll(node.op, inputs, node.attributes);
    for (const [i, output] of node.outputs.entries()) copies.set(output, outputs[i] as Tensor);
  }
  return { graph: copy, of };
}

/** `2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!` (Abramowitz & Stegun 7.1.6): all terms have one sign. */
function erf(x: Tensor): Tensor {
  const terms = 60;
  const exponents = Array.from({ length: terms }, (_, n) => 2 * n + 1);
  let factor = 0.5;
  const factors = exponents.map((odd) => (factor *= 2 / odd));
  const { graph } = x;
  const column = x.reshape([sizeOf(x.shape), 1]);
  return column
    .pow(graph.constant("float64", [1, terms], exponents))
    .matmul(graph.constant("float64", [terms, 1], factors))
    .mul(column.mul(column).neg().exp())
    .mul(2 / Math.sqrt(Math.PI))
    .reshape(x.shape);
}

/** Halved three times, `atan x = 2·atan(x / (1 + √(1 + x²)))`, then the series, in which 20 terms are enough. */
function atan(x: Tensor): Tensor {
  const halved = (place: Tensor): Tensor => place.div(place.mul(place).add(1).sqrt().add(1));
  const small = halved(halved(halved(x)));
  const square = small.mul(small);
  const factors = Array.from({ length: 20 }, (_, n) => (-1) ** n / (2 * n + 1));
  const sum = factors.reduceRight<Tensor | null>(
    (rest, factor) => (rest ? rest.mul(square).add(factor) : square.mul(0).add(factor)),
    null,
  );
  return small.mul(sum as Tensor).mul(8);
}

function asin(x: Tensor): Tensor {
  return atan(x.div(x.mul(x).neg().add(1).sqrt()));
}

function above0(x: Tensor, below: Tensor): Tensor {
  return x.greater(0).where(x, below);
}

function withBias(y: Tensor, bias: Tensor | undefined): Tensor {
  return bias ? y.add(bias.reshape([1, bias.dim(0), ...y.shape.slice(2).map(() => 1)])) : y;
}

/**
 * Every window of `x`: `[batch, channels, kernel₁, count₁, kernel₂, count₂, …]`, with `outside`
 * where a window reaches over the edge.
 */
function unfolded(x: Tensor, windows: readonly Window[], outside: number): Tensor {
  const seen = windows.reduce((sum, window, i) => {
    const positions = positionsOf(window);
    const isInside = !positions.includes(-1);
    const slab = x.graph
      .constant(x.type, [], [outside])
      .expand(sum.shape.map((n, k) => (k === i + 2 ? 1 : n)));
    const source = isInside ? sum : sum.concat([slab], i + 2);
    return source.take(
      i + 2,
      positions.map((position) => (position < 0 ? window.size : position)),
    );
  }, x);
  return seen.reshape([...x.shape.slice(0, 2), ...windows.flatMap(({ kernel, count }) => [kernel, count])]);
}
