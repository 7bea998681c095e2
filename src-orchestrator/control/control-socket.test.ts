import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import { CONTROL_PROTOCOL, isCounted, LOOPBACK_CHANNEL, proofText } from "../../src-protocol/control.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { CONTROL_TIMES, LOOKS_BEFORE_DEAD } from "./control-socket.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import type { FakeNode } from "../test-support/fake-node.test-support.ts";
import { TEST_NETWORK, delegate, hotkey } from "../test-support/keys.test-support.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";

const refusal = async (node: FakeNode): Promise<string | undefined> => {
  await until("the connection is closed", () => node.closeCode !== null, 4_000);
  const said = node.heard.findLast((message) => message.type === "refused");
  return said?.type === "refused" ? said.code : undefined;
};

test("three nodes form a pipeline and train to the end", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: 5 });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("finished", () => orchestrator.host.view().phase === "finished");
  expect(orchestrator.host.view()).toMatchObject({ step: 5, heldOutLoss: 4, nodes: 3, recoveries: 0 });
  expect(orchestrator.host.view().loss).toBeCloseTo(4.6);
  await until("all receipts are stored", () => net.nodes.every((node) => node.stored.size === 5));
});

test("a node that dies is replaced by the spare one", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  for (const number of [0, 1, 2, 3]) net.node(orchestrator.url, number);
  await until(
    "a spare and some steps",
    () => orchestrator.host.view().nodes === 4 && orchestrator.host.view().step >= 5,
  );
  const before = orchestrator.host.view();
  const died = net.nodes.find((node) => node.assignment?.stage === 1);
  died?.kill();
  // In less than two seconds on a quiet computer.
  await until("recovered", () => orchestrator.host.view().recoveries === 1, 20_000);
  const after = orchestrator.host.view();
  expect(after.stages[1]?.holder?.hotkey).not.toBe(before.stages[1]?.holder?.hotkey);
  expect(after.lastRecoveryMs).toBeLessThan(2_000);
  expect(after.nodes).toBe(3);
});

test("a node that falls silent without closing is noticed, and its stage goes to the same node when it returns", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("some steps", () => orchestrator.host.view().step >= 3);
  const silent = net.nodes.find((node) => node.assignment?.stage === 2);
  if (silent === undefined) throw new Error("nobody has stage 2");
  silent.mute = true;
  await until("noticed", () => orchestrator.host.view().phase === "waiting", 4_000);
  expect(orchestrator.host.view().detail).toContain("slice 3 is looking for a home");
  expect(orchestrator.host.view().stages[2]?.holder?.connected).toBe(false);
  const { step } = orchestrator.host.view();
  const back = net.node(orchestrator.url, 2, { disk: silent.disk });
  await until("training again", () => orchestrator.host.view().recoveries === 1);
  expect(back.assignment?.stage).toBe(2);
  expect(back.assignment?.resumeStep).toBeGreaterThanOrEqual(step - 1);
});

test("a node that leaves with a drain is let go at once", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("training", () => orchestrator.host.view().phase === "training");
  net.nodes[0]?.send({ type: "drain", reason: "paused" });
  await until("it left", () => net.nodes[0]?.closeCode === 1000);
  expect(orchestrator.host.view()).toMatchObject({ phase: "waiting", nodes: 2 });
});

test("the same session key has one live connection: the newer one", async () => {
  const { orchestrator, net } = await openOrchestrator();
  const signer = createSessionSigner();
  const first = net.node(orchestrator.url, 0, { signer });
  await until("joined", () => orchestrator.host.view().nodes === 1);
  net.node(orchestrator.url, 0, { signer });
  expect(await refusal(first)).toBe("session-replaced");
  expect(orchestrator.host.view().nodes).toBe(1);
});

test("a node that comes by another connection goes on where it was: nobody leaves, and what was lost is said again", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("some steps", () => orchestrator.host.view().step >= 3);
  const head = net.nodes.find((node) => node.assignment?.stage === 0);
  if (head === undefined) throw new Error("nobody has stage 1");
  head.mute = true;
  const heard = head.heard.filter(isCounted).length;
  const said = head.said.filter(isCounted).length;
  await until("a grant is lost", () => head.heard.filter(isCounted).length > heard);
  const { step } = orchestrator.host.view();
  const again = net.node(orchestrator.url, net.nodes.indexOf(head), {
    signer: head.signer,
    disk: head.disk,
    before: { lane: head.lane, heard },
  });
  again.assignment = head.assignment;
  await until("it goes on", () => orchestrator.host.view().step > step + 2);
  expect(orchestrator.host.view()).toMatchObject({ recoveries: 0, nodes: 3 });
  expect(again.heard.filter(({ type }) => type === "assign")).toEqual([]);
  const welcome = again.heard.find((message) => message.type === "welcome");
  expect(welcome).toMatchObject({ heard: said });
});

test("nodes that share stages are asked for a sign of life, and answer as any WebSocket does", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null }, { replicas: 2 });
  const told = vi.spyOn(orchestrator.host, "dispatch");
  for (const number of [0, 1, 2, 3]) net.node(orchestrator.url, number);
  const alive = (): Set<string> =>
    new Set(told.mock.calls.flatMap(([event]) => (event.type === "alive" ? [event.sessionKey] : [])));
  await until("the three who begin have answered", () => alive().size >= 3);
  expect(orchestrator.host.view().stages.every(({ replicas }) => replicas?.live === 1)).toBe(true);
});

