import { createServer as createHttp } from "node:http";
import { createServer as createTcp } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { Failure } from "../../src-protocol/failure.ts";
import { ss58Address } from "../../src-protocol/keys.ts";
import { chainState } from "../../src-protocol/state.ts";
import { chainClock } from "./chain-connection.ts";
import { FakeChainNode } from "./chain-node.test-support.ts";
import type { ChainClock, ChainState } from "./chain.ts";
import { CHAINS, HAS_CHAIN, TAO, freshKey } from "./test-chain.test-support.ts";

const payout = ss58Address.parse("5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX");
const FAST = { connectTimeoutMs: 25_000, silentAfterMs: 10_000, firstRetryMs: 50, longestRetryMs: 200 };

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

async function node(options?: Parameters<typeof FakeChainNode.start>[0]): Promise<FakeChainNode> {
  const started = await FakeChainNode.start(options);
  cleanUp.push(() => started.stop());
  return started;
}

function clockOf(url: string, timing: Partial<typeof FAST> = {}): ChainClock {
  const clock = chainClock({ url, payout }, { ...FAST, ...timing });
  cleanUp.push(() => clock.stop());
  return clock;
}

/** The next state that is so; the present one counts. */
function until(clock: ChainClock, so: (state: ChainState) => boolean): Promise<ChainState> {
  if (so(clock.state())) return Promise.resolve(clock.state());
  return new Promise((resolve) => {
    const leave = clock.onChange((state) => {
      if (!so(state)) return;
      leave();
      resolve(state);
    });
  });
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp.push(() => new Promise((done) => server.close(done)));
  return (server.address() as AddressInfo).port;
}

describe("the clock of a real chain", () => {
  it("follows blocks and the payout address's balance until it is stopped", async () => {
    const chain = await node({ block: 5_000, free: 1_234_567_890n });
    const clock = clockOf(chain.url);
    expect(clock.state()).toMatchObject({
      source: "chain",
      url: chain.url,
      connected: false,
      balanceRao: null,
    });
    const first = await until(clock, ({ connected, balanceRao }) => connected && balanceRao !== null);
    expect(chainState.parse(first)).toMatchObject({ block: 5_000, balanceRao: "1234567890" });
    expect(first.detail, "without the terminal codes in its name").toBe("Connected to Mocknet[31m.");
    chain.nextBlock();
    expect((await until(clock, ({ block }) => block > 5_000)).block).toBe(5_001);
    chain.setBalance(18_000_000_000_000_000_000n);
    await until(clock, ({ balanceRao }) => balanceRao === "18000000000000000000");
    expect(chain.followers).toBe(1);
    await clock.stop();
    await expect.poll(() => chain.followers).toBe(0);
  });

  it("comes back by itself after the node was gone, and keeps what it knew meanwhile", async () => {
    const first = await FakeChainNode.start({ block: 7, free: 5n });
    const clock = clockOf(first.url);
    await until(clock, ({ connected, balanceRao }) => connected && balanceRao !== null);
    await first.stop();
    const lost = await until(clock, ({ connected }) => !connected);
    expect(lost).toMatchObject({ block: 7, balanceRao: "5" });
    expect(lost.detail).toMatch(/Trying again in \d+ s\.$/);
    await node({ block: 9, free: 5n, port: first.port });
    expect((await until(clock, ({ connected }) => connected)).block).toBe(9);
  });

  it("takes a node that shows no more blocks for lost", async () => {
    const chain = await node();
    const clock = clockOf(chain.url, { silentAfterMs: 100, firstRetryMs: 60_000 });
    await until(clock, ({ connected }) => connected);
    expect((await until(clock, ({ connected }) => !connected)).detail).toContain("no new block");
  });

  it("outlives a node that starts to send nonsense", async () => {
    const chain = await node();
    const clock = clockOf(chain.url, { firstRetryMs: 60_000 });
    await until(clock, ({ connected }) => connected);
    chain.sayNonsense();
    expect((await until(clock, ({ connected }) => !connected)).detail).toContain("no Bittensor chain");
  });
});

describe.skipIf(!HAS_CHAIN).each(CHAINS)("the clock of $chain", ({ start }) => {
  it("tells its block, and the balance of the payout address from its first TAO on", async () => {
    const chain = await start();
    cleanUp.push(() => chain.stop());
    const { address } = freshKey();
    await chain.fund(address, 3n * TAO);
    const clock = chainClock({ url: chain.url, payout: address }, FAST);
    cleanUp.push(() => clock.stop());
    const state = await until(clock, ({ connected, balanceRao }) => connected && balanceRao !== null);
    expect(chainState.parse(state)).toMatchObject({ source: "chain", balanceRao: String(3n * TAO) });
    expect(state.block).toBeGreaterThan(0);
  });
});

describe("an address that is no chain", () => {
  const detail = async (url: string, timing: Partial<typeof FAST> = {}) => {
    const clock = clockOf(url, timing);
    const state = await until(clock, ({ detail }) => detail.includes("Trying again"));
    expect(state.connected).toBe(false);
    return state.detail;
  };

  it("where nothing listens is said", async () => {
    const port = await listening(createTcp());
    await cleanUp.pop()?.();
    expect(await detail(`ws://127.0.0.1:${port}`)).toContain("nothing answers there");
  });

  it("with a web server is said", async () => {
    const port = await listening(createHttp((_request, response) => response.end("hello")));
    expect(await detail(`ws://127.0.0.1:${port}`)).toContain("no Bittensor chain: it is a web server");
  });

  it("with something else than HTTP is said", async () => {
    const port = await listening(createTcp((socket) => socket.resume().end("SSH-2.0-OpenSSH_9.6\r\n")));
    expect(await detail(`ws://127.0.0.1:${port}`)).toContain("it does not speak HTTP");
  });

  it.each([
    ["echoes", (text: string) => text],
    ["answers nonsense", () => "\u0000not json"],
    ["answers with an error", () => '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}'],
  ])("with a WebSocket server that %s is said", async (_what, reply) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    cleanUp.push(() => new Promise((done) => server.close(done)));
    server.on("connection", (socket) => socket.on("message", (data) => socket.send(reply(String(data)))));
    const { port } = server.address() as AddressInfo;
    expect(await detail(`ws://127.0.0.1:${port}`)).toContain("no Bittensor chain");
  });

  it("that is silent is given up after the timeout", async () => {
    const sockets: { destroy(): void }[] = [];
    const port = await listening(createTcp((socket) => void sockets.push(socket)));
    expect(await detail(`ws://127.0.0.1:${port}`, { connectTimeoutMs: 100 })).toContain(
      "did not answer within 0.1 s",
    );
    for (const socket of sockets) socket.destroy();
  });

  it("that knows its name and nothing else of a chain is said, without harm", async () => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    cleanUp.push(() => new Promise((done) => server.close(done)));
    server.on("connection", (socket) =>
      socket.on("message", (data) => {
        const { id } = JSON.parse(String(data)) as { id: number };
        socket.send(JSON.stringify({ jsonrpc: "2.0", id, result: "Pretend" }));
      }),
    );
    const { port } = server.address() as AddressInfo;
    expect(await detail(`ws://127.0.0.1:${port}`)).toMatch(/initialize|no Bittensor chain|no block/);
  });

  it.each(["http://127.0.0.1:9944", "127.0.0.1:9944", "ws://", "", "finney", "ws://x#y"])(
    "such as %j is refused at once",
    (url) => {
      expect(() => chainClock({ url, payout })).toThrow(Failure);
    },
  );
});
