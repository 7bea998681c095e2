import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import type { PeerAddress } from "../../src-protocol/control.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { AddressWatch, moved } from "./address-watch.ts";
import { closed, collect, counterSignature, rejection, tensor, until } from "./link-conformance.ts";
import { LinkStation } from "./link-station.ts";
import { Peers } from "./peers.ts";
import { SessionLink } from "./session/session-link.ts";
import { dialLink } from "./tls/tls-link.ts";

const never = new AbortController().signal;
const opened: { peers: Peers; station: LinkStation }[] = [];
afterEach(() => {
  for (const { peers, station } of opened.splice(0)) {
    peers.close("test over");
    station.close();
  }
});

async function node(): Promise<{ peers: Peers; station: LinkStation; address: PeerAddress }> {
  const signer = createSessionSigner();
  const station = await LinkStation.open({
    host: "127.0.0.1",
    signer,
    hyperdhtOff: null,
    onLink: (link) => peers.accepted(link),
  });
  const peers = new Peers(station);
  opened.push({ peers, station });
  return { peers, station, address: { sessionKey: signer.publicKey, address: station.address } };
}

describe("the links of a node to its neighbours", () => {
  test("are dialled one way, and told with their kind by both sides", async () => {
    const [head, tail] = [await node(), await node()];
    const [from, to] = await Promise.all([
      head.peers.connect(null, tail.address, never),
      tail.peers.connect(head.address, null, never),
    ]);
    if (from.next === null || to.previous === null) throw new Error("no link");
    const heard = collect(to.previous, 1);
    await from.next.send(counterSignature(1));
    expect(await heard).toHaveLength(1);
    const path = { kind: "this computer", transport: "tls", why: null };
    expect(head.peers.reports()).toMatchObject([{ ...path, side: "next", peer: tail.address.sessionKey }]);
    expect(tail.peers.reports()).toMatchObject([{ ...path, side: "previous", dialMs: null }]);
  });

  test("go on over another path when theirs breaks: nothing is lost, and neither end sees a link close", async () => {
    const [head, tail] = [await node(), await node()];
    const [{ next }, { previous }] = await Promise.all([
      head.peers.connect(null, tail.address, never),
      tail.peers.connect(head.address, null, never),
    ]);
    if (!(next instanceof SessionLink) || previous === null) throw new Error("no link");
    const closed: string[] = [];
    for (const link of [next, previous]) link.onClose((reason) => closed.push(reason));
    const heard = collect(previous, 2);
    await next.send(counterSignature(1));
    next.dropPath("as a router that gives another port would");
    await next.send(counterSignature(2));
    expect(await heard).toHaveLength(2);
    expect(closed).toEqual([]);
    await until(() => head.peers.reports().length === 1 && tail.peers.reports().length === 1);
  });

  test("are dialled anew for the next pipeline after one was closed on purpose", async () => {
    const [head, tail] = [await node(), await node()];
    const connect = () =>
      Promise.all([
        head.peers.connect(null, tail.address, never),
        tail.peers.connect(head.address, null, never),
      ]);
    const [first] = await connect();
    first.next?.close("cut");
    await until(() => tail.peers.reports().length === 0);
    const [again, arrived] = await connect();
    expect(again.next).not.toBe(first.next);
    expect(arrived.previous?.remoteKey).toBe(head.address.sessionKey);
  });

  test("name nobody for an assignment that another one has overtaken", async () => {
    const named: number[] = [];
    const station = { name: (keys: ReadonlySet<string>) => named.push(keys.size) };
    const peers = new Peers(station as never);
    const { address } = await node();
    peers.name(address, null);
    peers.leave();
    expect(await rejection(peers.connect(address, null, AbortSignal.abort()))).toMatchObject({
      code: "peer-unreachable",
    });
    peers.close("test over");
    expect(named).toEqual([1, 0]);
  });

  test("end when the node becomes a replica, and are dialled anew for the next pipeline", async () => {
    const [head, tail] = [await node(), await node()];
    const connect = () =>
      Promise.all([
        head.peers.connect(null, tail.address, never),
        tail.peers.connect(head.address, null, never),
      ]);
    const [{ next }] = await connect();
    if (next === null) throw new Error("no link");
    const why = closed(next);
    tail.peers.leave();
    expect(await why).toBe("this node is a replica now");
    await until(() => head.peers.reports().length === 0 && tail.peers.reports().length === 0);
    const [again] = await connect();
    expect(again.next?.remoteKey).toBe(tail.address.sessionKey);
  });

  test("name the node that could not be dialled", async () => {
    const [head, tail] = [await node(), await node()];
    tail.station.close();
    const failure = await rejection(head.peers.connect(null, tail.address, AbortSignal.timeout(500)));
    expect(failure).toMatchObject({ code: "peer-unreachable", peer: tail.address.sessionKey });
  });
});

