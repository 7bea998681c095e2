import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import { DhtNode } from "../../src-worker/links/hyperdht/dht-node.ts";
import type { ManualClock } from "../../src-worker/links/link-clock.ts";
import {
  closed,
  collect,
  linkConformance,
  rejection,
  signerA,
  signerB,
  tensor,
  until,
} from "../../src-worker/links/link-conformance.ts";
import type { LinkPair } from "../../src-worker/links/link-conformance.ts";
import type { Link } from "../../src-worker/links/link.ts";
import { dialThroughRelay, takeThroughRelay } from "../../src-worker/links/relay/relayed-link.ts";
import { throughRelay } from "../../src-worker/links/relay/relay-dial.ts";
import { ByteRelay } from "./byte-relay.ts";
import { PairList } from "./pair-list.ts";
import { RelayRates } from "./relay-rates.ts";
import { startRelay } from "./index.ts";
import type { RelayProcess } from "./index.ts";

const HOST = "127.0.0.1";
const never = new AbortController().signal;
const stranger = createSessionSigner();

async function byteRelay(options: { mbit?: number; waitingMs?: number; greetingMs?: number } = {}) {
  const { mbit = 10_000 } = options;
  const relay = new ByteRelay({
    host: HOST,
    port: 0,
    connections: 16,
    rates: new RelayRates(mbit, mbit, performance.now()),
    ...options,
  });
  const address = { host: HOST, port: await relay.listen() };
  relay.allow(new PairList([[signerA.publicKey, signerB.publicKey]]));
  return { relay, address };
}

async function relayed(
  address: { host: string; port: number },
  clock?: ManualClock,
): Promise<{ a: Link; b: Link }> {
  const timing = clock === undefined ? {} : { clock };
  const end = (signer: SessionSigner, peer: SessionSigner) => ({
    relay: address,
    peer: peer.publicKey,
    signer,
    signal: never,
    ...timing,
  });
  const [a, b] = await Promise.all([
    dialThroughRelay(end(signerA, signerB)).then((candidate) => candidate.choose()),
    takeThroughRelay(end(signerB, signerA)),
  ]);
  return { a, b };
}

describe("a link by way of the byte relay", () => {
  linkConformance(async (clock): Promise<LinkPair> => {
    const { relay, address } = await byteRelay();
    const wire = await silentWire(address.port);
    const { a, b } = await relayed({ host: HOST, port: wire.port }, clock);
    return {
      a,
      b,
      // Two connections to the relay, and the wire makes two of one.
      roomBytes: 112 * 1024 * 1024,
      cut: () => relay.close(),
      silence: () => wire.silence(),
      end: () => {
        wire.end();
        relay.close();
      },
    };
  });
});

describe("the byte relay", () => {
  test("asking for somebody else's stream is refused, and so is a proof of another key", async () => {
    const { relay, address } = await byteRelay();
    const ask = (signer: SessionSigner, peer: SessionSigner): Promise<unknown> =>
      rejection(throughRelay(address, peer.publicKey, signer, never));
    expect(await ask(stranger, signerB)).toMatchObject({ code: "relay-not-named" });
    expect(await ask(signerA, stranger)).toMatchObject({ code: "relay-not-named" });
    const forged: SessionSigner = { ...stranger, publicKey: signerA.publicKey };
    expect(await ask(forged, signerB)).toMatchObject({ code: "relay-proof" });
    expect(relay.refused).toEqual(
      new Map([
        ["relay-not-named", 2],
        ["relay-proof", 1],
      ]),
    );
    relay.close();
  });

  test("who never speaks, or speaks too much, is dropped and holds no place", async () => {
    const { relay, address } = await byteRelay({ greetingMs: 100 });
    const silent = connect(address);
    const loud = connect(address);
    loud.write("x".repeat(5_000));
    loud.resume();
    silent.resume();
    await Promise.all(
      [silent, loud].map((socket) => new Promise((resolve) => socket.once("close", resolve))),
    );
    expect(relay.waiting).toBe(0);
    relay.close();
  });

  test("who waits for a node that does not come is told so", async () => {
    const { relay, address } = await byteRelay({ waitingMs: 50 });
    expect(await rejection(throughRelay(address, signerB.publicKey, signerA, never))).toMatchObject({
      code: "relay-alone",
    });
    relay.close();
  });

  test("a pair that is not named any more is parted", async () => {
    const { relay, address } = await byteRelay();
    const { a, b } = await relayed(address);
    for (const { path } of [a, b]) expect(path).toEqual({ kind: "relayed", transport: "tls" });
    expect(relay.streams).toBe(1);
    const parted = closed(a);
    relay.allow(new PairList());
    expect(await parted).toMatch(/^link-lost/);
    relay.close();
    b.close("test over");
  });

  test("a node is slowed to its rate, and what it sent arrives", async () => {
    const { relay, address } = await byteRelay({ mbit: 16 });
    const { a, b } = await relayed(address);
    const heard = collect(b, 1);
    const started = performance.now();
    await a.send(tensor(0), new Uint8Array(4_000_000));
    await heard;
    // 4 MB at 2 MB/s, of which one second's worth is free.
    expect(performance.now() - started).toBeGreaterThan(800);
    a.close("test over");
    relay.close();
  });
});

describe("the relay process", () => {
  let relay: RelayProcess;
  beforeAll(async () => {
    relay = await startRelay({ host: HOST, publicHost: HOST });
  });
  afterAll(() => relay.close());

  test("finds nodes for each other under its own bootstrap, and comes back under the same addresses", async () => {
    relay.allow([[signerA.publicKey, signerB.publicKey]]);
    const links: Link[] = [];
    const node = (signer: SessionSigner): DhtNode =>
      new DhtNode({ services: relay.services, signer, host: HOST, onLink: (link) => links.push(link) });
    const a = node(signerA);
    const b = node(signerB);
    await Promise.all([a.listen(), b.listen()]);
    b.admit(new Set([signerA.publicKey]));
    const link = await (await a.dial(signerB.publicKey, never)).choose();
    await until(() => links.length === 1);
    process.kill(relay.pid ?? 0, "SIGKILL");
    await until(() => relay.crashes === 1);
    // The link does not need the relay's process any more.
    const heard = collect(links[0] as Link, 1);
    await link.send(tensor(1), Uint8Array.of(1));
    expect(await heard).toHaveLength(1);
    const { byteRelay: services } = relay.services;
    if (services === null) throw new Error("no byte relay");
    await until(() => relay.pid !== null && relay.status !== null);
    const again = await relayed(services.address);
    expect(again.a.path.kind).toBe("relayed");
    again.a.close("test over");
    await Promise.all([a.close(), b.close()]);
  }, 30_000);
});

/** A TCP wire to the relay on which everything can vanish. */
async function silentWire(to: number): Promise<{ port: number; silence(): void; end(): void }> {
  const { createServer } = await import("node:net");
  let silent = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: HOST, port: to, allowHalfOpen: true });
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => {
        if (silent) return;
        if (into.write(bytes)) return;
        from.pause();
        into.once("drain", () => from.resume());
      });
      from.on("end", () => silent || into.end());
      from.on("error", () => {});
      from.on("close", () => silent || into.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === "object" ? bound.port : 0,
    silence: () => (silent = true),
    end: () => void server.close(),
  };
}
