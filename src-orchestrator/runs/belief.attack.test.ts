import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { MOST_STEPS } from "../../src-protocol/model.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { runDigest } from "../../src-protocol/run-digest.ts";
import { SNAPSHOT_HEADER_BYTES, snapshotDigest } from "../../src-protocol/snapshot.ts";
import type { SnapshotHeader } from "../../src-protocol/snapshot.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import type { FakeNode } from "../test-support/fake-node.test-support.ts";
import { STRANGERS_AFTER_MS } from "./network-state.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";
import type { Orchestrator } from "../orchestrator.ts";
import { SAVED_STATE } from "../stores/saved-state.test-support.ts";

/** Strangers with keys of their own, over real sockets, against a run that was trained by others. */

const MODEL = { width: 8, heads: 2, hidden: 8, vocabulary: 256 };

function smallRun(steps: number | null): Partial<RunSpec> {
  const llama = { kind: "llama", blocks: 3, ropeBase: 10_000, normEpsilon: 1e-5, ...MODEL } as const;
  return { steps, model: llama, checkpointEverySteps: 4, evaluateEverySteps: 5 };
}

/** What a node of `stage` would have on its disk at `step`: all zeros, and in good form. */
function zeros(orchestrator: Orchestrator, stage: number, step: number): { bytes: Buffer; digest: string } {
  const { run, facts } = orchestrator.host;
  const payload = Buffer.alloc((facts[stage]?.parameterCount ?? 0) * 12);
  const header: SnapshotHeader = {
    schema: "train-at-home/snapshot/v1",
    runId: run.runId,
    runSha256: runDigest(run),
    stage,
    step,
    payloadBytes: payload.length,
    payloadCrc32: crc32(payload),
  };
  const block = Buffer.from(JSON.stringify(header).padEnd(SNAPSHOT_HEADER_BYTES));
  return { bytes: Buffer.concat([block, payload]), digest: snapshotDigest(header) };
}

async function upload(orchestrator: Orchestrator, node: FakeNode, bytes: Buffer): Promise<string> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const answer = await fetch(`${orchestrator.url}/v1/blobs/sha256/${sha256}`, {
    method: "PUT",
    body: new Uint8Array(bytes),
    headers: {
      "x-tah-session": node.signer.publicKey,
      "x-tah-signature": node.signer.sign(`blob\n${sha256}\n${bytes.length}`),
    },
  });
  expect(answer.status).toBe(200);
  return sha256;
}

/** An honest run of real sockets that is stopped, and the orchestrator that starts again on its folder. */
async function restarted(steps: number | null, trained: number): Promise<Restarted> {
  const first = await openOrchestrator(smallRun(steps));
  for (const number of [0, 1, 2]) first.net.node(first.orchestrator.url, number);
  await until("an honest history", () => first.orchestrator.host.view().step >= trained);
  const known = first.orchestrator.host.view().step;
  first.net.close();
  await first.orchestrator.close();
  const disks = first.net.nodes.map((node) => node.disk);
  let later = 0;
  const steady = (): number => performance.now() + later;
  const second = await openOrchestrator(smallRun(steps), { folder: first.folder, steady });
  const wait = (): void => {
    later += STRANGERS_AFTER_MS;
  };
  return { ...second, known, disks, wait };
}

interface Restarted extends Awaited<ReturnType<typeof openOrchestrator>> {
  readonly known: number;
  /** So long that nobody waits for those who trained any more. */
  readonly wait: () => void;
  readonly disks: FakeNode["disk"][];
}

/** Three sessions that say they have `step` on their disks, and get the stages in the end. */
async function strangers(attacked: Restarted, step: number): Promise<FakeNode[]> {
  const { orchestrator, net, wait } = attacked;
  const come = (stage: number): FakeNode => {
    const { digest } = zeros(orchestrator, stage, step);
    const node = net.node(orchestrator.url, 3, { disk: new Map([[stage, new Map([[step, digest]])]]) });
    node.onGrant = () => undefined;
    return node;
  };
  const two = [come(0), come(1)];
  await until("two are heard", () => orchestrator.host.view().nodes === 2);
  wait();
  const all = [...two, come(2)];
  await until("they have the stages", () => all.every((node) => node.assignment !== null));
  return all;
}

