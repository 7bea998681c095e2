import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../graph-builder.ts";
import { encodeModel } from "../model-file.ts";
import { OPERATORS, type OperatorName } from "../operators.ts";
import { feedsFor, tensorsOf } from "../operators/case-feeds.test-support.ts";
import { CASES, type Case } from "../operators/cases.test-support.ts";
import { worstDifference } from "../operators/differences.test-support.ts";
import { randomStream } from "../random.ts";
import { compile } from "../run.test-support.ts";
import { exactGraph } from "./exact-graph.ts";
import { EXACT_KERNELS } from "./kernels.ts";

const names = Object.keys(OPERATORS) as OperatorName[];
const drawn = names.flatMap((op) => (CASES[op] ? [[op, CASES[op]] as const] : []));

describe("the table of exact kernels", () => {
  it("says of every operator that graphs are written in whether its kernel is exact", () => {
    const primitives = names.filter((op) => OPERATORS[op].infer);
    expect(Object.keys(EXACT_KERNELS).sort()).toEqual(primitives.sort());
  });

  it.each(drawn)("%s: is no less accurate than the class fast", async (op, cases) => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async (each, seed) => {
        expect(await difference(op, each, seed)).toBeLessThanOrEqual(5e-6);
      }),
      { seed: 6, numRuns: 6 },
    );
  });

  it.each(drawn)("%s: the gradient equals central differences to 1e-6", async (op, cases) => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async (each, seed) => {
        expect(await gradientError(op, each, seed)).toBeLessThanOrEqual(1e-6);
      }),
      { seed: 7, numRuns: 4 },
    );
  });
});

/** Of one operator written exactly against as it is, in float32, relative to the largest value. */
async function difference(op: OperatorName, { inputs, attributes }: Case, seed: number): Promise<number> {
  const graph = new GraphBuilder(OPERATORS);
  const tensors = graph.applyAll(op, tensorsOf(graph, inputs), attributes);
  const outputs = Object.fromEntries(tensors.map((output, i) => [`y${i}`, output]));
  const feeds = feedsFor(graph, inputs, randomStream(seed, op));
  const exact = exactGraph(graph, outputs);
  const fast = await (await compile({ bytes: encodeModel(graph, outputs) }))(feeds);
  const ours = await (await compile({ bytes: encodeModel(exact.graph, exact.outputs, exact.inputs) }))(feeds);
  return Math.max(
    ...Object.entries(fast).map(([name, values]) => {
      const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
      return values.reduce((most, value, i) => {
        const found = ours[name]?.[i] ?? Number.NaN;
        return Object.is(value, found) ? most : Math.max(most, Math.abs(value - found) / scale);
      }, 0);
    }),
  );
}

async function gradientError(op: OperatorName, drawn: Case, seed: number): Promise<number> {
  const graph = new GraphBuilder(OPERATORS, "float64");
  const tensors = tensorsOf(graph, drawn.inputs);
  const outputs = graph.applyAll(op, tensors, drawn.attributes).slice(0, drawn.differentiated);
  const seeds = new Map(outputs.map((output, i) => [output, graph.input(`dy${i}`, output.shape)]));
  const targets = tensors.filter((_, i) => !("constant" in (drawn.inputs[i] ?? {})));
  const random = randomStream(seed, op);
  const feeds = feedsFor(graph, drawn.inputs, random);
  return worstDifference({ graph, seeds, targets, feeds, random, arithmetic: "exact" });
}
