import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { balance, chooseBalance, type NodeCapacity, type RangeCost, secondsFor } from "./cut-balance.ts";

const node = (memoryBytes: number, flopsPerSecond = 1): NodeCapacity => ({
  memoryBytes,
  flopsPerSecond,
  bytesPerSecond: 1,
});

/** Units of given FLOPs and memory that send nothing. */
const costOf =
  (flops: readonly number[], memory: readonly number[] = flops) =>
  (from: number, to: number): RangeCost => ({
    flops: flops.slice(from, to).reduce((a, b) => a + b, 0),
    memoryBytes: memory.slice(from, to).reduce((a, b) => a + b, 0),
    bytes: 0,
  });

function* divisions(units: number, stages: number): Generator<number[]> {
  if (stages === 1) return void (yield [0]);
  for (const rest of divisions(units, stages - 1)) {
    for (let start = (rest.at(-1) ?? 0) + 1; start < units; start++) yield [...rest, start];
  }
}

describe("a balance", () => {
  it("has the fastest slowest stage of all divisions that fit", () => {
    const drawn = fc
      .record({
        flops: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
        nodes: fc.array(
          fc.record({ memory: fc.integer({ min: 5, max: 40 }), speed: fc.integer({ min: 1, max: 4 }) }),
          {
            minLength: 1,
            maxLength: 4,
          },
        ),
      })
      .filter(({ flops, nodes }) => nodes.length <= flops.length);
    fc.assert(
      fc.property(drawn, ({ flops, nodes: drawnNodes }) => {
        const nodes = drawnNodes.map(({ memory, speed }) => node(memory, speed));
        const cost = costOf(flops);
        const time = (starts: readonly number[]): number =>
          Math.max(
            ...nodes.map((each, i) => {
              const range = cost(starts[i] ?? 0, starts[i + 1] ?? flops.length);
              return range.memoryBytes > each.memoryBytes
                ? Number.POSITIVE_INFINITY
                : secondsFor(range, each);
            }),
          );
        const best = Math.min(...[...divisions(flops.length, nodes.length)].map(time));
        const found = balance(flops.length, nodes, cost);
        const own = found ? time(found) : Number.POSITIVE_INFINITY;
        expect(own === best || own <= 1.02 * best).toBe(true);
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  it("cuts where least is sent, when that costs more than computing", () => {
    const sent = [0, 9, 1, 9, 0];
    const cost = (from: number, to: number): RangeCost => ({
      flops: to - from,
      memoryBytes: 0,
      bytes: (sent[from] ?? 0) + (sent[to] ?? 0),
    });
    expect(balance(4, [node(1), node(1)], cost)).toEqual([0, 2]);
  });

  it("spreads work where sending takes the time", () => {
    const cost = (from: number, to: number): RangeCost => ({
      flops: to - from,
      memoryBytes: to - from,
      bytes: 1e6 * (Number(from > 0) + Number(to < 9)),
    });
    expect(balance(9, [node(99), node(99), node(99)], cost)).toEqual([0, 3, 6]);
  });

  it("takes as few stages as fit, on the computers with most memory, in their order", () => {
    const found = chooseBalance(6, null, [node(10), node(25), node(5), node(30)], costOf([8, 8, 8, 8, 8, 8]));
    expect(found.nodes.map(({ memoryBytes }) => memoryBytes)).toEqual([25, 30]);
    expect(found.starts).toEqual([0, 3]);
  });

  it("gives a slow computer less", () => {
    expect(chooseBalance(6, 2, [node(99, 1), node(99, 5)], costOf([1, 1, 1, 1, 1, 1])).starts).toEqual([
      0, 1,
    ]);
  });

  it("says what does not fit, and how many stages there can be", () => {
    expect(() => chooseBalance(2, null, [node(5), node(5)], costOf([9e9, 1]))).toThrow(
      expect.objectContaining({ code: "does-not-fit", message: expect.stringContaining("9.00 GB") }),
    );
    for (const stages of [0, 3, 1.5]) {
      expect(() => chooseBalance(2, stages, [node(5), node(5), node(5)], costOf([1, 1]))).toThrow(
        expect.objectContaining({ code: "too-many-stages" }),
      );
    }
  });
});
