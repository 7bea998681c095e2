import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { connect as connectTcp, createServer as createTcpServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { linkAddress } from "../../../src-protocol/control.ts";
import type { LinkAddress } from "../../../src-protocol/control.ts";
import { sessionKey } from "../../../src-protocol/keys.ts";
import { createSessionSigner } from "../../../src-protocol/signing.ts";
import type { SessionSigner } from "../../../src-protocol/signing.ts";
import { linkCertificate } from "./link-certificate.ts";
import { ManualClock, systemClock } from "../link-clock.ts";
import {
  closed,
  collect,
  counterSignature,
  linkConformance,
  rejection,
  signerA,
  signerB,
  tensor,
  until,
} from "../link-conformance.ts";
import { sayHello } from "./link-greeting.ts";
import type { Link, LinkTiming } from "../link.ts";
import { LaneFolder } from "../lanes/lanes.ts";
import { dialLink, listenForLinks } from "./tls-link.ts";
import type { DialOptions, ListenOptions } from "./tls-link.ts";

const HOST = "127.0.0.1";
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Node B takes links; `links` are those it took. */
async function listen(options: Partial<ListenOptions> = {}) {
  const links: Link[] = [];
  const listener = await listenForLinks({
    host: HOST,
    port: 0,
    signer: signerB,
    onLink: (link) => links.push(link),
    ...options,
  });
  cleanups.push(() => {
    listener.close();
    for (const link of links) link.close("test over");
  });
  return { ...listener, links };
}

async function dial(address: LinkAddress, options: Partial<DialOptions> = {}): Promise<Link> {
  const link = await dialLink({
    address,
    signer: signerA,
    expect: signerB.publicKey,
    timeoutMs: 5_000,
    ...options,
  });
  cleanups.push(() => link.close("test over"));
  return link;
}

async function portOf(server: {
  listen(port: number, host: string): unknown;
  close(): unknown;
  address(): unknown;
}): Promise<LinkAddress> {
  cleanups.push(() => void server.close());
  await new Promise((resolve) => {
    server.listen(0, HOST);
    (server as ReturnType<typeof createTcpServer>).once("listening", () => resolve(null));
  });
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return { host: HOST, port };
}

/** A wire between the two that can be cut or fall silent. */
async function wire(to: LinkAddress) {
  const sockets: Socket[] = [];
  let silent = false;
  const server = createTcpServer((near) => {
    const far = connectTcp(to);
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.setNoDelay(true).on("error", () => {});
      from.on("data", (bytes) => {
        if (silent || onto.write(bytes)) return;
        from.pause();
        onto.once("drain", () => from.resume());
      });
      from.on("end", () => silent || onto.end());
    }
  });
  const address = await portOf(server);
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  cleanups.push(cut);
  return { address, cut, silence: () => void (silent = true) };
}

describe("a link over TLS", () => {
  linkConformance(async (clock = new ManualClock()) => {
    const taken = Promise.withResolvers<Link>();
    const listener = await listenForLinks({
      host: HOST,
      port: 0,
      signer: signerB,
      clock,
      onLink: taken.resolve,
    });
    const { address, cut, silence } = await wire(listener.address);
    const a = await dial(address, { clock });
    const b = await taken.promise;
    return {
      a,
      b,
      cut,
      silence,
      end() {
        listener.close();
      },
    };
  });
});

describe("who the peer is", () => {
  test("another key than expected is refused", async () => {
    const { address } = await listen();
    await expect(dial(address, { expect: signerA.publicKey })).rejects.toMatchObject({
      code: "link-identity",
      message: expect.stringContaining(`is ${signerB.publicKey}, not ${signerA.publicKey}`),
    });
  });

  test("a man in the middle that ends TLS and opens it again is refused by both sides", async () => {
    const { address, links } = await listen();
    const proxy = createTlsServer({ ...linkCertificate() }, (near) => {
      const far = connectTls({ ...address, rejectUnauthorized: false });
      near.on("error", () => {});
      far.on("error", () => {});
      near.pipe(far).pipe(near);
    });
    await expect(dial(await portOf(proxy))).rejects.toMatchObject({
      // The listener saw through it first and said so.
      message: expect.stringContaining("link-identity"),
      code: "link-refused",
    });
    expect(links).toEqual([]);
  });

  test("a man in the middle that greets the dialer with the real listener's hello is refused by the dialer", async () => {
    // The proxy is a peer in its own right towards the listener, and passes the answer on.
    const { address } = await listen();
    const proxy = createTlsServer({ ...linkCertificate() }, (near) => {
      const far = connectTls({ ...address, rejectUnauthorized: false }, () =>
        sayHello(far, "dialer", signerA),
      );
      near.on("error", () => {});
      far.on("error", () => {});
      far.pipe(near);
      near.resume();
    });
    await expect(dial(await portOf(proxy))).rejects.toMatchObject({ code: "link-identity" });
  });

  test("a peer that throws our own hello back is refused", async () => {
    const mirror = createTlsServer({ ...linkCertificate() }, (near) => {
      near.on("error", () => {});
      near.pipe(near);
    });
    await expect(dial(await portOf(mirror), { expect: signerA.publicKey })).rejects.toMatchObject({
      code: "link-identity",
    });
  });

  test("a caller that does not want the peer closes, and the peer hears why", async () => {
    const { address } = await listen({ onLink: (link) => link.close("you are not in my stage") });
    const link = await dial(address);
    expect(await closed(link)).toBe("you are not in my stage");
  });

  test("what is sent right after the hello is not lost", async () => {
    const { address, links } = await listen();
    const link = await dial(address);
    await link.send(counterSignature(1));
    await until(() => links.length === 1);
    expect(await collect(links[0] ?? link, 1)).toHaveLength(1);
  });
});

