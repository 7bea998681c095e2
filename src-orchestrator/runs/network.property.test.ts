import fc from "fast-check";
import { expect, test } from "vitest";
import { Fleet, testRun } from "./fleet.test-support.ts";
import type { RunMessage } from "./network-state.ts";
import { TRAINING_SHARE } from "./placement.ts";

/**
 * Whatever happens to nodes and messages, these hold. The fleet itself throws when a node is asked
 * to restore a step that is not on its disk, or to work on a step it is not at.
 */
function checkInvariants(fleet: Fleet): void {
  const { state } = fleet;
  const held = state.stages.flatMap((stage) => (stage.holder === null ? [] : [stage.holder]));
  expect(new Set(held).size, "a node holds one stage").toBe(held.length);
  for (const key of held) expect(state.nodes.has(key), "holders are live").toBe(true);
  for (const [index, { holder }] of state.stages.entries()) {
    const bytes = holder === null ? Infinity : (state.nodes.get(holder)?.memoryBytes ?? 0);
    expect(bytes * TRAINING_SHARE, "a holder has the memory").toBeGreaterThanOrEqual(state.needs[index] ?? 0);
  }
  const saved = Math.min(...state.stages.map((stage) => stage.saved));
  expect(state.nextGrant - 1, "never granted beyond saved + 1").toBeLessThanOrEqual(saved + 1);
  expect(
    state.phase !== "training" || held.length === state.stages.length,
    "nobody trains with a stage missing",
  ).toBe(true);
  for (const stage of state.stages)
    expect(stage.stepped).toBeLessThanOrEqual(Math.max(state.nextGrant, state.step));
  expect(state.step).toBeLessThanOrEqual(fleet.run.steps ?? Infinity);
  if (state.phase !== "forming") return;
  const stored = state.stages.map((stage) => [0, ...stage.checkpoints.keys()]);
  const complete = Math.max(
    ...(stored[0] ?? [0]).filter((step) => stored.every((steps) => steps.includes(step))),
  );
  expect(state.step, "never behind what is stored").toBeGreaterThanOrEqual(complete);
}

const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("join" as const), who: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("leave" as const),
      who: fc.nat(4),
      cause: fc.constantFrom("closed" as const, "silent" as const, "drained" as const),
    }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant("hear" as const), who: fc.nat(4) }) },
  { weight: 8, arbitrary: fc.constant({ do: "work" as const }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("tick" as const), ms: fc.integer({ min: 1, max: 7_000 }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("repeat" as const), which: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trouble" as const), who: fc.nat(4) }) },
);

test("no order of joins, deaths, restarts and late or repeated messages breaks a run, and it ends when nodes stay", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), fc.integer({ min: 1, max: 3 }), (commands, stages) => {
      const fleet = new Fleet(
        testRun({ stages, steps: 9, checkpointEverySteps: 3, evaluateEverySteps: 4 }),
        5,
        [1, 5, 1],
        [8, 4, 8, 8, 4],
      );
      const heard: { from: Parameters<Fleet["say"]>[0]; message: RunMessage }[] = [];
      for (const one of commands) {
        switch (one.do) {
          case "join":
            fleet.join(one.who);
            break;
          case "leave":
            fleet.leave(one.who, one.cause);
            break;
          case "hear": {
            const said = fleet.computer(one.who).outbox[0];
            if (said !== undefined) heard.push(said);
            fleet.hear(one.who);
            break;
          }
          case "work":
            fleet.work();
            break;
          case "tick":
            fleet.tick(one.ms);
            break;
          case "repeat": {
            const again = heard[one.which % Math.max(1, heard.length)];
            if (again !== undefined) fleet.say(again.from, again.message);
            break;
          }
          case "restart":
            fleet.restart();
            break;
          case "trouble": {
            const from = fleet.computer(one.who).session;
            const { generation } = fleet.state;
            if (from !== null)
              fleet.say(from, { type: "trouble", generation, code: "link-closed", message: "" });
            break;
          }
        }
        checkInvariants(fleet);
      }
      for (const one of fleet.computers) fleet.join(one.number);
      for (let i = 0; i < 60 && fleet.state.phase !== "finished"; i++) {
        fleet.tick(5_000);
        fleet.hearAll();
        fleet.work();
        fleet.hearAll();
        checkInvariants(fleet);
      }
      expect(fleet.state.phase).toBe("finished");
      expect(fleet.state.step).toBe(9);
    }),
    { seed: 20_261_123, numRuns: 500 },
  );
});
