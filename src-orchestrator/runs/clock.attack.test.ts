import { describe, expect, test } from "vitest";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import { TEST_NETWORK, delegate } from "../test-support/keys.test-support.ts";
import { Fleet, testRun } from "./fleet.test-support.ts";
import { nextWake } from "./network.ts";

const HOUR_MS = 3_600_000;
/** As after Windows' local time, an empty battery of the clock, or a correction by hand. */
const JUMPS = [
  ["back by six hours", -6 * HOUR_MS],
  ["ahead by forty minutes", 2 * (HOUR_MS / 3)],
] as const;

/** A real orchestrator that trains with three nodes; `jump` sets its computer's clock. */
async function training() {
  let ahead = 0;
  const now = (): number => Date.now() + ahead;
  const { orchestrator, net } = await openOrchestrator({ steps: null }, { now });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("training", () => orchestrator.host.view().step >= 3);
  const jump = (by: number): void => {
    ahead += by;
  };
  const trainsOn = async (): Promise<void> => {
    const { step } = orchestrator.host.view();
    await until("steps go on", () => orchestrator.host.view().step > step + 3);
  };
  return { orchestrator, net, now, jump, trainsOn };
}

describe.each(JUMPS)("F11: the clock is set %s", (_, by) => {
  test("nobody is lost by it", async () => {
    const { orchestrator, jump, trainsOn } = await training();
    jump(by);
    await trainsOn();
    expect(orchestrator.host.view()).toMatchObject({ nodes: 3, recoveries: 0 });
  });

  test("a node that falls silent just then is noticed as fast as ever", async () => {
    const { orchestrator, net, jump, now } = await training();
    const silent = net.nodes.find(({ assignment }) => assignment?.stage === 1);
    if (silent === undefined) throw new Error("nobody has stage 2");
    silent.mute = true;
    jump(by);
    await until("noticed", () => orchestrator.host.view().nodes === 2, 6_000);
    const signer = createSessionSigner();
    // Its computer's clock is right, as far as this network can tell.
    const delegation = delegate(silent.hotkey, signer.publicKey, TEST_NETWORK, now());
    net.node(orchestrator.url, 1, { disk: silent.disk, signer, delegation });
    await until("replaced", () => orchestrator.host.view().recoveries === 1, 6_000);
    expect(orchestrator.host.view().nodes).toBe(3);
  });

  test("a pause before the pipeline is formed again stays as short as it was", async () => {
    const { orchestrator, net, jump, trainsOn } = await training();
    const [node] = net.nodes;
    const { generation = 0 } = node?.assignment ?? {};
    node?.send({ type: "trouble", generation, code: "link-closed", message: "" });
    await until("it stopped", () => orchestrator.host.view().phase !== "training");
    jump(by);
    await trainsOn();
    expect(orchestrator.host.view()).toMatchObject({ phase: "training", nodes: 3 });
  });

  test("what is kept carries the date that the clock shows", async () => {
    const { orchestrator, jump, trainsOn } = await training();
    jump(by);
    await trainsOn();
    orchestrator.store.flush();
    const rows = orchestrator.store.all("SELECT max(step), at FROM points");
    expect(Math.abs(Number(rows[0]?.at) - (Date.now() + by))).toBeLessThan(60_000);
  });
});

test("F11: whatever the clock shows, everything that waits waits as long", () => {
  const trace = (jump: (fleet: Fleet, at: number) => void): unknown[][] => {
    const fleet = new Fleet(testRun({ steps: null }), 3);
    const seen: unknown[][] = [];
    for (const number of [0, 1, 2]) fleet.join(number);
    for (let round = 0; round < 40; round++) {
      jump(fleet, round);
      if (round % 7 === 3) fleet.leave(round % 3, "silent");
      if (round % 7 === 5) fleet.join((round - 2) % 3);
      for (let left = 3; left > 0; left--) {
        fleet.hearAll();
        fleet.work();
      }
      const wake = nextWake(fleet.state);
      seen.push([fleet.state.phase, fleet.state.generation, fleet.state.step, wake]);
      fleet.tick(round % 3 === 0 && wake !== null ? Math.max(1, wake - fleet.now) : 150);
    }
    return seen;
  };
  const usual = trace(() => undefined);
  expect(usual.map(([phase]) => phase)).toEqual(expect.arrayContaining(["waiting", "training"]));
  expect(trace((fleet, at) => (fleet.clockAhead += (at % 2 === 0 ? -7 : 6) * HOUR_MS))).toEqual(usual);
});
