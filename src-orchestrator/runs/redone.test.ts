import { describe, expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { Homes, run, trained, trainedSlowly } from "../replicas/homes.test-support.ts";
import { redoneFrom } from "./redone.ts";
import { runView } from "./run-view.ts";

const shown = ({ state }: Homes) => runView(state, [], 0).redone;

/** All of stage 1 are killed when every stage has counted all of step 6, and nobody has its sums. */
async function killed(): Promise<{ homes: Homes; restorable: { stage: number; steps: unknown[] }[] }> {
  const homes = new Homes();
  const keys = Array.from({ length: 6 }, () => homes.join());
  await trainedSlowly(homes, 6, 1_500);
  const stage1 = keys.filter((key) => homes.stageOf(key) === 1);
  expect(stage1).toHaveLength(2);
  const claims = [...(homes.state.nodes.get(stage1[0] as SessionKey)?.claims ?? [])];
  for (const key of stage1) homes.mute.add(key);
  await trained(homes, 7);
  expect(homes.state.team?.run?.book.isCommitted).toBe(true);
  for (const key of stage1) homes.leave(key);
  const restorable = claims.map(([stage, steps]) => ({ runId: run.runId, stage, steps: [...steps] }));
  return { homes, restorable };
}

describe("a stage whose replicas are all lost in a step", () => {
  it("does its own part again, when one of them is back, and nobody else repeats anything", async () => {
    const { homes, restorable } = await killed();
    const { generation } = homes.state;
    homes.join({ restorable: restorable as never });
    homes.again(1);
    await trained(homes, 9);
    expect(homes.state).toMatchObject({ generation, step: 9 });
    expect(shown(homes)).toEqual({ byLostStages: 2, byOthers: 0 });
  });

  it("makes the others do the step again when none is back soon, and that is counted, with what its own had to do again", async () => {
    const { homes, restorable } = await killed();
    homes.tick(4_100);
    expect(homes.state.phase).toBe("waiting");
    expect(shown(homes), "of the two micro-batches, its own part").toEqual({ byLostStages: 2, byOthers: 0 });
    homes.join({ restorable: restorable as never });
    expect(homes.state).toMatchObject({ resumeStep: 6, phase: "training" });
    expect(shown(homes), "and those of the two other stages").toEqual({ byLostStages: 2, byOthers: 4 });
    await trained(homes, 9);
    expect(homes.state.step).toBe(9);
    expect(shown(homes)).toEqual({ byLostStages: 2, byOthers: 4 });
  });

  it("makes all do finished steps again, too, where nobody has its states", async () => {
    const { homes } = await killed();
    homes.tick(10_000);
    for (let i = 0; i < 30 && homes.state.phase === "waiting"; i++) homes.tick(30_000);
    expect(homes.state.resumeStep).toBe(0);
    expect(shown(homes)).toEqual({ byLostStages: 2 + 6 * 2, byOthers: 4 + 6 * 2 * 2 });
  });

  it("lets nobody do again what all have the state of", () => {
    const redone = { byLostStages: 1, byOthers: 0 };
    const givenUp = { step: 3, counted: [2, 2, 2], lost: new Set([1]) };
    expect(redoneFrom({ redone, givenUp, run }, 4).redone).toEqual(redone);
    expect(redoneFrom({ redone, givenUp: null, run }, 0)).toEqual({ redone, givenUp: null });
  });

  it("is counted once, and further back where the next pipeline, too, cannot go on from there", () => {
    const givenUp = { step: 3, counted: [2, 2, 2], lost: new Set([1]) };
    const first = redoneFrom({ redone: { byLostStages: 0, byOthers: 0 }, givenUp, run }, 3);
    expect(first.redone, "its sums were taken").toEqual({ byLostStages: 2, byOthers: 4 });
    expect(redoneFrom({ ...first, run }, 3).redone).toEqual(first.redone);
    const second = redoneFrom({ ...first, run }, 2);
    expect(second.redone, "a finished step").toEqual({ byLostStages: 2 + 2, byOthers: 4 + 2 * 2 });
    expect(redoneFrom({ ...second, run }, 3).redone).toEqual(second.redone);
  });
});
