import { describe, expect, it } from "vitest";
import { WorkOrder, lastFrom } from "./work-order.ts";

function order(from = Infinity, of: readonly (readonly ["forward" | "backward", number, boolean?])[]) {
  const work = new WorkOrder(() => from);
  for (const [pass, microBatch, isAgain = false] of of) work.add(pass, microBatch, isAgain);
  const done: string[] = [];
  for (let next = work.next(); next !== null; next = work.next())
    done.push(`${next.pass} ${next.microBatch}`);
  return done;
}

describe("what a replica works on next", () => {
  it("is a gradient, and then what came first", () => {
    expect(
      order(Infinity, [
        ["forward", 3],
        ["forward", 2],
        ["backward", 1],
      ]),
    ).toEqual(["backward 1", "forward 3", "forward 2"]);
  });

  it("is one of the step's last micro-batches before any gradient: all stages behind wait for it", () => {
    expect(
      order(7, [
        ["forward", 6],
        ["backward", 1],
        ["forward", 7],
      ]),
    ).toEqual(["forward 7", "backward 1", "forward 6"]);
  });

  it("is what is done again and nobody waits for when there is nothing else", () => {
    const work = [
      ["forward", 0, true],
      ["backward", 1, true],
      ["forward", 9, true],
      ["forward", 2],
      ["backward", 3],
    ] as const;
    expect(order(8, work)).toEqual(["backward 3", "forward 2", "backward 1", "forward 0", "forward 9"]);
  });

  it("says what waits, and counts that for half: who has much of it is given less of the new", () => {
    const work = new WorkOrder(() => Infinity);
    work.add("forward", 0, true);
    work.add("forward", 1, false);
    work.add("backward", 2, true);
    expect(work.waiting).toEqual({ forward: 1.5, backward: 0.5 });
    work.clear();
    expect([work.next(), work.waiting]).toEqual([null, { forward: 0, backward: 0 }]);
  });
});

it("the last micro-batches of a step are as many as are under way, and an eighth at most", () => {
  expect(lastFrom(8_192, 8, 31)).toBe(8_192 - 4 * 8 * 31);
  expect(lastFrom(64, 3, 2)).toBe(64 - 8);
  expect(lastFrom(4, 3, 1)).toBe(4);
});