describe("peers that nobody named", () => {
  test("give a node no tensor to keep, and neighbours are heard as ever", async () => {
    const [victim, neighbour, stranger] = [await node(), await node(), await node()];
    const dial = { timeoutMs: 5_000, expect: victim.address.sessionKey, address: victim.address.address };
    const payload = new Uint8Array(4 * 1024 * 1024);
    const reasons: Promise<string>[] = [];
    for (let count = 0; count < 8; count++) {
      const link = await dialLink({ ...dial, signer: createSessionSigner() });
      reasons.push(closed(link));
      link.send(tensor(count), payload).catch(() => {});
    }
    for (const reason of await Promise.all(reasons))
      expect(reason).toContain("A tensor came from a peer that no assignment names");
    const [from, to] = await Promise.all([
      neighbour.peers.connect(null, victim.address, never),
      victim.peers.connect(neighbour.address, null, never),
    ]);
    if (from.next === null || to.previous === null) throw new Error("no link");
    const heard = collect(to.previous, 1);
    await from.next.send(tensor(1), payload);
    expect(await heard).toHaveLength(1);
    expect(stranger.peers.reports()).toEqual([]);
  });

  test("drip their greeting and hold no place, and neighbours come in meanwhile", async () => {
    const [victim, neighbour] = [await node(), await node()];
    const { host, port } = victim.address.address;
    let closedCount = 0;
    const sockets = Array.from({ length: 300 }, (_, index) => {
      const socket =
        index % 2 === 0 ? connect(port, host) : connectTls({ port, host, rejectUnauthorized: false });
      socket.on("error", () => {});
      socket.on("close", () => (closedCount += 1));
      const timer = setInterval(() => socket.writable && socket.write("x"), 300);
      socket.on("close", () => clearInterval(timer));
      return socket;
    });
    const [from, to] = await Promise.all([
      neighbour.peers.connect(null, victim.address, never),
      victim.peers.connect(neighbour.address, null, never),
    ]);
    expect([from.next?.remoteKey, to.previous?.remoteKey]).toEqual([
      victim.address.sessionKey,
      neighbour.address.sessionKey,
    ]);
    await until(() => closedCount === sockets.length);
    expect(victim.peers.reports()).toHaveLength(1);
  }, 120_000);
});

describe("the watch over this computer's addresses", () => {
  test("an address that goes and comes back is no move; a new one is", () => {
    const known = new Set(["192.168.1.2"]);
    expect([moved(known, []), moved(known, ["192.168.1.2"]), moved(known, ["10.0.0.7"])]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test("a computer that has slept is told once", () => {
    let wall = 1_000;
    const told: string[] = [];
    const watch = new AddressWatch((why) => told.push(why), {
      hosts: () => ["192.168.1.2"],
      wallMs: () => wall,
      monotonicMs: () => 0,
    });
    watch.look();
    wall += 60_000;
    watch.look();
    watch.look();
    watch.stop();
    expect(told).toEqual(["slept"]);
  });
});
