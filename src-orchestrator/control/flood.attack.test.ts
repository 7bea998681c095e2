import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { historyAnswer } from "../../src-protocol/api.ts";
import { NODE_MESSAGE_LIMIT_BYTES, RECEIPTS_PER_MESSAGE } from "../../src-protocol/control.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { Budget } from "../../src-protocol/budget.ts";
import { Door, LOOPBACK_DOOR_LIMITS, addressOf } from "../../src-protocol/door.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import { receipt } from "../test-support/keys.test-support.ts";
import { DoorList } from "./door-list.ts";
import { RunPages } from "./run-pages.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";
import type { Orchestrator } from "../orchestrator.ts";

const sockets: { destroy(): void }[] = [];
afterEach(() => sockets.splice(0).forEach((socket) => socket.destroy()));

/** A bare TCP connection that says `text` and then waits; `closed` when the other side ended it. */
function dial(
  { url }: Pick<Orchestrator, "url">,
  text: string,
): { socket: Socket; closed: boolean; heard: string } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const dialled = { socket, closed: false, heard: "" };
  sockets.push(socket);
  socket.on("error", () => undefined);
  socket.on("data", (data) => (dialled.heard += data.toString("latin1")));
  socket.on("close", () => (dialled.closed = true));
  if (text !== "") socket.write(text);
  return dialled;
}

const UPGRADE =
  "GET /v1/control HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}\r\n\r\n`;

async function training() {
  const times = { helloTimeoutMs: 2_000, heartbeatMs: 100, deadAfterMs: 5_000 };
  const opened = await openOrchestrator({ steps: null }, { times });
  for (const number of [0, 1, 2]) {
    const node = opened.net.node(opened.orchestrator.url, number);
    // Attackers, nodes and orchestrator share one thread here: training at full speed would leave nothing.
    node.onGrant = (grant) => void setTimeout(() => opened.net.run(grant), 50);
  }
  await until("training", () => opened.orchestrator.host.view().step >= 2, 20_000);
  return opened;
}

describe("F10: strangers hold nothing for long", () => {
  test(
    "who never says hello, or half a request, is ended in seconds; the run goes on",
    { timeout: 60_000 },
    async () => {
      const { orchestrator } = await training();
      const silent = Array.from({ length: 40 }, () => dial(orchestrator, UPGRADE));
      const half = Array.from({ length: 40 }, () => dial(orchestrator, "GET /v1/run HTTP/1.1\r\nHost: 127"));
      const mute = Array.from({ length: 40 }, () => dial(orchestrator, ""));
      const before = orchestrator.host.view().step;
      await until("no hello", () => silent.every(({ closed }) => closed), 15_000);
      expect(silent.filter(({ heard }) => heard.includes("hello-timeout"))).toHaveLength(40);
      await until("half a request", () => [...half, ...mute].every(({ closed }) => closed), 20_000);
      await until("steps go on", () => orchestrator.host.view().step > before);
      expect(orchestrator.host.view()).toMatchObject({ phase: "training", nodes: 3, recoveries: 0 });
    },
  );

  test("a greeting that is too long is not even read", async () => {
    const { orchestrator } = await training();
    const long = new WebSocket(`${orchestrator.url.replace("http", "ws")}/v1/control`);
    long.on("error", () => undefined);
    const closed = new Promise<number>((resolve) => long.on("close", resolve));
    long.on("open", () => long.send("x".repeat(NODE_MESSAGE_LIMIT_BYTES + 1)));
    expect([1006, 1009]).toContain(await closed);
  });

  test("messages of a node fit what may be said in one", () => {
    const signer = createSessionSigner();
    const receipts = Array.from({ length: RECEIPTS_PER_MESSAGE }, () =>
      receipt(
        signer,
        { previous: signer, next: signer },
        {
          runId: "r".repeat(64),
          network: "n".repeat(64),
          stage: 1023,
          step: 2_000_000_000,
          microBatches: 4096,
          tokens: 2 ** 42,
          flops: Number.MAX_SAFE_INTEGER,
          finishedAt: Date.now(),
        },
      ),
    );
    expect(JSON.stringify({ type: "receipts", receipts }).length).toBeLessThan(NODE_MESSAGE_LIMIT_BYTES);
  });
});

