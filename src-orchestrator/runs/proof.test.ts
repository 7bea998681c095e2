import { describe, expect, test } from "vitest";
import { Fleet, testKey, testRun } from "./fleet.test-support.ts";
import type { NetworkState } from "./network-state.ts";

/** Three who train, two who come later. Checkpoints every 2 steps, evaluations every 5. */
function trained(steps: number): Fleet {
  const fleet = new Fleet(testRun({ steps: null, checkpointEverySteps: 2 }), 5);
  for (const number of [0, 1, 2]) fleet.join(number);
  fleet.hearAll();
  work(fleet, steps);
  return fleet;
}

function work(fleet: Fleet, steps: number): void {
  for (let i = 0; i < steps; i++) {
    fleet.now += 100;
    fleet.work();
    fleet.hearAll();
  }
}

/** The tail has measured this at the step where the run stands; the step is made one of evaluation. */
function measure(fleet: Fleet, loss: number): void {
  const { step, generation, stages } = fleet.state;
  fleet.state = {
    ...fleet.state,
    run: { ...fleet.state.run, evaluateEverySteps: 1 },
    evaluatedStep: step - 1,
  };
  fleet.say(stages.at(-1)?.holder ?? testKey(0), { type: "evaluated", generation, step, loss });
  fleet.state = { ...fleet.state, run: fleet.run };
}

const kept = ({ stages }: NetworkState) => stages.map(({ checkpoints }) => [...checkpoints.keys()]);

/** Everybody who trained goes; two strangers and one of them have the stages. */
function takenOver(fleet: Fleet): void {
  const tail = fleet.computers.find((one) => one.assignment?.stage === 2)?.number ?? -1;
  for (const number of [3, 4]) fleet.join(number);
  fleet.leave(tail);
  fleet.hearAll();
}

describe("the last good checkpoint", () => {
  test("is the newest that a known node found no worse", () => {
    const fleet = trained(7);
    expect(fleet.state.proved).toEqual({ step: 4, loss: 5.95 });
    measure(fleet, 5.9);
    expect(fleet.state.proved).toEqual({ step: 6, loss: 5.9 });
  });

  test("is kept while strangers measure, however far they get", () => {
    const fleet = trained(7);
    takenOver(fleet);
    const tail = fleet.state.nodes.get(fleet.state.stages[2]?.holder ?? testKey(0));
    expect(tail === undefined || fleet.state.trusted.has(tail.hotkey)).toBe(false);
    work(fleet, 30);
    expect(fleet.state.step).toBeGreaterThan(30);
    expect(fleet.state.proved?.step).toBe(4);
    for (const steps of kept(fleet.state)) expect(steps).toContain(4);
  });

  test("comes back by itself when a known node finds that the held-out loss has jumped", () => {
    const fleet = trained(7);
    takenOver(fleet);
    work(fleet, 6);
    const stranger = fleet.computers.find((one) => one.assignment?.stage === 2)?.number ?? -1;
    measure(fleet, 99);
    expect(fleet.state.phase, "a stranger's word changes nothing").toBe("training");
    expect(fleet.state.proved?.step).toBe(4);
    fleet.leave(stranger);
    for (const number of [0, 1, 2]) fleet.join(number);
    fleet.hearAll();
    work(fleet, 1);
    measure(fleet, 99);
    expect(fleet.state.step).toBe(4);
    expect(fleet.state.heldOutLoss).toBe(5.95);
    fleet.hearAll();
    work(fleet, 4);
    expect(fleet.state.step).toBe(8);
    expect(Math.max(...kept(fleet.state).flat())).toBe(8);
  });

  test("is not gone back to for ever: what training itself leads to is let go on", () => {
    const fleet = trained(7);
    for (let i = 0; i < 2; i++) {
      measure(fleet, 99);
      expect(fleet.state.step).toBe(4);
      fleet.hearAll();
      work(fleet, 1);
    }
    const { step } = fleet.state;
    measure(fleet, 99);
    expect(fleet.state.step).toBe(step);
    expect(fleet.state.proved?.loss).toBe(99);
  });
});

test("a stranger's word costs nobody a stage who has done good work", () => {
  const fleet = trained(7);
  takenOver(fleet);
  const known = [0, 1].map((stage) => fleet.state.stages[stage]?.holder);
  for (let round = 0; round < 6; round++) {
    const holder = fleet.state.stages[2]?.holder;
    if (holder === null || holder === undefined) break;
    const { generation } = fleet.state;
    fleet.say(holder, { type: "trouble", generation, code: "link-closed", message: "" });
    fleet.tick(5_000);
  }
  expect(fleet.state.stages.slice(0, 2).map(({ holder }) => holder)).toEqual(known);
});
