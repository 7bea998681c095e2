import fc from "fast-check";
import { expect, it } from "vitest";
import { leastCut } from "./least-cut.ts";

type Edge = readonly [from: number, to: number];
interface Drawn {
  readonly costs: readonly number[];
  readonly edges: readonly Edge[];
  readonly sources: readonly number[];
  readonly sinks: readonly number[];
}

/** Vertices from which a sink is reached without coming through the cut. */
function besideSinks({ edges, sinks }: Drawn, cut: ReadonlySet<number>): Set<number> {
  const found = new Set(sinks.filter((sink) => !cut.has(sink)));
  for (const at of found) for (const [from, to] of edges) if (to === at && !cut.has(from)) found.add(from);
  return found;
}

const drawn: fc.Arbitrary<Drawn> = fc.integer({ min: 1, max: 8 }).chain((count) => {
  const vertex = fc.nat({ max: count - 1 });
  return fc.record({
    costs: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: count, maxLength: count }),
    edges: fc
      .array(fc.tuple(vertex, vertex), { maxLength: 16 })
      .map((pairs) => pairs.filter(([from, to]) => from < to)),
    sources: fc.array(vertex, { maxLength: 3 }),
    sinks: fc.array(vertex, { maxLength: 3 }),
  });
});

it("is the cheapest of all sets that part sources and sinks, and the nearest to the sinks of those", () => {
  fc.assert(
    fc.property(drawn, (network) => {
      const { costs, sources } = network;
      const costOf = (set: ReadonlySet<number>): number =>
        [...set].reduce((sum, at) => sum + (costs[at] ?? 0), 0);
      const isParted = (beside: ReadonlySet<number>): boolean =>
        sources.every((source) => !beside.has(source));
      const parting = Array.from(
        { length: 2 ** costs.length },
        (_, bits) => new Set([...costs.keys()].filter((at) => ((bits >> at) & 1) === 1)),
      ).filter((set) => isParted(besideSinks(network, set)));
      const least = Math.min(...parting.map(costOf));
      const cut = leastCut({ ...network, costOf: (at) => costs[at] ?? 0 });
      expect(costOf(cut)).toBe(least);
      const own = besideSinks(network, cut);
      expect(isParted(own)).toBe(true);
      const cheapest = parting.filter((other) => costOf(other) === least);
      for (const beside of cheapest.map((other) => besideSinks(network, other)))
        expect([...own].filter((at) => !beside.has(at))).toEqual([]);
    }),
    { numRuns: 300, seed: 3 },
  );
});

it("leaves out what costs infinitely much", () => {
  const costs: Record<string, number> = { product: 8, mask: Infinity, sum: 9 };
  const edges = [
    ["product", "mask"],
    ["mask", "sum"],
  ] as const;
  expect(leastCut({ edges, sources: ["product"], sinks: ["mask"], costOf: (at) => costs[at] ?? 0 })).toEqual(
    new Set(["product"]),
  );
});