describe("a flood", () => {
  test(
    "of 1,500 connections takes its own places only, and honest nodes keep their heartbeats",
    { timeout: 60_000 },
    async () => {
      const { orchestrator, net } = await training();
      const flood = Array.from({ length: 1_500 }, (_, i) => dial(orchestrator, i % 2 === 0 ? "" : UPGRADE));
      await until("most are ended", () => flood.filter(({ closed }) => closed).length >= 1_000, 20_000);
      const before = orchestrator.host.view().step;
      // It has the flood's own address: as nodes do, it comes again when it was ended with the others.
      let honest = net.node(orchestrator.url, 3);
      const isIn = (): boolean => {
        if (honest.closeCode !== null) honest = net.node(orchestrator.url, 3);
        return orchestrator.host.view().nodes === 4;
      };
      await until("somebody honest gets in", isIn, 20_000);
      await until("steps go on", () => orchestrator.host.view().step > before + 2);
      expect(orchestrator.host.view().recoveries).toBe(0);
    },
  );

  test("F9: bogus receipts by the thousand are refused for little, and the run keeps its pace", async () => {
    const { orchestrator, net } = await training();
    const strangers = [3, 4, 5].map((number) => net.node(orchestrator.url, number));
    await until("they are in", () => orchestrator.host.view().nodes === 6);
    const signer = createSessionSigner();
    const bogus = Array.from({ length: RECEIPTS_PER_MESSAGE }, () =>
      receipt(
        signer,
        { previous: signer, next: signer },
        {
          runId: "test",
          stage: 1,
          step: 0,
          finishedAt: 1,
        },
      ),
    );
    const before = orchestrator.host.view().step;
    for (let i = 0; i < 150; i++)
      for (const stranger of strangers) stranger.send({ type: "receipts", receipts: bogus });
    await until("steps go on", () => orchestrator.host.view().step > before + 3, 20_000);
    const answered = strangers.flatMap(({ heard }) => heard.filter(({ type }) => type === "receiptsStored"));
    // 21,600 were sent at once; a burst is answered, the rest waits its turn.
    expect(answered.length).toBeLessThan(450);
    expect(orchestrator.host.view()).toMatchObject({ nodes: 6, recoveries: 0 });
  });

  test("F9: picture and history are made once for all who look", async () => {
    const { orchestrator } = await openOrchestrator({ steps: null });
    let now = 0;
    let read = 0;
    const pages = new RunPages(
      {
        view: () => orchestrator.host.view(),
        block: () => 0,
        points: (sinceStep) => {
          read += 1;
          return [{ step: sinceStep + 1, at: 1, loss: 1, heldOutLoss: null, tokensPerSecond: null }];
        },
      },
      () => now,
    );
    for (let i = 0; i < 1_000; i++) pages.history(i % 4);
    expect(read).toBe(4);
    now = 1_000;
    expect(historyAnswer.parse(JSON.parse(pages.history(3)))).toMatchObject({
      points: [{ step: 4 }],
      next: null,
    });
    expect(read).toBe(5);
    expect(pages.view()).toBe(pages.view());
  });
});