describe("F1: what a stranger says it has trained", () => {
  test("is not gone on from, not stored, and deletes nothing that was trained", async () => {
    const attacked = await restarted(null, 11);
    const { orchestrator, known, disks, net } = attacked;
    const liars = await strangers(attacked, 3_000_000);
    expect(orchestrator.host.view().step).toBeLessThanOrEqual(known);
    for (const node of liars) {
      const { stage, generation } = node.assignment ?? { stage: 0, generation: 0 };
      const { bytes, digest } = zeros(orchestrator, stage, 3_000_000);
      const sha256 = await upload(orchestrator, node, bytes);
      node.send({ type: "stepped", generation, step: 3_000_000, loss: 0, computeMs: 1 });
      node.send({ type: "saved", generation, step: 3_000_000, ...SAVED_STATE, digest });
      node.send({ type: "checkpoint", generation, step: 3_000_000, sha256, bytes: bytes.length });
    }
    for (const node of liars) node.kill();
    await until("they left", () => orchestrator.host.view().nodes === 0);
    const honest = disks.map((disk, number) => net.node(orchestrator.url, number, { disk }));
    await until("the honest nodes train again", () => orchestrator.host.view().phase === "training");
    await until("and go on", () => orchestrator.host.view().step > known);
    expect(orchestrator.host.view().step).toBeLessThan(3_000_000);
    for (const node of honest) expect(node.assignment?.resumeStep).toBeGreaterThanOrEqual(known - 2);
  });

  test("has to make way when those who trained come back", async () => {
    const attacked = await restarted(null, 11);
    const { orchestrator, known, disks, net } = attacked;
    await strangers(attacked, 3_000_000);
    const honest = disks.map((disk, number) => net.node(orchestrator.url, number, { disk }));
    await until("the honest nodes go on", () => orchestrator.host.view().step > known);
    for (const node of honest) expect(node.assignment?.resumeStep).toBeGreaterThanOrEqual(known - 2);
  });
});

describe("F2: a step beyond what numbers can count", () => {
  test.each([MOST_STEPS, Number.MAX_SAFE_INTEGER])("%d does not hang the orchestrator", async (step) => {
    const attacked = await restarted(null, 6);
    const { orchestrator, disks, net, wait } = attacked;
    for (const stage of [0, 1, 2])
      net.node(orchestrator.url, 3, { disk: new Map([[stage, new Map([[step, "0".repeat(64)]])]]) });
    wait();
    await new Promise((resolve) => setImmediate(resolve));
    const start = performance.now();
    expect((await fetch(`${orchestrator.url}/healthz`)).status).toBe(200);
    expect(performance.now() - start).toBeLessThan(10_000);
    disks.forEach((disk, number) => net.node(orchestrator.url, number, { disk }));
    await until("the honest nodes go on", () => orchestrator.host.view().step > attacked.known);
    expect(process.memoryUsage().heapUsed).toBeLessThan(2 ** 30);
  });
});

describe("F3: the end of a run", () => {
  test("is not believed from three sockets that name its last step and a loss", async () => {
    const attacked = await restarted(5000, 8);
    const { orchestrator, known, disks, net } = attacked;
    const liars = await strangers(attacked, 5000);
    const { generation } = liars[0]?.assignment ?? { generation: 0 };
    for (const node of liars) {
      node.send({ type: "stepped", generation, step: 5000, loss: 0.01, computeMs: 1 });
      node.send({ type: "evaluated", generation, step: 5000, loss: 0.01 });
      node.send({ type: "evaluated", generation, step: known, loss: 0.01 });
    }
    for (const node of liars) node.kill();
    await until("they left", () => orchestrator.host.view().nodes === 0);
    expect(orchestrator.host.view().phase).not.toBe("finished");
    disks.forEach((disk, number) => net.node(orchestrator.url, number, { disk }));
    await until("the honest nodes go on", () => orchestrator.host.view().step > known);
    expect(orchestrator.host.view().heldOutLoss).not.toBe(0.01);
  });
});
