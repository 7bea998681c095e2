import type { Arithmetic } from "../../src-protocol/arithmetic.ts";
import { differentiate } from "../differentiate.ts";
import type { ElementType } from "../element-type.ts";
import { exactGraph } from "../exact/exact-graph.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import { encodeModel } from "../model-file.ts";
import { compile } from "../run.test-support.ts";
import type { Tensor } from "../tensor.ts";
import { inFloat64 } from "./float64.test-support.ts";

export type Feeds = Record<string, { shape: readonly number[]; data: number[]; type: ElementType }>;

interface Function {
  graph: GraphBuilder;
  /** Outputs y and their dy, inputs of the graph or constants. */
  seeds: ReadonlyMap<Tensor, Tensor>;
  targets: readonly Tensor[];
  feeds: Feeds;
  random: () => number;
  /** `exact`: of the graph as that class writes it. */
  arithmetic?: Arithmetic;
}

/**
 * For L = Σ y ⊙ dy and each target x with a random direction u: the worst relative error of
 * ⟨dL/dx, u⟩ against (L(x + e·u) − L(x − e·u)) / 2e. It is relative to |dL/dx|·|u|, which does not
 * vanish where a sum happens to.
 */
export async function worstDifference({
  graph: written,
  seeds,
  targets,
  feeds,
  random,
  arithmetic = "fast",
}: Function): Promise<number> {
  const gradients = differentiate(written, seeds, targets);
  const losses = [...seeds].map(([y, dy]) =>
    y
      .mul(dy)
      .reshape([y.shape.reduce((a, b) => a * b, 1)])
      .sum(0),
  );
  const results = Object.fromEntries([...losses, ...gradients].map((each, i) => [`${i}`, each]));
  const exact = arithmetic === "exact" ? exactGraph(written, results) : null;
  const { graph, of: ofWritten } = inFloat64(exact?.graph ?? written);
  const of = (tensor: Tensor): Tensor => ofWritten(exact?.of(tensor) ?? tensor);
  const names = targets.map((target) => written.inputs.get(target) ?? "");
  const run = await compile({
    bytes: encodeModel(
      graph,
      Object.fromEntries([
        ...losses.map((loss, i) => [`loss${i}`, of(loss)] as const),
        ...gradients.map((gradient, i) => [`d_${names[i]}`, of(gradient)] as const),
      ]),
    ),
  });
  const lossAt = async (changed: Feeds): Promise<number> => {
    const found = await run({ ...feeds, ...changed });
    return losses.reduce((sum, _, i) => sum + (found[`loss${i}`]?.[0] ?? Number.NaN), 0);
  };
  const found = await run(feeds);

  const step = 1e-5;
  let worst = 0;
  for (const name of names) {
    const feed = feeds[name] as Feeds[string];
    const direction = feed.data.map(() => 2 * random() - 1);
    const moved = (by: number): Feeds => ({
      [name]: { ...feed, data: feed.data.map((x, i) => x + by * (direction[i] ?? 0)) },
    });
    const difference = ((await lossAt(moved(step))) - (await lossAt(moved(-step)))) / (2 * step);
    const gradient = found[`d_${name}`] ?? [];
    const scale = Math.sqrt(dot(gradient, gradient) * dot(direction, direction));
    // Below 1e-3 the rounding of L, not the rule, is what would be measured.
    worst = Math.max(worst, Math.abs(dot(gradient, direction) - difference) / Math.max(scale, 1e-3));
  }
  return worst;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
