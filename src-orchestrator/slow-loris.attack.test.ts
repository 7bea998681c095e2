import { get } from "node:https";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { throughRelay } from "../src-worker/links/relay/relay-dial.ts";
import { openOrchestrator } from "./orchestrator.test-support.ts";
import { ByteRelay } from "./relay/byte-relay.ts";
import { PairList } from "./relay/pair-list.ts";
import { RelayRates } from "./relay/relay-rates.ts";
import { until } from "./test-support/fake-node.test-support.ts";
import { temporaryFolder } from "./test-support/folder.test-support.ts";

/** Strangers that begin and never end: each holds a place for seconds, and honest clients are served meanwhile. */

const HOST = "127.0.0.1";
const MEGABYTE = 1024 * 1024;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Slow {
  closed: boolean;
}

/** Says `text` at once, and then a byte of `drip` every 200 ms for as long as it is let. */
function slowly(socket: Socket, text: string, drip = ""): Slow {
  const slow: Slow = { closed: false };
  let at = 0;
  const timer = setInterval(() => {
    if (drip !== "" && socket.writable) socket.write(drip[at++ % drip.length] ?? "");
  }, 200);
  const end = (): void => {
    clearInterval(timer);
    socket.destroy();
  };
  ends.push(end);
  socket.on("error", () => undefined);
  socket.on("close", () => {
    slow.closed = true;
    end();
  });
  socket.resume();
  if (text !== "") socket.write(text);
  return slow;
}

const many = (count: number, make: (index: number) => Slow): Slow[] =>
  Array.from({ length: count }, (_, index) => make(index));
const allClosed = (slow: readonly Slow[]): boolean => slow.every(({ closed }) => closed);

describe("slow-loris", () => {
  test(
    "at the orchestrator's HTTP: heads, bodies and WebSockets that never end; nodes join and train meanwhile",
    { timeout: 60_000 },
    async () => {
      const { orchestrator, net } = await openOrchestrator({ steps: null });
      const port = Number(new URL(orchestrator.url).port);
      const before = process.memoryUsage().rss;
      const dial = (text: string, drip?: string): Slow => slowly(connect(port, HOST), text, drip);
      const head = `Host: ${HOST}:${port}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n`;
      const heads = many(60, () => dial("GET /v1/run HTTP/1.1\r\nHost: ", "x"));
      const mute = many(60, () => dial(""));
      const bodies = many(60, () => dial(`POST /v1/claims HTTP/1.1\r\n${head}\r\n{`, " "));
      const uploads = many(60, () =>
        dial(`PUT /v1/blobs/sha256/${"ab".repeat(32)} HTTP/1.1\r\n${head}\r\n`, "x"),
      );
      for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
      await until("honest nodes train", () => orchestrator.host.view().step > 3, 20_000);
      expect((await fetch(`${orchestrator.url}/healthz`)).status).toBe(200);
      await until("all are ended", () => allClosed([...heads, ...mute, ...bodies, ...uploads]), 40_000);
      expect(orchestrator.host.view()).toMatchObject({ nodes: 3, recoveries: 0 });
      expect(process.memoryUsage().rss - before).toBeLessThan(300 * MEGABYTE);
    },
  );

  test("at a served network's TLS port: handshakes that never end", { timeout: 60_000 }, async () => {
    const folder = join(temporaryFolder(), "network");
    mkdirSync(folder, { recursive: true });
    const addresses = [{ host: HOST, port: null }];
    const served = { name: "Kitchen", operator: "", open: true, page: false, addresses, certificate: null };
    const { orchestrator } = await openOrchestrator({}, { folder, served });
    const port = Number(new URL(orchestrator.url).port);
    // The first bytes of a ClientHello that announces 512.
    const begun = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).toString("latin1");
    const mute = many(60, () => slowly(connect(port, HOST), ""));
    const half = many(60, () => slowly(connect(port, HOST), begun, "x"));
    const secret = many(30, () =>
      slowly(
        connectTls({ port, host: HOST, rejectUnauthorized: false }),
        "GET /v1/run HTTP/1.1\r\nHost: ",
        "x",
      ),
    );
    const status = await new Promise((resolve, reject) => {
      get(`${orchestrator.url}/healthz`, { rejectUnauthorized: false, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on("error", reject);
    });
    expect(status).toBe(200);
    await until("all are ended", () => allClosed([...mute, ...half, ...secret]), 40_000);
  });

  test(
    "at the page for everybody: who asks again and again and reads nothing is ended, and others see it",
    { timeout: 60_000 },
    async () => {
      const folder = join(temporaryFolder(), "network");
      mkdirSync(folder, { recursive: true });
      const addresses = [{ host: HOST, port: null }];
      const served = { name: "Kitchen", operator: "", open: true, page: true, addresses, certificate: null };
      const { orchestrator } = await openOrchestrator({}, { folder, served });
      const port = Number(new URL(orchestrator.url).port);
      const ask = `GET / HTTP/1.1\r\nHost: ${HOST}:${port}\r\n\r\n`.repeat(400);
      const deaf = many(40, () => {
        const socket = connectTls({ port, host: HOST, rejectUnauthorized: false });
        const slow = slowly(socket, "");
        socket.pause();
        socket.once("secureConnect", () => socket.write(ask));
        return slow;
      });
      await until("all are ended", () => allClosed(deaf), 40_000);
      const status = await new Promise((resolve, reject) => {
        get(orchestrator.url, { rejectUnauthorized: false, agent: false }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        }).on("error", reject);
      });
      expect(status).toBe(200);
    },
  );

  test("at the byte relay: greetings that never end, and neighbours find each other meanwhile", async () => {
    const [a, b] = [createSessionSigner(), createSessionSigner()];
    const relay = new ByteRelay({
      host: HOST,
      port: 0,
      connections: 16,
      rates: new RelayRates(1_000, 1_000, performance.now()),
      greetingMs: 1_500,
      door: { unproved: 40, unprovedOfAddress: 40, connectionsPerSecond: 10_000 },
    });
    const address = { host: HOST, port: await relay.listen() };
    ends.push(() => relay.close());
    relay.allow(new PairList([[a.publicKey, b.publicKey]]));
    const all: Slow[] = [];
    // More than there are places, again and again.
    for (let round = 0; round < 5; round++) {
      all.push(...many(30, (index) => slowly(connect(address), index % 2 === 0 ? "" : "{", "x")));
      await delay(20);
    }
    const never = new AbortController().signal;
    const [one, other] = await Promise.all([
      throughRelay(address, b.publicKey, a, never),
      throughRelay(address, a.publicKey, b, never),
    ]);
    expect(relay.streams).toBe(1);
    await until("all are ended", () => allClosed(all), 20_000);
    for (const socket of [one, other]) socket.destroy();
  });
});
