import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { ServedNetwork } from "../../src-protocol/daemon-ipc.ts";
import type { AskedOperator } from "../../src-protocol/go-back.ts";
import { openOrchestrator } from "../../src-orchestrator/orchestrator.test-support.ts";
import type { Orchestrator } from "../../src-orchestrator/orchestrator.ts";
import { storeRow } from "../../src-orchestrator/stores/run-store.ts";
import { FakeNet, until } from "../../src-orchestrator/test-support/fake-node.test-support.ts";
import { temporaryFolder } from "../../src-orchestrator/test-support/folder.test-support.ts";
import { AskedHere } from "./asked-here.ts";

const SERVED: ServedNetwork = {
  name: "Kitchen",
  operator: "Anna",
  open: true,
  page: false,
  addresses: [{ host: "127.0.0.1", port: null }],
  certificate: null,
};

/** What is given up of a network that knows of 40 steps. */
const ALL = { resumeStep: 0, lostSteps: 40 };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** What is told about the network that is served from this folder, the last first. */
function watched(networkFolder: string) {
  const told: (AskedOperator | null)[] = [];
  const notes: string[] = [];
  const asked = new AskedHere({
    networkFolder,
    tell: (question) => told.unshift(question),
    onNote: (text) => notes.push(text),
  });
  stops.push(() => asked.stop());
  asked.start();
  return { asked, told, notes };
}

/** A network that knows of 40 steps, and three computers that have none of them. */
async function oneThatLost(
  served: ServedNetwork | null,
): Promise<{ folder: string; orchestrator: Orchestrator }> {
  const folder = join(temporaryFolder(), "network");
  mkdirSync(folder);
  const options = { folder, served };
  const { orchestrator: first } = await openOrchestrator({}, options);
  const point = { step: 40, at: Date.now(), loss: 2, heldOutLoss: null, tokensPerSecond: null };
  storeRow(first.store, first.host.run.runId, { kind: "point", point });
  await first.close();
  const { orchestrator } = await openOrchestrator({}, options);
  const net = new FakeNet();
  stops.push(() => net.close());
  for (const number of [1, 2, 3]) net.node(orchestrator.url, number);
  return { folder, orchestrator };
}

async function serveOneThatLost() {
  const lost = await oneThatLost(SERVED);
  await until("the operator is asked", () => lost.orchestrator.host.question() !== null);
  return lost;
}

test("what a network that is served from here asks is told, and answered with the owner's word", async () => {
  const { folder, orchestrator } = await serveOneThatLost();
  const { asked, told, notes } = watched(folder);
  await until("it is told", () => told.length > 0);
  expect(told[0]).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{16}$/),
    network: "Kitchen",
    resumeStep: 0,
    lostSteps: 40,
  });

  for (const less of [
    { resumeStep: 20, lostSteps: 40 },
    { resumeStep: 0, lostSteps: 39 },
  ])
    await expect(asked.goBack(less), "agreed to less than it is by now").rejects.toMatchObject({
      code: "question-changed",
    });
  expect(told, "it is still asked").toHaveLength(1);

  expect(await asked.goBack(ALL)).toEqual(ALL);
  expect(told[0]).toBeNull();
  expect(notes).toEqual([
    "Kitchen waits for your decision: to go on from step 0, 40 steps would be lost.",
    "You have given up 40 steps: your network goes on from step 0.",
  ]);
  await until("they train", () => orchestrator.host.view().phase === "training");
  await expect(asked.goBack(ALL)).rejects.toMatchObject({ code: "nothing-asked" });
});

test("a network that has ended asks nothing any more, and cannot be answered", async () => {
  const { folder, orchestrator } = await serveOneThatLost();
  const { asked, told } = watched(folder);
  await until("it is told", () => told.length > 0);
  await orchestrator.close();
  await expect(asked.goBack(ALL)).rejects.toMatchObject({ code: "network-not-served" });
});

test("where none is served there is nothing to decide", async () => {
  const { asked, told } = watched(temporaryFolder());
  await expect(asked.goBack(ALL)).rejects.toMatchObject({ code: "network-not-served" });
  expect(told).toEqual([]);
});

test("a network for this computer alone asks nobody: it goes on with what is there", async () => {
  const { orchestrator, folder } = await oneThatLost(null);
  const { asked, told } = watched(folder);
  await until("they train", () => orchestrator.host.view().phase === "training");
  expect(orchestrator.host.pipeline().generation).toBeGreaterThan(0);
  expect(told).toEqual([]);
  await expect(asked.goBack(ALL)).rejects.toMatchObject({ code: "network-not-served" });
});
