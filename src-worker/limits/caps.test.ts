import { afterEach, expect, test } from "vitest";
import { DhtNode } from "../links/hyperdht/dht-node.ts";
import { ownDht } from "../links/hyperdht/own-dht.test-support.ts";
import { signerA, signerB, tensor, until } from "../links/link-conformance.ts";
import type { Link } from "../links/link.ts";
import { dialLink, listenForLinks } from "../links/tls/tls-link.ts";
import { Throttle } from "./throttle.ts";

/** Real sockets and a real clock: what a limit is worth while as much as possible is sent. */

const HOST = "127.0.0.1";
const MBIT = 24;
const SECONDS = 3;
/** Beside what is being tested, the computer may be busy with other tests. */
const LEAST = 0.6;
const MOST = 1.2;
const TIMING = { heartbeatMs: 200, deadAfterMs: 2_000 };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function overTls(): Promise<{ a: Link; b: Link }> {
  const links: Link[] = [];
  const { address, close } = await listenForLinks({
    host: HOST,
    port: 0,
    signer: signerB,
    timing: TIMING,
    onLink: (link) => links.push(link),
  });
  cleanups.push(close);
  const a = await dialLink({
    address,
    signer: signerA,
    expect: signerB.publicKey,
    timeoutMs: 5_000,
    timing: TIMING,
  });
  return await both(a, links);
}

async function overHyperdht(): Promise<{ a: Link; b: Link }> {
  const dht = await ownDht();
  cleanups.push(() => dht.end());
  const links: Link[] = [];
  const services = { bootstrap: dht.bootstrap, datagramRelay: null };
  const [one, other] = [signerA, signerB].map(
    (signer) =>
      new DhtNode({ services, signer, host: HOST, timing: TIMING, onLink: (link) => links.push(link) }),
  ) as [DhtNode, DhtNode];
  cleanups.push(() => Promise.all([one.close(), other.close()]));
  await Promise.all([one.listen(), other.listen()]);
  other.admit(new Set([signerA.publicKey]));
  const dialled = await one.dial(signerB.publicKey, new AbortController().signal);
  return await both(await dialled.choose(), links);
}

async function both(a: Link, links: readonly Link[]): Promise<{ a: Link; b: Link }> {
  await until(() => links.length === 1);
  const [b] = links;
  if (b === undefined) throw new Error("no link arrived");
  cleanups.push(() => {
    a.close("test over");
    b.close("test over");
  });
  return { a, b };
}

/** Sends all it can; the result stops it. */
function saturate(link: Link): () => void {
  const payload = new Uint8Array(1024 * 1024);
  const stopped = new AbortController();
  const send = async (): Promise<void> => {
    while (!stopped.signal.aborted) await link.send(tensor(0), payload);
  };
  send().catch(() => undefined);
  send().catch(() => undefined);
  return () => stopped.abort();
}

async function measured(
  open: () => Promise<{ a: Link; b: Link }>,
  side: "sender" | "receiver",
): Promise<{ ratio: number; closed: string[]; roundTripMs: number | null }> {
  const { a, b } = await open();
  b.onMessage(() => undefined);
  const throttle = new Throttle();
  const none = { uploadMbit: null, downloadMbit: null };
  throttle.limit({ ...none, [side === "sender" ? "uploadMbit" : "downloadMbit"]: MBIT });
  (side === "sender" ? a : b).limitBy(throttle);
  const closed: string[] = [];
  a.onClose((reason) => closed.push(reason));
  const stop = saturate(a);
  const begun = performance.now();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const mbit = (b.stats.bytesReceived * 8) / 1_000 / (performance.now() - begun);
  stop();
  return { ratio: mbit / MBIT, closed: [...closed], roundTripMs: b.stats.roundTripMs };
}

test("over TLS and HyperDHT the sender's and the receiver's limit hold, and heartbeats go on under it", async () => {
  const all = await Promise.all([
    measured(overTls, "sender"),
    measured(overTls, "receiver"),
    measured(overHyperdht, "sender"),
    measured(overHyperdht, "receiver"),
  ]);
  for (const { ratio, closed, roundTripMs } of all) {
    expect(ratio).toBeGreaterThan(LEAST);
    expect(ratio).toBeLessThan(MOST);
    expect(closed).toEqual([]);
    expect(roundTripMs).not.toBeNull();
  }
}, 30_000);