test("who says it heard what was never said begins anew", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  const first = net.node(orchestrator.url, 0);
  await until("joined", () => orchestrator.host.view().nodes === 1);
  await until("welcome", () => first.lane !== "");
  const again = net.node(orchestrator.url, 0, {
    signer: first.signer,
    before: { lane: first.lane, heard: 99 },
  });
  expect(await refusal(first)).toBe("session-replaced");
  await until("welcome", () => again.heard.some(({ type }) => type === "welcome"));
  expect(again.heard.find(({ type }) => type === "welcome")).not.toHaveProperty("heard");
  expect(again.lane).not.toBe(first.lane);
});

test("who has not heard the welcome before this one does not go on from there", async () => {
  const { orchestrator, net } = await openOrchestrator({ steps: null });
  const first = net.node(orchestrator.url, 0);
  await until("welcome", () => first.lane !== "");
  const again = net.node(orchestrator.url, 0, {
    signer: first.signer,
    before: { lane: "0".repeat(16), heard: 0 },
  });
  await until("welcome", () => again.lane !== "");
  expect(again.heard.find(({ type }) => type === "welcome")).not.toHaveProperty("heard");
});

test("who cannot say who they are is refused with the reason", async () => {
  const { orchestrator, net } = await openOrchestrator();
  const { url } = orchestrator;
  const signer = createSessionSigner();
  const me = hotkey(0);
  const capabilities = { platform: "x", threads: 1, memoryBytes: 1, executionProvider: "cpu" };
  const delegation = delegate(me, signer.publicKey);
  const linkAddress = { host: "127.0.0.1", port: 9 };
  const hello = {
    type: "hello",
    protocol: CONTROL_PROTOCOL,
    delegation,
    capabilities,
    linkAddress,
    restorable: [],
  };
  const proof = (nonce: string, network = TEST_NETWORK) => ({
    type: "proof",
    signature: signer.sign(proofText(network, nonce, LOOPBACK_CHANNEL)),
  });
  const cases: [string, (nonce: string) => unknown[]][] = [
    ["hello-timeout", () => []],
    ["hello-timeout", () => [hello]],
    ["bad-message", (nonce) => [proof(nonce), hello]],
    ["bad-message", () => [{ type: "heartbeat" }]],
    ["bad-message", () => ["nonsense"]],
    ["bad-message", () => [{ ...hello, extra: "x".repeat(60_000) }]],
    ["bad-message", (nonce) => [hello, proof(nonce), { type: "saved", generation: -1, step: 0 }]],
    ["bad-message", (nonce) => [hello, proof(nonce), hello]],
    ["protocol-mismatch", () => [{ ...hello, protocol: CONTROL_PROTOCOL + 1 }]],
    ["bad-proof", () => [hello, proof("0".repeat(64))]],
    ["bad-proof", (nonce) => [hello, proof(nonce, "elsewhere")]],
    [
      "delegation-other-network",
      (nonce) => [{ ...hello, delegation: delegate(me, signer.publicKey, "x") }, proof(nonce)],
    ],
    [
      "delegation-expired",
      (nonce) => [{ ...hello, delegation: delegate(me, signer.publicKey, TEST_NETWORK, 1e12) }, proof(nonce)],
    ],
    [
      "delegation-forged",
      (nonce) => [{ ...hello, delegation: { ...delegation, signature: me.sign("x") } }, proof(nonce)],
    ],
  ];
  for (const [code, greeting] of cases) {
    expect([greeting.toString(), await refusal(net.node(url, 0, { greeting }))]).toEqual([
      greeting.toString(),
      code,
    ]);
  }
  expect(orchestrator.host.view().nodes).toBe(0);
});

test("a run of the class exact takes only nodes whose own test gave its bits, and tells the others why", async () => {
  const { orchestrator, net } = await openOrchestrator({ arithmetic: "exact", kernels: KERNELS.exact });
  const join = (exact: boolean | undefined) => {
    const signer = createSessionSigner();
    const capabilities = { platform: "x", threads: 1, memoryBytes: 8e9, executionProvider: "cpu", exact };
    const hello = {
      type: "hello",
      protocol: CONTROL_PROTOCOL,
      delegation: delegate(hotkey(0), signer.publicKey),
      capabilities,
      linkAddress: { host: "127.0.0.1", port: 9 },
      restorable: [],
    };
    return net.node(orchestrator.url, 0, {
      greeting: (nonce) => [
        hello,
        { type: "proof", signature: signer.sign(proofText(TEST_NETWORK, nonce, LOOPBACK_CHANNEL)) },
      ],
    });
  };
  expect(await refusal(join(false))).toBe("not-exact");
  expect(await refusal(join(undefined))).toBe("not-exact");
  const holder = join(true);
  await until("welcome", () => holder.heard.some(({ type }) => type === "welcome"));
});

test("a message beyond the size limit ends the connection", async () => {
  const { orchestrator } = await openOrchestrator();
  const socket = new WebSocket(`${orchestrator.url.replace("http", "ws")}/v1/control`);
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  socket.on("error", () => {});
  socket.on("open", () => socket.send("x".repeat(1_100_000)));
  expect(await closed).toBe(1009);
});

test("a node that falls silent is noticed within 6 s, also when that was just looked at", () => {
  const { deadAfterMs } = CONTROL_TIMES;
  expect(deadAfterMs + deadAfterMs / LOOKS_BEFORE_DEAD).toBeLessThan(6_000);
});
