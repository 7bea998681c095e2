import fc from "fast-check";
import { expect, it } from "vitest";
import type { LineLimits, TrafficState } from "../../src-protocol/line-limits.ts";
import { OwnerLine, shareOut } from "./owner-line.ts";

it("shares add up to the limit, and nobody who was held back gets less than one who was not", () => {
  const demand = fc.record({ usedMbit: fc.double({ min: 0, max: 500, noNaN: true }), held: fc.boolean() });
  fc.assert(
    fc.property(
      fc.double({ min: 0.5, max: 1000, noNaN: true }),
      fc.array(demand, { minLength: 1, maxLength: 8 }),
      (limit, demands) => {
        const shares = shareOut(limit, demands);
        const total = shares.reduce((sum, share) => sum + share, 0);
        expect(total).toBeCloseTo(limit, 6);
        expect(Math.min(...shares)).toBeGreaterThan(0);
        const held = shares.filter((_, index) => demands[index]?.held);
        const others = shares.filter((_, index) => !demands[index]?.held);
        expect(Math.min(Infinity, ...held)).toBeGreaterThanOrEqual(Math.max(0, ...others) - 1e-9);
      },
    ),
  );
});

it("who uses little leaves the rest to whoever is held back", () => {
  const [little = 0, much = 0] = shareOut(20, [
    { usedMbit: 1, held: false },
    { usedMbit: 10, held: true },
  ]);
  expect(little).toBeCloseTo(1.3);
  expect(much).toBeCloseTo(18.7);
});

it("workers that come, change what they need, and end always share one limit", () => {
  let now = 0;
  const given = new Map<string, LineLimits>();
  let state: TrafficState | null = null;
  const line = new OwnerLine({
    give: (worker, limits) => given.set(worker, limits),
    onState: (next) => (state = next),
    now: () => now,
  });
  const total = (): number =>
    [...given.values()].reduce((sum, { uploadMbit }) => sum + (uploadMbit ?? Infinity), 0);
  line.limit({ uploadMbit: 10, downloadMbit: null });
  line.began("worker");
  expect(given.get("worker")).toEqual({ uploadMbit: 10, downloadMbit: null });
  line.began("neighbour 1");
  expect(total()).toBeCloseTo(10);
  for (let second = 1; second <= 12; second++) {
    now += 1_000;
    const mine = given.get("worker")?.uploadMbit ?? 0;
    const sentBytes = ((mine * 1e6) / 8) * second;
    line.used("worker", { sentBytes, receivedBytes: 0, uploadHeld: true, downloadHeld: false });
    line.used("neighbour 1", { sentBytes: 0, receivedBytes: 0, uploadHeld: false, downloadHeld: false });
    expect(total()).toBeCloseTo(10);
  }
  expect(given.get("worker")?.uploadMbit).toBeGreaterThan(9.8);
  expect(state).toMatchObject({ limits: { uploadMbit: 10 }, downloadMbit: 0 });
  expect((state as TrafficState | null)?.uploadMbit).toBeGreaterThan(9);
  given.delete("worker");
  line.ended("worker");
  expect(given.get("neighbour 1")?.uploadMbit).toBe(10);
  line.limit({ uploadMbit: null, downloadMbit: 4 });
  expect(given.get("neighbour 1")).toEqual({ uploadMbit: null, downloadMbit: 4 });
});
