import { describe, expect, it } from "vitest";
import { thinOut } from "./thin-out.ts";

describe("a long history", () => {
  const points = Array.from({ length: 1001 }, (_, step) => ({
    step,
    at: step,
    loss: 1,
    heldOutLoss: null,
    heldOutLossAtStart: null,
    tokensPerSecond: null,
  }));

  it("is thinned out evenly, first and last kept", () => {
    expect(thinOut(points, 5).map(({ step }) => step)).toEqual([0, 250, 500, 750, 1000]);
    expect(thinOut(points, 1).map(({ step }) => step)).toEqual([1000]);
    expect(thinOut(points, 2000)).toHaveLength(1001);
  });
});
