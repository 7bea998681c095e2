import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { CONTROL_PROTOCOL, LOOPBACK_CHANNEL, nodeMessage, proofText } from "../../src-protocol/control.ts";
import type { NodeMessage, OrchestratorMessage } from "../../src-protocol/control.ts";
import type { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import { createSessionSigner, verifySession } from "../../src-protocol/signing.ts";
import { Control } from "./control.ts";
import { OrchestratorRoute } from "./orchestrator-route.ts";
import type { Instruction } from "./control.ts";

const signer = createSessionSigner(new Uint8Array(32).fill(9));
const nonce = "cd".repeat(32);
const lane = "01".repeat(8);

let server: WebSocketServer;
let control: Control | null;
let refused: Promise<Failure>;
let offered: (LinkServices | null)[];
let instructions: Instruction[];

beforeEach(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  control = null;
  instructions = [];
  offered = [];
});
afterEach(async () => {
  await control?.close("the test is over", 50);
  for (const client of server.clients) client.terminate();
  server.close();
});

function connect(): void {
  const told = Promise.withResolvers<Failure>();
  refused = told.promise;
  control = new Control({
    route: new OrchestratorRoute(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, null, null),
    delegation: {
      body: {
        network: "n",
        hotkey: ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        sessionKey: signer.publicKey,
        notBefore: 0,
        notAfter: 1,
      },
      signature: `0x${"00".repeat(64)}`,
    },
    signer,
    capabilities: { platform: "linux", threads: 1, memoryBytes: 1, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 1 },
    otherAddresses: () => [{ host: "192.168.1.2", port: 1 }],
    onServices: (services) => void offered.push(services),
    restorable: () => [{ runId: "r", stage: 2, steps: [{ step: 4, digest: nonce }] }],
    onInstruction: (instruction) => instructions.push(instruction),
    onConnection: () => undefined,
    onRefused: told.resolve,
  });
}

async function arrival(): Promise<WebSocket> {
  const [socket] = (await once(server, "connection")) as [WebSocket];
  return socket;
}

function say(socket: WebSocket, message: OrchestratorMessage): void {
  socket.send(JSON.stringify(message));
}

/** The next `count` messages of the worker; heartbeats come whenever it is time. */
function hear(socket: WebSocket, count: number): Promise<NodeMessage[]> {
  const heard: NodeMessage[] = [];
  return new Promise((resolve) => {
    socket.on("message", (data) => {
      const message = nodeMessage.parse(JSON.parse(String(data)));
      if (message.type === "heartbeat" || heard.length === count) return;
      heard.push(message);
      if (heard.length === count) resolve(heard);
    });
  });
}

it("waits for the challenge, says who it is and proves that it holds the session key", async () => {
  connect();
  const socket = await arrival();
  const heard = hear(socket, 2);
  say(socket, { type: "challenge", protocol: CONTROL_PROTOCOL, network: "n", nonce });
  const [hello, proof] = await heard;
  expect(hello).toMatchObject({
    type: "hello",
    otherAddresses: [{ host: "192.168.1.2", port: 1 }],
    restorable: [{ runId: "r", stage: 2, steps: [{ step: 4, digest: nonce }] }],
  });
  if (proof?.type !== "proof") throw new Error("no proof");
  expect(verifySession(signer.publicKey, proofText("n", nonce, LOOPBACK_CHANNEL), proof.signature)).toBe(
    true,
  );
  expect(control?.send({ type: "ready", generation: 1 })).toBe(false);
});

it("takes another connection when this one does not answer, says again what was not heard, and hears nothing twice", async () => {
  connect();
  const first = await arrival();
  say(first, { type: "welcome", lane });
  say(first, { type: "halt", generation: 1, reason: "one" });
  await vi.waitFor(() => expect(instructions).toHaveLength(1));
  control?.send({ type: "ready", generation: 1 });
  first.pause();
  control?.send({ type: "ready", generation: 2 });
  control?.doubt();
  const second = await arrival();
  const heard = hear(second, 4);
  say(second, { type: "challenge", protocol: CONTROL_PROTOCOL, network: "n", nonce });
  expect(control?.send({ type: "ready", generation: 3 })).toBe(false);
  say(second, { type: "welcome", lane, heard: 1 });
  const [hello, , ...again] = await heard;
  expect(hello).toMatchObject({ type: "hello", lane, heard: 1 });
  expect(again).toEqual([
    { type: "ready", generation: 2 },
    { type: "ready", generation: 3 },
  ]);
});

it("does not say again to an orchestrator that begins anew", async () => {
  connect();
  const first = await arrival();
  say(first, { type: "welcome", lane });
  await vi.waitFor(() => expect(control?.send({ type: "ready", generation: 1 })).toBe(true));
  first.terminate();
  const second = await arrival();
  const heard = hear(second, 3);
  say(second, { type: "challenge", protocol: CONTROL_PROTOCOL, network: "n", nonce });
  say(second, { type: "welcome", lane });
  await vi.waitFor(() => expect(control?.send({ type: "ready", generation: 9 })).toBe(true));
  expect((await heard)[2]).toEqual({ type: "ready", generation: 9 });
});

it("proves nothing to the orchestrator of another network", async () => {
  connect();
  const socket = await arrival();
  let heard = 0;
  socket.on("message", () => {
    heard += 1;
  });
  say(socket, { type: "challenge", protocol: CONTROL_PROTOCOL, network: "other", nonce });
  expect((await refused).code).toBe("wrong-network");
  expect(heard).toBe(0);
});

it("comes back when the connection is lost, and gives up after three refusals", async () => {
  connect();
  (await arrival()).terminate();
  for (let i = 0; i < 3; i++) {
    say(await arrival(), {
      type: "refused",
      code: "delegation-expired",
      message: "The delegation has expired.",
    });
  }
  expect(await refused).toMatchObject({ code: "delegation-expired", message: "The delegation has expired." });
});

it("passes instructions on and drops a connection that speaks nonsense", async () => {
  connect();
  const socket = await arrival();
  const links = {
    bootstrap: [{ host: "h", port: 1 }],
    datagramRelay: null,
    byteRelay: null,
    refusal: "full",
  };
  say(socket, { type: "welcome", lane, links });
  say(socket, { type: "halt", generation: 3, reason: "a stage was lost" });
  socket.send('{"type":"sing"}');
  await once(socket, "close");
  expect(instructions).toEqual([{ type: "halt", generation: 3, reason: "a stage was lost" }]);
  expect(offered).toEqual([links]);
});