describe("places before the proof", () => {
  class Visitor {
    readonly remoteAddress: string;
    readonly remotePort: number;
    destroyed = false;
    private readonly closers: (() => void)[] = [];
    constructor(remoteAddress: string, remotePort: number) {
      this.remoteAddress = remoteAddress;
      this.remotePort = remotePort;
    }
    once(_event: "close", listener: () => void): void {
      this.closers.push(listener);
    }
    destroy(): void {
      this.destroyed = true;
      this.closers.splice(0).forEach((close) => close());
    }
  }

  test("a flood from one address takes no place of another one, and who has proved a key is not counted", () => {
    const door = new Door({ unproved: 20, unprovedOfAddress: 10, connectionsPerSecond: 1000 }, () => 0);
    const honest = new Visitor("192.0.2.1", 1);
    const known = new Visitor("198.51.100.1", 1);
    door.enter(honest);
    door.enter(known);
    door.proved(known);
    const flood = Array.from({ length: 500 }, (_, i) => new Visitor("198.51.100.1", 100 + i));
    for (const visitor of flood) door.enter(visitor);
    const more = Array.from({ length: 100 }, (_, i) => new Visitor(`203.0.113.${i % 3}`, i));
    for (const visitor of more) door.enter(visitor);
    expect([honest.destroyed, known.destroyed]).toEqual([false, false]);
    expect(door.unproved).toBe(20);
    expect(flood.filter(({ destroyed }) => !destroyed).length).toBeLessThanOrEqual(10);
  });

  test("more connections in a second than anybody needs are ended at once", () => {
    let now = 0;
    const door = new Door({ ...LOOPBACK_DOOR_LIMITS, connectionsPerSecond: 10 }, () => now);
    const visitors = Array.from({ length: 30 }, (_, i) => new Visitor("::ffff:192.0.2.9", i));
    for (const visitor of visitors) door.enter(visitor);
    expect(visitors.filter(({ destroyed }) => destroyed)).toHaveLength(10);
    now = 500;
    const later = Array.from({ length: 6 }, (_, i) => new Visitor("192.0.2.9", 100 + i));
    for (const visitor of later) door.enter(visitor);
    expect(later.filter(({ destroyed }) => destroyed)).toHaveLength(1);
  });

  test("strangers of many addresses together cost no more handshakes than are allowed; who comes for the first time gets in", () => {
    let now = 0;
    const strangers = { perSecond: 20, newPerSecond: 10 };
    const limits = { unproved: 1_000, unprovedOfAddress: 1_000, connectionsPerSecond: 1_000, strangers };
    const door = new Door(limits, () => now);
    const known = new Visitor("198.51.100.1", 1);
    door.enter(known);
    door.proved(known);
    const admitted = (count: number, address: (i: number) => string): number =>
      Array.from({ length: count }, (_, i) => door.admits({ remoteAddress: address(i) })).filter(Boolean)
        .length;
    // The first rush: each of the 32 is new a few times, until that budget is spent.
    expect(admitted(5_000, (i) => `203.0.113.${i % 32}`)).toBeLessThanOrEqual(20 + 4 * 10);
    now = 1_000;
    for (let second = 0; second < 10; second++, now += 1_000) {
      expect(admitted(1_000, (i) => `203.0.113.${i % 32}`)).toBe(20);
      expect(admitted(1, () => `192.0.2.${second}`)).toBe(1);
      expect(admitted(50, () => "198.51.100.1")).toBe(50);
    }
    known.destroy();
    expect(admitted(50, () => "198.51.100.1")).toBeLessThan(50);
  });

  test("who is not admitted costs a served network no socket: the system closes it before there is one", async () => {
    const door = new Door({ unproved: 100, unprovedOfAddress: 100, connectionsPerSecond: 5 }, () => 0);
    let made = 0;
    const server = createServer({ blockList: new DoorList(door) }, () => (made += 1));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const dialled = Array.from({ length: 60 }, () => dial({ url }, ""));
    await until("those are closed", () => dialled.filter(({ closed }) => closed).length === 50);
    expect(made).toBe(10);
    server.close();
  });

  test("one home is one address, whatever form it has", () => {
    expect(addressOf({ remoteAddress: "::ffff:192.0.2.9" })).toBe("192.0.2.9");
    expect(addressOf({ remoteAddress: "2001:db8:1:2:3:4:5:6" })).toBe(
      addressOf({ remoteAddress: "2001:db8:1:2:ffff::1" }),
    );
  });

  test("a budget is paid off with time, and forgets nobody who owes", () => {
    let now = 0;
    const budget = new Budget({ perSecond: 10, burst: 20 }, () => now);
    expect(budget.owe("a", 30)).toBe(1000);
    expect(budget.take("a")).toBe(false);
    expect(budget.take("b", 20)).toBe(true);
    now = 1100;
    expect(budget.take("a")).toBe(true);
  });
});
