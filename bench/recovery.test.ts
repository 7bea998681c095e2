import { expect, it } from "vitest";
import { until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
import { LossAlone } from "./loss-alone.ts";
import { ReplicaNetwork } from "./recovery-network.ts";

/** What it costs that one of two computers ends when it said that it would; null: another one moved meanwhile. */
async function costOfDeclaredEnd() {
  const network = await ReplicaNetwork.start({ stages: 2, replicas: 2, size: "tiny" });
  try {
    await network.whole(60_000);
    await network.steps(2, 60_000);
    const [leaving] = network.victims([1]);
    if (leaving === undefined) throw new Error("nobody has the second stage");
    network.declareEnd(leaving, 9_000);
    const hasLeft = (): boolean => network.live[1] === 1 && !network.works(leaving);
    await until("it has no part in the steps any more", hasLeft, 30_000);
    // One that was slow until now may have had some done again: that is counted when it is done, so with a step.
    await network.steps(2, 60_000);
    const { recoveries, live } = network;
    const redone = network.redone();
    process.kill(leaving.pid, "SIGKILL");
    await network.steps(3, 60_000);
    if (network.live.join() !== live.join()) return null;
    return { recoveries: network.recoveries - recoveries, before: redone, after: network.redone() };
  } finally {
    await network.end();
  }
}

it(
  "a computer that has said when it ends hands over before: its end costs nothing",
  { timeout: 120_000 },
  async () => {
    // Of three computers that are left one may go to the other slice, where it is needed more by what was measured: that
    // has a little done again, and then it is looked at once more.
    let cost = null;
    for (let times = 0; cost === null && times < 4; times++) cost = await costOfDeclaredEnd();
    expect(cost).toEqual({ recoveries: 0, before: cost?.after, after: cost?.before });
  },
);

it(
  "an orchestrator that is killed is there again, and training goes on as if nothing had happened",
  { timeout: 120_000 },
  async () => {
    const network = await ReplicaNetwork.start({
      stages: 2,
      replicas: 2,
      size: "tiny",
      arithmetic: "exact",
      tellsPasses: true,
    });
    const alone = new LossAlone(network.spec, network.corpus, 1);
    try {
      await network.whole(60_000);
      await network.steps(2, 60_000);
      const { work, generation } = network;
      const redone = network.redone();
      // One that is slow, or moves to another slice, has some done again; nothing else is worked on twice.
      const nothingTwice = (): void => {
        const { passes, stepsLost } = network.workSince(work);
        const again = passes.reduce((sum, each) => sum + each, 0);
        const { byLostStages, byOthers } = network.redone();
        expect([stepsLost, byOthers]).toEqual([0, redone.byOthers]);
        expect(Math.min(...passes)).toBeGreaterThanOrEqual(0);
        expect(again).toBeLessThanOrEqual(
          2 * (byLostStages + byOthers - redone.byLostStages - redone.byOthers),
        );
      };
      await network.steps(3, 60_000);
      nothingTwice();

      // In the middle of steps, and once more while it is only just back.
      for (const pauseMs of [0, 37, 400, 1_000]) {
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        await network.killOrchestrator();
      }
      await network.steps(3, 60_000);
      nothingTwice();
      expect(network.generation).toBe(generation);
      expect(await network.receiptsLost()).toBe(0);
      expect(await alone.differenceOf(network.points)).toBe(0);
    } finally {
      await alone.end();
      await network.end();
    }
  },
);
