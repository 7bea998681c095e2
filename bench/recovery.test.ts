import { expect, it } from "vitest";
import { until } from "../src-orchestrator/test-support/fake-node.test-support.ts";
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
