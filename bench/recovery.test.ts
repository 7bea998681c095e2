import { expect, it } from "vitest";
import { until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
import { LossAlone } from "./loss-alone.ts";
import { ReplicaNetwork } from "./recovery-network.ts";

it(
  "a computer that has said when it ends hands over before: its end costs nothing",
  { timeout: 120_000 },
  async () => {
    const network = await ReplicaNetwork.start({ stages: 2, replicas: 2, size: "tiny" });
    try {
      await network.whole(60_000);
      await network.steps(2, 60_000);
      const [leaving] = network.victims([1]);
      if (leaving === undefined) throw new Error("nobody has the second stage");
      // A slow start may have had some done again already.
      const redone = network.redone();
      network.declareEnd(leaving, 9_000);
      await until("it has no part in the steps any more", () => network.live[1] === 1, 30_000);
      const { recoveries } = network;
      process.kill(leaving.pid, "SIGKILL");
      await network.steps(3, 60_000);
      expect(network.recoveries).toBe(recoveries);
      expect(network.redone()).toEqual(redone);
    } finally {
      await network.end();
    }
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
      const { work } = network;
      const redone = network.redone();
      await network.steps(3, 60_000);
      // A slow computer may have had some done again; nothing else is worked on twice.
      const { passes, stepsLost } = network.workSince(work);
      const again = passes.reduce((sum, each) => sum + each, 0);
      const { byLostStages, byOthers } = network.redone();
      expect(stepsLost).toBe(0);
      expect(Math.min(...passes)).toBeGreaterThanOrEqual(0);
      expect(again).toBeLessThanOrEqual(
        2 * (byLostStages + byOthers - redone.byLostStages - redone.byOthers),
      );

      await network.killOrchestrator();
      await network.whole(60_000);
      await network.steps(3, 60_000);
      // The newest step may not have been on its disk.
      expect(network.workSince(work).stepsLost).toBeLessThanOrEqual(1);
      expect(await alone.differenceOf(network.points)).toBe(0);
    } finally {
      await alone.end();
      await network.end();
    }
  },
);
