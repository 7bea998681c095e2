import { Failure } from "../src-protocol/failure.ts";

/** What a computer offers to a stage. */
export interface NodeCapacity {
  /** For parameters, optimiser and activations: what is left after everything else on the computer. */
  memoryBytes: number;
  /** Sustained in matrix products. */
  flopsPerSecond: number;
  /** Towards its neighbours in the pipeline, each way. */
  bytesPerSecond: number;
}

/** What a stage would be that runs from unit `from` to before unit `to`. */
export interface RangeCost {
  memoryBytes: number;
  /** Forward and backward of one micro-batch. */
  flops: number;
  /** Sent to both neighbours for one micro-batch. */
  bytes: number;
}

export interface Balance {
  /** The first unit of each stage; the first is 0. */
  starts: readonly number[];
  /** The node of `nodes` that each stage is for. */
  nodes: readonly NodeCapacity[];
}

/** Of one micro-batch on one node, which sends one while it computes the next. */
export function secondsFor({ flops, bytes }: RangeCost, node: NodeCapacity): number {
  return Math.max(flops / node.flopsPerSecond, bytes / node.bytesPerSecond);
}

type Cost = (from: number, to: number) => RangeCost;
/** What is to be small for the worst stage; infinite: not allowed. */
type Measure = (range: RangeCost, node: NodeCapacity) => number;

/** How much slower than possible the slowest stage may be, if that spreads work and memory better. */
const SLACK = 1.02;

/**
 * Divides a row of `units` into contiguous parts, one for each of `nodes` in this order, so that
 * every part fits into its node's memory and the slowest takes the least time: a pipeline is as fast
 * as its slowest stage. Of what is as fast (within 2 %), the division is taken whose most loaded
 * node has the smallest share of work or memory, for what it offers: where sending takes the time,
 * the slowest stage alone would say nothing about that. Exact; O(units² · stages).
 *
 * @returns null where no division fits
 */
export function balance(units: number, nodes: readonly NodeCapacity[], cost: Cost): readonly number[] | null {
  const fastest = divide(units, nodes, cost, secondsFor);
  if (!fastest) return null;
  const all = cost(0, units);
  const speed = nodes.reduce((sum, { flopsPerSecond }) => sum + flopsPerSecond, 0);
  const memory = nodes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const share = (part: number, whole: number, own: number, total: number): number =>
    part === 0 ? 0 : part / whole / (own / total);
  const even = divide(units, nodes, cost, (range, node) =>
    secondsFor(range, node) > SLACK * fastest.worst
      ? Number.POSITIVE_INFINITY
      : Math.max(
          share(range.flops, all.flops, node.flopsPerSecond, speed),
          Number.isFinite(memory) ? share(range.memoryBytes, all.memoryBytes, node.memoryBytes, memory) : 0,
        ),
  );
  return (even ?? fastest).starts;
}

/** The division whose worst part measures least, by dynamic programming. */
function divide(
  units: number,
  nodes: readonly NodeCapacity[],
  cost: Cost,
  measure: Measure,
): { starts: readonly number[]; worst: number } | null {
  const stages = nodes.length;
  // least[to]: the worst measure of the stages so far, when they serve the units before `to`.
  let least = new Float64Array(units + 1).fill(Number.POSITIVE_INFINITY);
  least[0] = 0;
  const cuts: Int32Array[] = [];
  for (const [stage, node] of nodes.entries()) {
    const next = new Float64Array(units + 1).fill(Number.POSITIVE_INFINITY);
    const cut = new Int32Array(units + 1).fill(-1);
    for (let from = stage; from < units; from++) {
      const before = least[from] ?? Number.POSITIVE_INFINITY;
      if (before === Number.POSITIVE_INFINITY) continue;
      for (let to = from + 1; to <= units - (stages - 1 - stage); to++) {
        const range = cost(from, to);
        // More units never need less memory.
        if (range.memoryBytes > node.memoryBytes) break;
        const worst = Math.max(before, measure(range, node));
        if (worst < (next[to] ?? 0)) {
          next[to] = worst;
          cut[to] = from;
        }
      }
    }
    least = next;
    cuts.push(cut);
  }
  const worst = least[units] ?? Number.POSITIVE_INFINITY;
  if (worst === Number.POSITIVE_INFINITY) return null;
  const starts: number[] = [];
  let to = units;
  for (const cut of cuts.reverse()) {
    to = cut[to] ?? 0;
    starts.push(to);
  }
  return { starts: starts.reverse(), worst };
}

/**
 * As `balance`, with the number of stages given or, if it is null, the smallest that fits. Where
 * there are more nodes than stages, those of the largest memory are taken, in their order.
 *
 * @throws Failure `too-many-stages` when there are fewer units or nodes than stages
 * @throws Failure `does-not-fit` when no division fits into the memory of the nodes
 */
export function chooseBalance(
  units: number,
  stages: number | null,
  nodes: readonly NodeCapacity[],
  cost: Cost,
): Balance {
  const most = Math.min(units, nodes.length);
  if (stages !== null && (!Number.isInteger(stages) || stages < 1 || stages > most)) {
    throw new Failure(
      "too-many-stages",
      `The model can be cut into 1 to ${units} stages, and there are ${nodes.length} computers: ${stages} stages are not possible.`,
    );
  }
  const needed = fewest(units, nodes, cost);
  for (let count = stages ?? Math.max(1, Math.min(needed, most)); count <= (stages ?? most); count++) {
    const chosen = largest(nodes, count);
    const starts = balance(units, chosen, cost);
    if (starts) return { starts, nodes: chosen };
  }
  const smallest = Math.max(...Array.from({ length: units }, (_, i) => cost(i, i + 1).memoryBytes));
  throw new Failure(
    "does-not-fit",
    `The model does not fit into the memory of ${stages ?? nodes.length} computers. Its largest part that cannot be cut needs ` +
      `${(smallest / 1e9).toFixed(2)} GB. Use more computers, ones with more memory, or smaller micro-batches.`,
  );
}

/** A lower bound of the number of stages: as if every node had the most memory of all. */
function fewest(units: number, nodes: readonly NodeCapacity[], cost: Cost): number {
  const memory = Math.max(...nodes.map(({ memoryBytes }) => memoryBytes));
  let stages = 1;
  let from = 0;
  for (let to = 1; to <= units; to++) {
    if (to - from > 1 && cost(from, to).memoryBytes > memory) {
      stages++;
      from = to - 1;
    }
  }
  return stages;
}

function largest(nodes: readonly NodeCapacity[], count: number): readonly NodeCapacity[] {
  const order = nodes.map((node, i) => ({ node, i }));
  return order
    .sort((a, b) => b.node.memoryBytes - a.node.memoryBytes || a.i - b.i)
    .slice(0, count)
    .sort((a, b) => a.i - b.i)
    .map(({ node }) => node);
}
