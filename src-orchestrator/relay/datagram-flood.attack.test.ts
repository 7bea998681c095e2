import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { DhtNode } from "../../src-worker/links/hyperdht/dht-node.ts";
import { collect, counterSignature, until } from "../../src-worker/links/link-conformance.ts";
import type { Link } from "../../src-worker/links/link.ts";
import { dialThroughRelay, takeThroughRelay } from "../../src-worker/links/relay/relayed-link.ts";
import { floodDatagrams } from "./datagram-flood.test-support.ts";
import { startRelay } from "./index.ts";
import type { RelayProcess } from "./index.ts";

/** Strangers send datagrams of every kind to the network's address book and relay as fast as they can. */

const HOST = "127.0.0.1";
const MEGABYTE = 1024 * 1024;
const never = new AbortController().signal;
const [signerA, signerB] = [createSessionSigner(), createSessionSigner()];

let relay: RelayProcess;
beforeAll(async () => {
  relay = await startRelay({ host: HOST, publicHost: HOST });
  relay.allow([[signerA.publicKey, signerB.publicKey]]);
});
afterAll(() => relay.close());

test("a relayed link keeps its heartbeats, two nodes still find each other, and memory stays bounded", async () => {
  const { byteRelay, bootstrap, datagramRelay } = relay.services;
  if (byteRelay === null || datagramRelay === null) throw new Error("no relay");
  const end = { relay: byteRelay.address, signal: never };
  const [one, other] = await Promise.all([
    dialThroughRelay({ ...end, signer: signerA, peer: signerB.publicKey }).then((found) => found.choose()),
    takeThroughRelay({ ...end, signer: signerB, peer: signerA.publicKey }),
  ]);
  const closed: string[] = [];
  for (const link of [one, other]) link.onClose((reason) => closed.push(reason));
  const before = residentBytes(relay);
  const ports = [...bootstrap, datagramRelay.address].map(({ port }) => port);
  const flood = floodDatagrams(ports, randomBytes, { count: 30_000 });
  const links: Link[] = [];
  const node = (signer: typeof signerA): DhtNode =>
    new DhtNode({ services: relay.services, signer, host: HOST, onLink: (link) => links.push(link) });
  const [a, b] = [node(signerA), node(signerB)];
  await Promise.all([a.listen(), b.listen()]);
  b.admit(new Set([signerA.publicKey]));
  let link: Link | null = null;
  while (link === null)
    link = await a.dial(signerB.publicKey, never).then(
      (candidate) => candidate.choose(),
      () => null,
    );
  expect(await flood).toBe(30_000);
  const heard = collect(other, 1);
  await one.send(counterSignature(1));
  expect(await heard).toHaveLength(1);
  await until(() => links.length > 0);
  expect([closed, relay.crashes]).toEqual([[], 0]);
  expect(residentBytes(relay) - before).toBeLessThan(200 * MEGABYTE);
  for (const each of [one, other, link]) each.close("test over");
  await Promise.all([a.close(), b.close()]);
}, 60_000);

/** 0 where the system does not tell. */
function residentBytes({ pid }: RelayProcess): number {
  if (process.platform !== "linux" || pid === null) return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
