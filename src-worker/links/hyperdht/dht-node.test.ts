import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSessionSigner } from "../../../src-protocol/signing.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";
import type { ManualClock } from "../link-clock.ts";
import {
  closed,
  collect,
  counterSignature,
  linkConformance,
  rejection,
  signerA,
  signerB,
  until,
} from "../link-conformance.ts";
import type { LinkPair } from "../link-conformance.ts";
import type { Link } from "../link.ts";
import { DhtNode } from "./dht-node.ts";
import type { DhtNodeOptions } from "./dht-node.ts";
import { freePort, ownDht } from "./own-dht.test-support.ts";
import { SilentRoad } from "./silent-road.test-support.ts";

let dht: Awaited<ReturnType<typeof ownDht>>;
beforeAll(async () => {
  dht = await ownDht();
});
afterAll(() => dht.end());

const never = new AbortController().signal;

async function node(signer: SessionSigner, options: Partial<DhtNodeOptions> = {}) {
  const links: Link[] = [];
  const opened = new DhtNode({
    services: { bootstrap: dht.bootstrap, datagramRelay: null },
    signer,
    host: "127.0.0.1",
    onLink: (link) => links.push(link),
    ...options,
  });
  await opened.listen();
  return { node: opened, links };
}

async function pair(clock?: ManualClock): Promise<LinkPair> {
  const road = new SilentRoad();
  const timing = clock === undefined ? {} : { clock };
  const b = await node(signerB, { ...timing, road: road.end });
  const a = await node(signerA, { ...timing, road: road.end });
  b.node.admit(new Set([signerA.publicKey]));
  const link = await (await a.node.dial(signerB.publicKey, never)).choose();
  await until(() => b.links.length === 1);
  const [arrived] = b.links;
  if (arrived === undefined) throw new Error("no link arrived");
  return {
    a: link,
    b: arrived,
    cut: () => road.cut(),
    silence: () => road.silence(),
    end: () => void Promise.all([a.node.close(), b.node.close()]),
  };
}

describe("a link over HyperDHT", () => {
  linkConformance(pair);
});

describe("a node on the network's own DHT", () => {
  test("admits only who is named, and one that is named a moment after it dialled", async () => {
    const b = await node(signerB);
    const a = await node(signerA);
    const stranger = await node(createSessionSigner());
    b.node.admit(new Set([createSessionSigner().publicKey]));
    const dialling = a.node.dial(signerB.publicKey, never);
    // A refusal is no answer at all; the library gives up after 4 s at the earliest.
    const abort = new AbortController();
    const refused = rejection(stranger.node.dial(signerB.publicKey, abort.signal));
    await new Promise((resolve) => setTimeout(resolve, 200));
    b.node.admit(new Set([signerA.publicKey]));
    const link = await (await dialling).choose();
    await until(() => b.links.length === 1);
    expect([link.path, b.links[0]?.remoteKey]).toEqual([
      { kind: "this computer", transport: "hyperdht" },
      signerA.publicKey,
    ]);
    abort.abort();
    expect(await refused).toMatchObject({ code: "link-aborted" });
    expect(b.links).toHaveLength(1);
    await Promise.all([a, b, stranger].map((each) => each.node.close()));
  });

  test("a path that is not chosen never becomes a link of the peer", async () => {
    const b = await node(signerB);
    const a = await node(signerA);
    b.node.admit(new Set([signerA.publicKey]));
    const [first, second] = await Promise.all([
      a.node.dial(signerB.publicKey, never),
      a.node.dial(signerB.publicKey, never),
    ]);
    first?.drop();
    const link = await second?.choose();
    await until(() => b.links.length === 1);
    const heard = collect(b.links[0] as Link, 1);
    await link?.send(counterSignature(1));
    expect((await heard)[0]?.[0]).toEqual(counterSignature(1));
    expect(b.links).toHaveLength(1);
    link?.close("bye");
    expect(await closed(b.links[0] as Link)).toBe("bye");
    await Promise.all([a.node.close(), b.node.close()]);
  });

  test("nobody at that key is told at once, and a dial that is not needed any more ends", async () => {
    const a = await node(signerA);
    expect(await rejection(a.node.dial(createSessionSigner().publicKey, never))).toMatchObject({
      code: "link-refused",
      message: expect.stringContaining("address book"),
    });
    const abort = new AbortController();
    const dialling = rejection(a.node.dial(signerB.publicKey, abort.signal));
    abort.abort();
    expect(await dialling).toMatchObject({ code: "link-aborted" });
    await a.node.close();
  });

  test("is found soon after the DHT can be heard, though it could not when the node began", async () => {
    const port = await freePort();
    const services = { bootstrap: [{ host: "127.0.0.1", port }], datagramRelay: null };
    const [b, a] = [signerB, signerA].map(
      (signer) =>
        new DhtNode({ services, signer, host: "127.0.0.1", onLink: () => undefined, heardEveryMs: 100 }),
    );
    if (a === undefined || b === undefined) throw new Error("no node");
    b.admit(new Set([signerA.publicKey]));
    const listening = b.listen();
    await until(() => b.isHeard === false);
    const late = await ownDht(4, port);
    await until(() => a.isHeard && b.isHeard);
    await listening;
    let link: Link | null = null;
    while (link === null)
      link = await a.dial(signerB.publicKey, never).then(
        (candidate) => candidate.choose(),
        () => null,
      );
    expect(link.remoteKey).toBe(signerB.publicKey);
    await Promise.all([a.close(), b.close()]);
    await late.end();
  }, 30_000);

  test("never joins a DHT that the network did not name", () => {
    const open = (): DhtNode =>
      new DhtNode({
        services: { bootstrap: [], datagramRelay: null },
        signer: signerA,
        host: "127.0.0.1",
        onLink: () => undefined,
      });
    expect(open).toThrow(expect.objectContaining({ code: "link-listen" }));
  });
});
