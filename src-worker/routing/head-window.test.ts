import { describe, expect, it } from "vitest";
import { HeadWindow } from "./head-window.ts";

/** Of a micro-batch that comes back `ms` after it was sent. */
function window(...times: readonly number[]) {
  let now = 0;
  const made = new HeadWindow(() => now, 6);
  for (const [microBatch, ms] of times.entries()) {
    made.sent(microBatch);
    now += ms;
    made.returned(microBatch);
  }
  return made;
}

describe("what a head has on its way", () => {
  it("is guessed until the first has come back, and while nobody knows how fast it is itself", () => {
    expect(window().most(100)).toBe(6);
    expect(window(1_000).most(0)).toBe(6);
  });

  it("is three times what it works on in the shortest time in which one has come back: little for a slow head", () => {
    expect(window(900, 500, 2_000).most(100)).toBe(15);
    expect(window(900, 500, 2_000).most(500)).toBe(3);
    expect(window(900, 500, 2_000).most(60_000)).toBe(2);
  });

  it("goes by this step and the one before: what has become slower is seen", () => {
    const slower = window(500);
    slower.stepped();
    expect(slower.most(100)).toBe(15);
    slower.stepped();
    expect(slower.most(100)).toBe(15);
    const again = window(500);
    again.stepped();
    again.sent(0);
    again.returned(1);
    expect(again.most(100)).toBe(15);
  });

  it("goes by no micro-batch that was sent again for one that was lost: the stages behind had done it before", () => {
    let now = 0;
    const made = new HeadWindow(() => now, 6);
    for (const microBatch of [0, 1]) made.sent(microBatch);
    now = 1_000;
    made.returned(0);
    for (const microBatch of [0, 1]) made.sent(microBatch);
    now = 1_010;
    for (const microBatch of [0, 1]) made.returned(microBatch);
    expect(made.most(100)).toBe(30);
  });
});
