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

test("a count that cannot be is no beginning, and neither is a lane that had to drop something", () => {
  const lane = new ControlLane("a");
  lane.said("one");
  expect([lane.acknowledge(2), lane.acknowledge(1), lane.acknowledge(0)]).toEqual([false, true, false]);
  for (let count = 0; count < 200; count++) lane.said("x".repeat(1_000));
  expect([lane.isWhole, lane.unheard.length, lane.acknowledge(1)]).toEqual([false, 0, false]);
});
