import { ELEMENT_TYPES } from "./element-type.ts";
import type { GraphBuilder, Node } from "./graph-builder.ts";
import { sizeOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

export function bytesOf({ type, shape }: Pick<Tensor, "type" | "shape">): number {
  return sizeOf(shape) * ELEMENT_TYPES[type].array.BYTES_PER_ELEMENT;
}

/**
 * FLOPs of a primitive: a multiply-add of a matrix product or convolution counts 2, everything else 0.
 *
 *     MatMul, Gemm   2 · elements of the result · inner size
 *     Conv           2 · elements of the result · elements of the weight / output channels
 *     ConvTranspose  2 · elements of the input · elements of the weight / input channels
 */
export function productFlops({ op, inputs: [a, b], outputs: [y], attributes }: Node): number {
  if (!a || !b || !y) return 0;
  const elements = sizeOf(y.shape);
  switch (op as string) {
    case "MatMul":
      return 2 * elements * a.dim(-1);
    case "Gemm":
      return 2 * elements * a.dim(attributes["transA"] === 1 ? 0 : 1);
    case "Conv":
      return 2 * elements * (sizeOf(b.shape) / b.dim(0));
    case "ConvTranspose":
      return 2 * sizeOf(a.shape) * (sizeOf(b.shape) / b.dim(0));
    default:
      return 0;
  }
}

/** Which node computes a tensor. */
export type Producers = ReadonlyMap<Tensor, { node: Node; order: number }>;

export function producersOf(nodes: readonly Node[]): Producers {
  return new Map(
    nodes.flatMap((node, order) => node.outputs.map((output) => [output, { node, order }] as const)),
  );
}

/** The nodes that `outputs` depend on, in their order, not looking behind `known`. */
export function nodesBehind(
  producers: Producers,
  outputs: readonly Tensor[],
  known: ReadonlySet<Tensor> = new Set(),
): Node[] {
  const found = new Map<Node, number>();
  const open = [...outputs];
  for (let tensor = open.pop(); tensor; tensor = open.pop()) {
    const producer = known.has(tensor) ? undefined : producers.get(tensor);
    if (!producer || found.has(producer.node)) continue;
    found.set(producer.node, producer.order);
    open.push(...producer.node.inputs);
  }
  return [...found].sort(([, a], [, b]) => a - b).map(([node]) => node);
}

export function nodesFor(nodes: readonly Node[], outputs: readonly Tensor[]): Node[] {
  return nodesBehind(producersOf(nodes), outputs);
}

/** Operators whose result is their input in another shape: the runtime copies nothing. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/**
 * The most bytes that results take at one time when the graph runs node by node, each result kept
 * until its last reader has run and `outputs` to the end. Without what is fed, the graph's inputs and
 * `known`, and what is written `elsewhere`, to memory that is there already. The runtime may use
 * less, where it computes in place, or more, where it packs matrices.
 *
 * Results of `apart` bytes count each for itself, wherever they begin and end: so large ones that come
 * among other sizes find the place of the one before taken by small ones.
 */
export function peakBytes(
  graph: GraphBuilder,
  outputs: readonly Tensor[],
  {
    known = new Set(),
    elsewhere = new Set(),
    apart = null,
  }: { known?: ReadonlySet<Tensor>; elsewhere?: ReadonlySet<Tensor>; apart?: number | null } = {},
): number {
  const nodes = nodesBehind(producersOf(graph.nodes), outputs, known);
  /** The tensor whose memory a view uses. */
  const owners = new Map<Tensor, Tensor>();
  const ownerOf = (tensor: Tensor): Tensor => owners.get(tensor) ?? tensor;
  const lastUse = new Map<Tensor, number>();
  for (const [i, { op, inputs, outputs: results }] of nodes.entries()) {
    const [viewed] = inputs;
    if (VIEWS.has(op) && viewed) for (const result of results) owners.set(result, ownerOf(viewed));
    for (const tensor of [...inputs, ...results]) lastUse.set(ownerOf(tensor), i);
  }
  for (const output of outputs) lastUse.set(ownerOf(output), nodes.length);

  const made = new Set<Tensor>();
  const free = new Map<number, number>();
  let live = 0;
  let peak = 0;
  let apartBytes = 0;
  for (const [i, { outputs: results }] of nodes.entries()) {
    for (const owner of new Set(results.map(ownerOf))) {
      const last = lastUse.get(owner);
      if (made.has(owner) || !results.includes(owner) || elsewhere.has(owner) || last === undefined) continue;
      made.add(owner);
      if (bytesOf(owner) === apart) {
        apartBytes += apart;
        continue;
      }
      live += bytesOf(owner);
      free.set(last, (free.get(last) ?? 0) + bytesOf(owner));
    }
    peak = Math.max(peak, live);
    live -= free.get(i) ?? 0;
  }
  return peak + apartBytes;
}
