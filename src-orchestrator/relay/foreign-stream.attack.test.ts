import { connect } from "node:net";
import HyperDHT from "hyperdht";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import {
  RELAY_NONCE_BYTES,
  relayAnswer,
  relayGreeting,
  relayProofText,
} from "../../src-protocol/link-services.ts";
import type { RelayAnswer } from "../../src-protocol/link-services.ts";
import { collect, tensor } from "../../src-worker/links/link-conformance.ts";
import { dialThroughRelay, takeThroughRelay } from "../../src-worker/links/relay/relayed-link.ts";
import { throughRelay } from "../../src-worker/links/relay/relay-dial.ts";
import { ByteRelay } from "./byte-relay.ts";
import { DatagramRelay } from "./datagram-relay.ts";
import { PairList } from "./pair-list.ts";
import { DHT_NODES } from "./relay-ipc.ts";
import { RelayRates } from "./relay-rates.ts";

/**
 * A client of the relay asks for somebody else's stream, in every way that is left to it. It gets one sentence and
 * an end: not a byte of the stream, and nobody whom it names notices anything.
 */

const HOST = "127.0.0.1";
const never = new AbortController().signal;
const [a, b, c, stranger] = [0, 1, 2, 3].map(() => createSessionSigner()) as [
  SessionSigner,
  SessionSigner,
  SessionSigner,
  SessionSigner,
];

let relay: ByteRelay;
let address: { host: string; port: number };
beforeEach(async () => {
  const rates = new RelayRates(1_000, 1_000, performance.now());
  relay = new ByteRelay({ host: HOST, port: 0, connections: 16, rates });
  address = { host: HOST, port: await relay.listen() };
  // `c` is somebody of the same run, who is a neighbour of `b`'s alone.
  relay.allow(
    new PairList([
      [a.publicKey, b.publicKey],
      [b.publicKey, c.publicKey],
    ]),
  );
});
afterEach(() => relay.close());

/** Says this at the relay, and hears all that comes until it is let go. */
async function say(
  greeting: (nonce: string) => object,
): Promise<{ answer: RelayAnswer; line: string; rest: string; seconds: number }> {
  const begun = performance.now();
  const socket = connect(address);
  const pieces: Buffer[] = [];
  let hasSaid = false;
  socket.on("data", (bytes) => {
    pieces.push(bytes);
    const heard = Buffer.concat(pieces);
    if (hasSaid || heard.length < RELAY_NONCE_BYTES) return;
    hasSaid = true;
    socket.write(`${JSON.stringify(greeting(heard.toString("hex", 0, RELAY_NONCE_BYTES)))}\n`);
  });
  await new Promise((resolve) => socket.on("error", resolve).on("close", resolve));
  const text = Buffer.concat(pieces).subarray(RELAY_NONCE_BYTES).toString();
  const [line = "", ...rest] = text.split("\n");
  return {
    answer: relayAnswer.parse(JSON.parse(line)),
    line,
    rest: rest.join("\n"),
    seconds: (performance.now() - begun) / 1000,
  };
}

const greets = (key: SessionSigner["publicKey"], peer: SessionSigner, by: SessionSigner) => (nonce: string) =>
  relayGreeting.parse({
    sessionKey: key,
    peer: peer.publicKey,
    signature: by.sign(relayProofText(nonce, peer.publicKey)),
  });

/** What a says to another relay, or said yesterday. */
const copied = greets(a.publicKey, b, a)("00".repeat(RELAY_NONCE_BYTES));
const ASKS: readonly [string, string, (nonce: string) => object][] = [
  ["a stranger, under its own key", "relay-not-named", greets(stranger.publicKey, b, stranger)],
  ["a stranger, in a's name", "relay-proof", greets(a.publicKey, b, stranger)],
  ["a neighbour of one of them, under its own key", "relay-not-named", greets(c.publicKey, a, c)],
  ["a neighbour of one of them, in a's name", "relay-proof", greets(a.publicKey, b, c)],
  ["somebody who says what a has said before", "relay-proof", () => copied],
  [
    "a neighbour with its proof for another stream",
    "relay-not-named",
    (nonce) => ({ ...greets(c.publicKey, b, c)(nonce), peer: a.publicKey }),
  ],
];

async function refusedAll(): Promise<void> {
  for (const [who, code, greeting] of ASKS) {
    const { answer, line, rest, seconds } = await say(greeting);
    expect([who, answer.type === "refused" ? answer.code : answer.type]).toEqual([who, code]);
    // One sentence, and nothing of who is there and with whom.
    expect(answer.type === "refused" ? answer.message : "").toMatch(/^[A-Z][^.]*\.$/);
    for (const { publicKey } of [a, b, c]) expect(line).not.toContain(publicKey);
    expect(rest).toBe("");
    expect(seconds).toBeLessThan(5);
  }
}

test("a stream that is under way goes on, unheard by whoever asks for it", async () => {
  const end = { relay: address, signal: never };
  const [one, other] = await Promise.all([
    dialThroughRelay({ ...end, signer: a, peer: b.publicKey }).then((found) => found.choose()),
    takeThroughRelay({ ...end, signer: b, peer: a.publicKey }),
  ]);
  const closed: string[] = [];
  for (const link of [one, other]) link.onClose((reason) => closed.push(reason));
  await refusedAll();
  const heard = collect(other, 1);
  await one.send(tensor(0), new Uint8Array(300_000).fill(7));
  expect((await heard)[0]?.[1]).toEqual(new Uint8Array(300_000).fill(7));
  expect([closed, relay.streams, relay.waiting]).toEqual([[], 1, 0]);
  for (const link of [one, other]) link.close("test over");
});

test("whoever waits there is joined with nobody but the one it waits for, and loses no place to those who ask", async () => {
  const waiting = throughRelay(address, b.publicKey, a, never);
  await expect.poll(() => relay.waiting).toBe(1);
  await refusedAll();
  expect([relay.streams, relay.waiting]).toEqual([0, 1]);
  const sockets = await Promise.all([waiting, throughRelay(address, a.publicKey, b, never)]);
  expect(relay.streams).toBe(1);
  for (const socket of sockets) socket.destroy();
});

test("at the datagram relay a stranger has no session, and so no stream to ask for", async () => {
  const refused: string[] = [];
  const seed = "11".repeat(32);
  const datagrams = new DatagramRelay({
    host: HOST,
    publicHost: HOST,
    ports: [],
    seed,
    streams: 16,
    rates: new RelayRates(1_000, 1_000, performance.now()),
    refused: (code) => refused.push(code),
  });
  const ports = await datagrams.listen();
  datagrams.allow(new PairList([[a.publicKey, b.publicKey]]));
  const bootstrap = ports.slice(0, DHT_NODES).map((port) => ({ host: HOST, port }));
  const node = new HyperDHT({ bootstrap, host: HOST });
  const keyPair = { publicKey: Buffer.from(stranger.publicKey, "hex"), secretKey: stranger.transportKey() };
  const relayKey = Buffer.from(createSessionSigner(Buffer.from(seed, "hex")).publicKey, "hex");
  let opened = false;
  const stream = node.connect(relayKey, { keyPair });
  stream.on("open", () => (opened = true)).on("error", () => undefined);
  try {
    await expect.poll(() => refused[0], { timeout: 20_000 }).toBe("relay-not-named");
    expect([opened, datagrams.streams, datagrams.waiting]).toEqual([false, 0, 0]);
  } finally {
    stream.destroy();
    await Promise.all([node.destroy({ force: true }), datagrams.close()]);
  }
});