describe("dialling", () => {
  /** Two links over one folder in memory that have found out that they share it. */
  async function lanePair(): Promise<{ a: Link; b: Link; folder: string; lane: number }> {
    const folder = mkdtempSync(join(tmpdir(), "tah-lanes-"));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const { address, links } = await listen({ laneFolder: new LaneFolder(folder) });
    const a = await dial(address, { laneFolder: new LaneFolder(folder) });
    await until(() => links.length === 1);
    const [b] = links as [Link];
    const first = collect(b, 1);
    const sent = a.send(tensor(0), new Uint8Array(40_000));
    // It has a name only until the other side has opened it.
    const lane = openSync(join(folder, readdirSync(folder)[0] ?? ""), "r+");
    cleanups.push(() => closeSync(lane));
    await sent;
    await first;
    // By its second tensor the answer has come: both are read in the order in which they were sent.
    const second = collect(a, 1);
    await b.send(tensor(0), new Uint8Array(100));
    await second;
    return { a, b, folder, lane };
  }

  test("on one computer large tensors lie in memory that both reach, in their order among all others", async () => {
    const { a, b, folder, lane } = await lanePair();
    const sizes = [400_000, 100, 300_000, 4 * 2 ** 20, 4 * 2 ** 20, 4 * 2 ** 20, 40_000];
    const heard = collect(b, sizes.length);
    const before = a.stats.bytesSent;
    // It is the one who has seen a lane of the other in its own folder.
    expect([a.isOwn, b.isOwn]).toEqual([false, true]);
    for (const [i, size] of sizes.entries()) void a.send(tensor(i), new Uint8Array(size).fill(i + 1));
    expect(readdirSync(folder)).toEqual([]);
    // As much as may wait there; the rest is in frames.
    expect(fstatSync(lane).size).toBeGreaterThan(4 * 2 ** 20);
    const seen = (await heard).map(([, payload]) => [payload.byteLength, payload[0], payload.at(-1)]);
    expect(seen).toEqual(sizes.map((size, i) => [size, i + 1, i + 1]));
    expect(a.stats.bytesSent - before).toBeGreaterThan(sizes.reduce((sum, size) => sum + size));
    const back = collect(a, 1);
    await b.send(tensor(0), new Uint8Array(40_000));
    await back;
    expect([a.isOwn, b.isOwn]).toEqual([true, true]);
  });

  test("what lies there when its sender closes is still heard, and then nothing is left of it", async () => {
    const { a, b, folder } = await lanePair();
    const heard = collect(b, 3);
    const gone = closed(b);
    const sent = [1, 2, 3].map((i) => a.send(tensor(i), new Uint8Array(40_000).fill(i)));
    a.close("over");
    // It is too late to hear that they have left; that they have is what is shown here.
    await Promise.allSettled(sent);
    expect((await heard).map(([, payload]) => payload[0])).toEqual([1, 2, 3]);
    expect(await gone).toBe("over");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("what was changed in that memory ends the path as a cut does, and the next one goes without it", async () => {
    const { a, b, lane } = await lanePair();
    const reasons = Promise.all([closed(a), closed(b)]);
    a.send(tensor(1), new Uint8Array(40_000)).catch(() => undefined);
    ftruncateSync(lane, 10);
    for (const reason of await reasons) expect(reason).toMatch(/^link-lost: /);
  });

  /** A worker's link to a stranger of the same computer, who was told the name of the worker's lane. */
  async function strangeLink(signer: SessionSigner, folder: string) {
    const before = readdirSync(folder);
    const { address, links } = await listen({ signer, laneFolder: new LaneFolder(folder) });
    const strange = await dial(address, {
      signer: createSessionSigner(new Uint8Array(32).fill(3)),
      expect: signer.publicKey,
    });
    await until(() => links.length === 1);
    const [link] = links as [Link];
    const heard = collect(strange, 1);
    await link.send(tensor(0), new Uint8Array(40_000));
    await heard;
    return { link, strange, lane: readdirSync(folder).find((lane) => !before.includes(lane)) ?? "" };
  }

  test("a stranger of the same computer who names a lane that it was told of is no worker of this owner", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah-lanes-"));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const { link, strange, lane: own } = await strangeLink(signerA, folder);
    const { lane: ofSibling } = await strangeLink(signerB, folder);
    for (const lane of [own, ofSibling]) {
      const came = collect(link, 1);
      await strange.send({ type: "lane", lane, key: "0".repeat(32) });
      await strange.send(tensor(0), new Uint8Array(40_000).fill(7));
      expect((await came).map(([, payload]) => payload[0])).toEqual([7]);
      expect(link.isOwn).toBe(false);
    }
    const heard = collect(strange, 1);
    await link.send(tensor(1), new Uint8Array(40_000).fill(8));
    expect((await heard).map(([, payload]) => payload[0])).toEqual([8]);
  });

  test("a worker that reaches no such folder gets everything in frames", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tah-lanes-"));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const { address, links } = await listen();
    const a = await dial(address, { laneFolder: new LaneFolder(folder) });
    await until(() => links.length === 1);
    const heard = collect((links as [Link])[0], 3);
    for (const i of [0, 1, 2]) await a.send(tensor(i), new Uint8Array(40_000).fill(i));
    expect((await heard).map(([, payload]) => payload[0])).toEqual([0, 1, 2]);
    expect([a.isOwn, links[0]?.isOwn]).toEqual([false, false]);
  });

  test("an address where nobody listens is refused at once", async () => {
    const server = createTcpServer();
    const address = await portOf(server);
    await new Promise((resolve) => server.close(resolve));
    await expect(dial(address)).rejects.toMatchObject({
      code: "link-refused",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test.each([
    ["accepts and says nothing", (socket: Socket) => void socket.resume()],
    ["takes the TLS handshake apart into silence", (socket: Socket) => void socket.pause()],
  ])("a server that %s runs into the time limit", async (_what, behave) => {
    const address = await portOf(createTcpServer((socket) => behave(socket.on("error", () => {}))));
    await expect(dial(address, { timeoutMs: 60 })).rejects.toMatchObject({ code: "link-timeout" });
  });

  test("a TLS server that never says hello runs into the time limit", async () => {
    const server = createTlsServer(
      { ...linkCertificate() },
      (socket) => void socket.on("error", () => {}).resume(),
    );
    await expect(dial(await portOf(server), { timeoutMs: 200 })).rejects.toMatchObject({
      code: "link-timeout",
    });
  });

  test("a server that is something else is refused", async () => {
    const web = createTcpServer(
      (socket) => void socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    await expect(dial(await portOf(web))).rejects.toMatchObject({ code: "link-refused" });
  });

  test("a signal gives it up", async () => {
    const address = await portOf(createTcpServer((socket) => void socket.on("error", () => {})));
    const abort = new AbortController();
    const dialling = dial(address, { signal: abort.signal });
    abort.abort();
    await expect(dialling).rejects.toMatchObject({ code: "link-aborted" });
    await expect(dial(address, { signal: abort.signal })).rejects.toMatchObject({ code: "link-aborted" });
  });
});

describe("strangers at the listener", () => {
  test("one who does not prove a key in time is dropped", async () => {
    const clock = new ManualClock();
    const { address, links } = await listen({ clock, greetingMs: 5_000 });
    const plain = connectTcp(address);
    const secure = connectTls({ ...address, rejectUnauthorized: false });
    for (const socket of [plain, secure]) socket.on("error", () => {}).resume();
    await Promise.all([once(plain, "connect"), once(secure, "secureConnect")]);
    await until(() => plain.readyState === "open");
    const gone = Promise.all([once(plain, "close"), once(secure, "close")]);
    // Both have to be known to the listener: a link made after them proves it.
    await dial(address);
    await clock.advance(5_000);
    await gone;
    expect(links).toHaveLength(1);
  });

  test("F4: strangers that fill every place and come back at once do not keep a neighbour out", async () => {
    const { address } = await listen();
    let done = false;
    const sockets = new Set<Socket>();
    const again = (): void => {
      if (done) return;
      const socket = connectTcp(address);
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        setTimeout(again, 20);
      });
    };
    for (let i = 0; i < 160; i++) again();
    await until(() => sockets.size >= 128);
    // As a node does: again until it is there.
    for (let link: Link | null = null, tries = 0; link === null; tries++) {
      expect(tries).toBeLessThan(40);
      link = await dial(address).catch(() => null);
    }
    done = true;
    for (const socket of sockets) socket.destroy();
  });

  test("a place is taken from the oldest when there is none, and nobody is kept out by silence", async () => {
    const { address, links } = await listen({ halfOpenLimit: 2 });
    const strangers = [connectTcp(address), connectTcp(address)];
    const gone = Promise.race(strangers.map((socket) => once(socket, "close")));
    await Promise.all(
      strangers.map((socket) =>
        once(
          socket.on("error", () => {}),
          "connect",
        ),
      ),
    );
    await dial(address);
    await gone;
    expect(links).toHaveLength(1);
  });

  test("proved links do not count against the limit", async () => {
    const { address, links } = await listen({ halfOpenLimit: 1 });
    for (let count = 1; count <= 4; count++) {
      await dial(address);
      expect(links).toHaveLength(count);
    }
  });

  test.each([
    [
      "something that is not TLS",
      async (address: LinkAddress) => connectTcp(address, () => {}).end("GET / HTTP/1.1\r\n\r\n"),
    ],
    [
      "TLS 1.2",
      async (address: LinkAddress) =>
        connectTls({ ...address, rejectUnauthorized: false, maxVersion: "TLSv1.2" }),
    ],
    [
      "frames that are not a hello",
      async (address: LinkAddress) =>
        connectTls({ ...address, rejectUnauthorized: false }).end(Buffer.alloc(64, 7)),
    ],
    [
      "nothing, and leave",
      async (address: LinkAddress) => connectTls({ ...address, rejectUnauthorized: false }).end(),
    ],
  ])("those who speak %s are dropped, and the listener goes on", async (_what, attack) => {
    const { address, links } = await listen();
    const socket = await attack(address);
    socket.on("error", () => {}).resume();
    await new Promise((resolve) => socket.once("close", resolve));
    await dial(address);
    expect(links).toHaveLength(1);
  });

  test("a port that is taken is a clear failure", async () => {
    const { address } = await listen();
    await expect(listen({ port: address.port })).rejects.toMatchObject({
      code: "link-listen",
      message: expect.stringContaining("EADDRINUSE"),
    });
  });
});

describe("a peer in another process", () => {
  async function peer(timing: LinkTiming): Promise<{ child: ChildProcess; link: Link }> {
    const child = fork(new URL("./tls-link.fixture.ts", import.meta.url), { execArgv: [] });
    cleanups.push(() => void child.kill("SIGKILL"));
    const [said] = await once(child, "message");
    const { address, key } = z.object({ address: linkAddress, key: sessionKey }).parse(said);
    return { child, link: await dial(address, { expect: key, timing, clock: systemClock }) };
  }

  test("answers, and is missed at once when it is killed in the middle of a tensor", async () => {
    // A busy computer takes its time; silence is not what it is missed by.
    const { child, link } = await peer({ heartbeatMs: 100, deadAfterMs: 20_000 });
    const echoed = collect(link, 1);
    await link.send(tensor(1), new Uint8Array(600_000).fill(9));
    expect((await echoed)[0]?.[1].byteLength).toBe(600_000);
    const gone = closed(link);
    const refused = rejection(
      Promise.all([1, 2, 3].map((n) => link.send(tensor(n), new Uint8Array(30_000_000)))),
    );
    child.kill("SIGKILL");
    expect(await gone).toMatch(/^link-lost: /);
    expect(await refused).toMatchObject({ code: "link-closed" });
  });

  test.skipIf(process.platform === "win32")(
    "that is stopped is missed after the silence, not before",
    async () => {
      const timing = { heartbeatMs: 100, deadAfterMs: 1_000 };
      const { child, link } = await peer(timing);
      await until(() => link.stats.roundTripMs !== null);
      const gone = closed(link);
      child.kill("SIGSTOP");
      const stoppedAt = performance.now();
      expect(await gone).toMatch(/^link-silent: /);
      // The last byte may have come up to one heartbeat before.
      expect(performance.now() - stoppedAt).toBeGreaterThan(timing.deadAfterMs - 2 * timing.heartbeatMs);
    },
  );
});
