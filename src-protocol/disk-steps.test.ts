import { expect, it } from "vitest";
import { isStillKnown, LONGEST_PERIOD_STEPS, placesOf, roundnessOf } from "./disk-steps.ts";

it("the power of two that divides a step is counted up to the longest period", () => {
  expect([1, 6, 24, 1024, 6144].map(roundnessOf)).toEqual([1, 2, 8, 1024, 1024]);
});

it.each([1, 2, 8, 64, LONGEST_PERIOD_STEPS])(
  "whoever writes at every %ith step goes back to the last two of them, also after a restart of the network",
  (period) => {
    const places = new Map<number, number>();
    for (let newest = 1; newest <= 20_000; newest++) {
      for (const place of placesOf(newest)) places.set(place, newest);
      if (newest % 97 !== 0) continue;
      const last = newest - (newest % period);
      for (const at of [last, last - period].filter((step) => step > 0)) {
        expect(isStillKnown(at, newest), `${at} at ${newest}`).toBe(true);
        expect([...places.values()], `${at} at ${newest}`).toContain(at);
      }
    }
    expect(places.size).toBeLessThan(60);
  },
);
