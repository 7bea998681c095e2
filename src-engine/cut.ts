import { chooseBalance, type NodeCapacity, type RangeCost } from "./cut-balance.ts";
import { bytesOf, nodesBehind, nodesFor, producersOf, productFlops } from "./cut-cost.ts";
import { type CutPoint, cutPoints } from "./cut-frontier.ts";
import { type Cuttable, type Divided, sectionOf } from "./section.ts";
import { FLOAT32_ADAMW, type Measured, type Stage, stageOf, type TrainingBytes } from "./stage.ts";
import type { Tensor } from "./tensor.ts";

export type { Cuttable } from "./section.ts";
export { FLOAT32_ADAMW, type Stage, type TrainingBytes } from "./stage.ts";

export interface CutOptions {
  /** null: as few as fit on `nodes`. */
  stages: number | null;
  nodes: readonly NodeCapacity[];
  bytes?: TrainingBytes;
}

/** More cut points than this are thinned out: the search is quadratic. */
const MOST_UNITS = 1024;

/**
 * Cuts a forward graph into stages that are connected by one tensor each, so that each fits into its
 * node's memory and the slowest is as fast as possible.
 *
 * @throws Failure `too-many-stages`, `does-not-fit`, `not-differentiable`
 */
export function cutGraph(model: Cuttable, { stages, nodes, bytes = FLOAT32_ADAMW }: CutOptions): Stage[] {
  const all = pointsOf(model);
  const points = usefulPoints(all, unitsOf(model, all));
  const units = unitsOf(model, points);
  const shared = sharedOf(model, units);
  const cost = rangeCosts(units, points, { bytes, shared });
  const { starts } = chooseBalance(units.length, stages, nodes, cost);
  const divided: Divided = { model, producers: producersOf(model.graph.tape), points, shared };
  const known = new Map<string, Measured>();
  return starts.map((start, index) => {
    const section = sectionOf(divided, start, starts[index + 1] ?? units.length);
    return stageOf(section, index, starts.length, bytes, known);
  });
}

/**
 * Parameters that are read in more than one unit: tied ones. Only in the class `exact` does the order in
 * which their gradients are added matter; elsewhere they have one sum, which needs less memory.
 */
function sharedOf({ arithmetic }: Cuttable, units: readonly Unit[]): ReadonlySet<Tensor> {
  const shared = new Set<Tensor>();
  if (arithmetic !== "exact") return shared;
  const seen = new Set<Tensor>();
  for (const { tensor } of units.flatMap(({ parameters }) => parameters))
    (seen.has(tensor) ? shared : seen).add(tensor);
  return shared;
}

/** Where the model can be cut; see `cutPoints`. */
export function pointsOf({ graph, inputs, outputs, parameters }: Cuttable): CutPoint[] {
  const ends = outputs.map(({ tensor }) => tensor);
  return cutPoints(
    nodesFor(graph.tape, ends),
    inputs.map(({ tensor }) => tensor),
    parameters.map(({ tensor }) => tensor),
    ends,
  );
}

/** What lies between two neighbouring cut points. */
interface Unit {
  flops: number;
  /** Bytes of all results of its forward. */
  results: number;
  parameters: Cuttable["parameters"];
}

/** One more than points: the last is what follows the last point. */
function unitsOf({ graph, outputs, parameters }: Cuttable, points: readonly CutPoint[]): Unit[] {
  const ends = outputs.map(({ tensor }) => tensor);
  const producers = producersOf(graph.nodes);
  const byTensor = new Map(parameters.map((parameter) => [parameter.tensor, parameter]));
  return [...points, null].map((point, i) => {
    const known = new Set([points[i - 1]?.tensor].filter((tensor) => tensor !== undefined));
    const nodes = nodesBehind(producers, point ? [point.tensor] : ends, known);
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    return {
      flops: nodes.reduce((sum, node) => sum + productFlops(node), 0),
      results: nodes.flatMap(({ outputs }) => outputs).reduce((sum, tensor) => sum + bytesOf(tensor), 0),
      parameters: [...read].flatMap((tensor) => byTensor.get(tensor) ?? []),
    };
  });
}

/**
 * The points between which there is work. Of neighbours with only elementwise steps between them (before
 * and after an activation or a pooling) the one where least is sent is kept.
 */
function usefulPoints(points: readonly CutPoint[], units: readonly Unit[]): CutPoint[] {
  const groups: CutPoint[][] = [];
  const hasWork = (unit: Unit | undefined): boolean => !unit || unit.flops > 0 || unit.parameters.length > 0;
  for (const [i, point] of points.entries()) {
    if (i === 0 || hasWork(units[i])) groups.push([]);
    groups.at(-1)?.push(point);
  }
  if (!hasWork(units.at(-1))) groups.pop();
  const useful = groups.flatMap((group) =>
    group.toSorted((a, b) => bytesOf(a.tensor) - bytesOf(b.tensor)).slice(0, 1),
  );
  const every = Math.ceil(useful.length / (MOST_UNITS - 1));
  return useful.filter((_, i) => i % every === 0);
}

/**
 * What the search compares: memory is estimated as the state of the parameters and every result of
 * the forward kept once; the backward as twice the forward.
 */
function rangeCosts(
  units: readonly Unit[],
  points: readonly CutPoint[],
  { bytes: { weight, gradient, optimizer }, shared }: { bytes: TrainingBytes; shared: ReadonlySet<Tensor> },
): (from: number, to: number) => RangeCost {
  const boundary = points.map(({ tensor }) => bytesOf(tensor));
  const bytesPerParameter = weight + gradient + optimizer;
  const table = units.map((_, from) => {
    const held = new Set<string>();
    let memoryBytes = 0;
    let flops = 0;
    return units.slice(from).map((unit, length) => {
      for (const { name, size, tensor } of unit.parameters) {
        if (!held.has(name)) memoryBytes += size * bytesPerParameter;
        else if (shared.has(tensor)) memoryBytes += size * gradient;
        held.add(name);
      }
      memoryBytes += unit.results;
      flops += 3 * unit.flops;
      const bytes = (boundary[from - 1] ?? 0) + (boundary[from + length] ?? 0);
      return { memoryBytes, flops, bytes };
    });
  });
  return (from, to) => {
    const found = table[from]?.[to - from - 1];
    if (!found) throw new RangeError(`no units ${from} to ${to}`);
    return found;
  };
}
