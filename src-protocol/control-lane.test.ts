import fc from "fast-check";
import { expect, test } from "vitest";
import { ControlLane } from "./control-lane.ts";

test("wherever connections break, each message is heard once and in its order", () => {
  const step = fc.constantFrom("say", "say", "hear", "hear", "acknowledge", "break");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const [said, heard] = [new ControlLane("a"), new ControlLane("a")];
      const all: string[] = [];
      const arrived: string[] = [];
      let road: string[] = [];
      let refusals = 0;
      const hear = (): void => {
        const text = road.shift();
        if (text === undefined) return;
        heard.hears();
        arrived.push(text);
      };
      for (const what of steps) {
        if (what === "say") {
          const text = `message ${all.length}`;
          all.push(text);
          said.said(text);
          road.push(text);
        } else if (what === "hear") hear();
        else {
          refusals += said.acknowledge(heard.heard) ? 0 : 1;
          if (what === "break") road = [...said.unheard];
        }
      }
      while (road.length > 0) hear();
      expect([refusals, arrived]).toEqual([0, all]);
    }),
    { seed: 5 },
  );
});

test("a count that cannot be is no beginning, and neither is one of which too much has come since", () => {
  const lane = new ControlLane("a");
  lane.said("one");
  expect([lane.acknowledge(2), lane.acknowledge(1), lane.acknowledge(0)]).toEqual([false, true, false]);
  for (const length of [1_000, 1]) {
    for (let count = 0; count < 2_000; count++) lane.said("x".repeat(length));
    const kept = [lane.unheard.length, lane.unheard.join("").length];
    expect(Math.max(...kept)).toBeLessThan(140_000);
    expect(Math.min(...kept)).toBeGreaterThan(60);
    expect(lane.unheard.length).toBeLessThan(1_100);
    expect(lane.acknowledge(1)).toBe(false);
  }
  // Who has heard all meanwhile is not held to that.
  expect(lane.acknowledge(4_001)).toBe(true);
  lane.said("two");
  expect([...lane.unheard]).toEqual(["two"]);
  expect(lane.acknowledge(4_002)).toBe(true);
});

test("one that is longer than what is kept is not kept", () => {
  const lane = new ControlLane("a");
  lane.said("x".repeat(1_000_000));
  expect([lane.unheard, lane.acknowledge(0), lane.acknowledge(1)]).toEqual([[], false, true]);
});

test("as data and back it is the same", () => {
  const lane = new ControlLane("a");
  for (const text of ["one", "two", "three"]) lane.said(text);
  lane.hears();
  lane.acknowledge(1);
  const back = ControlLane.from(structuredClone(lane.toKept()));
  expect([back.id, back.heard, [...back.unheard]]).toEqual(["a", 1, ["two", "three"]]);
  expect([back.acknowledge(4), back.acknowledge(2), back.unheard]).toEqual([false, true, ["three"]]);
});
