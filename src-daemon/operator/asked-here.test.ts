import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { ServedNetwork } from "../../src-protocol/daemon-ipc.ts";
import type { AskedOperator } from "../../src-protocol/go-back.ts";
import { OPERATOR_FILE_NAME } from "../../src-protocol/operator.ts";
import type { OperatorFile } from "../../src-protocol/operator.ts";
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
    now: Date.now,
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

describe("a desk that does not always answer", () => {
  const ASKED: AskedOperator = { id: "ab".repeat(8), network: "Kitchen", resumeStep: 0, lostSteps: 40 };

  /** A desk whose answers are given here, one a look; null: the line is cut. Nothing looks by itself. */
  async function desk() {
    const networkFolder = join(temporaryFolder(), "network");
    mkdirSync(networkFolder);
    let answer: { asked: AskedOperator | null } | null = { asked: null };
    const server = createServer((request, response) => {
      if (answer === null) request.destroy();
      else response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    stops.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const file = join(networkFolder, OPERATOR_FILE_NAME);
    const here: OperatorFile = { url: `http://127.0.0.1:${port}`, token: "t", pid: process.pid };
    writeFileSync(file, JSON.stringify(here));
    const told: (AskedOperator | null)[] = [];
    const notes: string[] = [];
    let now = 0;
    const asked = new AskedHere({
      networkFolder,
      tell: (question) => told.unshift(question),
      onNote: (text) => notes.push(text),
      now: () => now,
    });
    stops.push(() => asked.stop());
    return {
      told,
      notes,
      async look(its: AskedOperator | null | "cut", times = 1) {
        answer = its === "cut" ? null : { asked: its };
        for (let i = 0; i < times; i++) await asked.look();
      },
      pass: (ms: number) => (now += ms),
      endServing: () => rmSync(file),
    };
  }

  test("what it asked last is still asked while it does not answer, and is no news when it does", async () => {
    const { told, notes, look } = await desk();
    await look(ASKED);
    await look("cut", 3);
    await look({ ...ASKED, lostSteps: 41 });
    expect(told).toEqual([{ ...ASKED, lostSteps: 41 }, ASKED]);
    expect(notes).toHaveLength(1);
  });

  test("nothing is asked any more where it does not answer for long, or nobody serves it", async () => {
    const gone = await desk();
    await gone.look(ASKED);
    await gone.look("cut", 20);
    expect(gone.told).toEqual([null, ASKED]);

    const ended = await desk();
    await ended.look(ASKED);
    ended.endServing();
    await ended.look("cut");
    expect(ended.told).toEqual([null, ASKED]);
  });

  test("a question that comes back is noted again when it is another one, or was gone for long", async () => {
    const { told, notes, look, pass } = await desk();
    await look(ASKED);
    await look(null);
    await look(ASKED);
    expect(told, "it cannot be answered in between").toEqual([ASKED, null, ASKED]);
    expect(notes, "a computer was gone for a moment").toHaveLength(1);
    await look(null);
    await look({ ...ASKED, resumeStep: 20, lostSteps: 20 });
    expect(notes).toHaveLength(2);
    await look(null);
    pass(3_600_000);
    await look({ ...ASKED, resumeStep: 20, lostSteps: 20 });
    expect(notes).toHaveLength(3);
  });
});
