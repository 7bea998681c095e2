import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { DEAD_AFTER_MS, HEARTBEAT_MS } from "../../src-protocol/control.ts";
import { CODECS } from "../../src-engine/codecs/codecs.ts";
import { CODEC_NAMES } from "../../src-protocol/link-codecs.ts";
import { CHUNK_BYTES, PAYLOAD_LIMIT_BYTES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { Throttle } from "../limits/throttle.ts";
import { encodedTensor } from "../stage/coded-tensor.ts";
import { ManualClock, settled } from "./link-clock.ts";
import type { Link } from "./link.ts";

const MEGABYTE = 1_000_000;
const MEBIBYTE = 2 ** 20;

export interface LinkPair {
  readonly a: Link;
  readonly b: Link;
  /** The connection is reset. */
  cut(): void;
  /** All bytes vanish from now on; nobody is told. */
  silence(): void;
  /** Frees what the pair used beside the links. */
  end(): void;
  /** What the systems' buffers between the two may take: up to 36 MB for each TCP connection. */
  readonly roomBytes?: number;
}

export const signerA = createSessionSigner(new Uint8Array(32).fill(1));
export const signerB = createSessionSigner(new Uint8Array(32).fill(2));

export function tensor(microBatch: number): PeerMessage {
  return {
    type: "tensor",
    generation: 1,
    step: 2,
    microBatch,
    pass: "forward",
    dtype: "float32",
    shape: [4, 256],
    codec: "f32",
    sha256: "0".repeat(64),
  };
}

export function counterSignature(digit: number): PeerMessage {
  return {
    type: "counterSignature",
    receiptId: `${digit % 10}`.repeat(64),
    signature: "0".repeat(128),
  };
}

/** Every Link has to pass this, whatever it runs on. `open` gives a fresh pair. */
export function linkConformance(open: (clock?: ManualClock) => Promise<LinkPair>): void {
  const withPair = (body: (pair: LinkPair, clock: ManualClock) => Promise<void>) => async () => {
    const clock = new ManualClock();
    const pair = await open(clock);
    try {
      await body(pair, clock);
    } finally {
      pair.a.close("test over");
      pair.b.close("test over");
      pair.end();
    }
  };

  test(
    "sends no more than its owner allows, and what is small does not wait for it",
    withPair(async ({ a, b }, clock) => {
      const throttle = new Throttle(clock);
      throttle.limit({ uploadMbit: 8, downloadMbit: null });
      a.limitBy(throttle);
      const heard: string[] = [];
      b.onMessage((message) => void heard.push(message.type));
      const sent = a.send(tensor(0), new Uint8Array(2 * MEGABYTE));
      for (let ms = 0; ms <= 1_500; ms += 250) {
        const due = (ms / 1000) * MEGABYTE;
        await until(() => a.stats.bytesSent >= due);
        expect(a.stats.bytesSent).toBeLessThan(due + 0.25 * MEGABYTE + 1.1 * throttle.up.pieceBytes);
        await a.send(counterSignature(1));
        await until(() => heard.length === ms / 250 + 1);
        await clock.advance(250);
      }
      throttle.limit({ uploadMbit: null, downloadMbit: null });
      await sent;
      await until(() => heard.includes("tensor"));
    }),
  );

  test(
    "reads no more than its owner allows, and the sender has to wait",
    withPair(async ({ a, b }, clock) => {
      const throttle = new Throttle(clock);
      throttle.limit({ uploadMbit: null, downloadMbit: 8 });
      b.limitBy(throttle);
      let arrived = 0;
      b.onMessage(() => void (arrived += 1));
      const sending = Array.from({ length: 12 }, (_, index) =>
        a.send(tensor(index), new Uint8Array(MEGABYTE)),
      );
      for (let ms = 0; ms <= 1_500; ms += 250) {
        const due = (ms / 1000) * MEGABYTE;
        await until(() => b.stats.bytesReceived >= due);
        await settled();
        expect(b.stats.bytesReceived).toBeLessThan(due + 0.25 * MEGABYTE + 1.1 * CHUNK_BYTES);
        await clock.advance(250);
      }
      expect(arrived).toBeLessThan(3);
      throttle.limit({ uploadMbit: null, downloadMbit: null });
      await Promise.all(sending);
      await until(() => arrived === 12);
    }),
  );

  test(
    "each side knows the other's key and hears what it sent, unchanged",
    withPair(async ({ a, b }) => {
      expect([a.remoteKey, b.remoteKey]).toEqual([signerB.publicKey, signerA.publicKey]);
      const heardByB = collect(b, 2);
      const heardByA = collect(a, 1);
      await a.send(tensor(0), Uint8Array.of(1, 2, 3));
      await a.send(counterSignature(1));
      await b.send(tensor(1), Uint8Array.of(4));
      expect(await heardByB).toEqual([
        [tensor(0), Uint8Array.of(1, 2, 3)],
        [counterSignature(1), new Uint8Array(0)],
      ]);
      expect(await heardByA).toEqual([[tensor(1), Uint8Array.of(4)]]);
      expect(a.stats).toMatchObject({
        messagesSent: 2,
        messagesReceived: 1,
        bytesSent: b.stats.bytesReceived,
      });
    }),
  );

  test(
    "a tensor arrives in every codec, and both ends say in which",
    withPair(async ({ a, b }) => {
      expect([a.stats.sentAs, a.stats.receivedAs]).toEqual([null, null]);
      const values = Float32Array.from({ length: 1000 }, (_, i) => ((i * i) % 251) / 100 - 1);
      const place = { pass: "backward", step: 2, microBatch: 0, stage: 1 } as const;
      const heard = collect(b, CODEC_NAMES.length);
      for (const codec of CODEC_NAMES) {
        await a.send({ ...tensor(0), codec } as PeerMessage, encodedTensor(1, place, codec, values));
        expect(a.stats.sentAs).toBe(codec);
      }
      for (const [index, [message, payload]] of (await heard).entries()) {
        const codec = CODEC_NAMES[index] ?? "f32";
        expect(message).toMatchObject({ codec });
        expect(payload).toEqual(new Uint8Array(encodedTensor(1, place, codec, values)));
        expect(payload).toHaveLength(CODECS[codec].encodedBytes(values.length));
      }
      expect([b.stats.receivedAs, b.stats.sentAs]).toEqual(["int4h", null]);
    }),
  );

  test(
    "tensors of any size arrive in the order they were sent",
    withPair(async ({ a, b }) => {
      const sizes = [700_000, 10, 300_000, 262_144, 262_145, 1, 524_288];
      const heard = collect(b, sizes.length);
      await Promise.all(sizes.map((size, index) => a.send(tensor(index), new Uint8Array(size).fill(index))));
      const arrived = await heard;
      expect(arrived.map(([message, payload]) => [message, payload.byteLength])).toEqual(
        sizes.map((size, index) => [tensor(index), size]),
      );
      for (const [index, [, payload]] of arrived.entries())
        expect(payload.every((byte) => byte === index)).toBe(true);
    }),
  );

  test(
    "what arrives before there is a handler is kept",
    withPair(async ({ a, b }) => {
      await a.send(counterSignature(3));
      await until(() => b.stats.messagesReceived === 1);
      expect(await collect(b, 1)).toEqual([[counterSignature(3), new Uint8Array(0)]]);
    }),
  );

  test(
    "a payload of 30 MB arrives whole, in a buffer of its own",
    withPair(async ({ a, b }) => {
      const payload = new Uint8Array(30_000_000);
      for (let index = 0; index < payload.length; index += 997) payload[index] = index & 255;
      const heard = collect(b, 1);
      await a.send(tensor(0), payload);
      const [[, arrived] = [null, new Uint8Array(0)]] = await heard;
      expect(sha256(arrived)).toBe(sha256(payload));
      expect([arrived.byteOffset, arrived.buffer.byteLength]).toEqual([0, payload.byteLength]);
    }),
  );

  test(
    "a receipt sent after a large tensor arrives before it, within the first megabyte",
    withPair(async ({ a, b }) => {
      const order: string[] = [];
      let bytesBefore = Infinity;
      b.onMessage((message) => {
        order.push(message.type);
        if (message.type !== "tensor") bytesBefore = b.stats.bytesReceived;
      });
      await Promise.all([a.send(tensor(0), new Uint8Array(20_000_000)), a.send(counterSignature(1))]);
      await until(() => order.length === 2);
      expect(order).toEqual(["counterSignature", "tensor"]);
      expect(bytesBefore).toBeLessThan(1_048_576);
    }),
  );

  test(
    "a receiver that is slow makes the sender wait, takes bounded memory, and loses nothing",
    withPair(async ({ a, b, roomBytes = 48 * MEBIBYTE }) => {
      const payload = new Uint8Array(512 * 1024);
      const messages = Math.ceil((roomBytes + 32 * MEBIBYTE) / payload.byteLength);
      const gate = Promise.withResolvers<void>();
      let handled = 0;
      b.onMessage(async () => {
        await gate.promise;
        handled += 1;
      });
      const sending = (async () => {
        for (let index = 0; index < messages; index++) await a.send(tensor(index), payload);
      })();
      await quiet(() => a.stats.bytesSent);
      // What the kernel's buffers take, plus the two high-water marks; the rest is not even read from the sender.
      expect(a.stats.bytesSent).toBeLessThan(roomBytes);
      expect(b.stats.bytesReceived).toBeLessThan(6 * 1024 * 1024);
      expect(handled).toBe(0);
      gate.resolve();
      await sending;
      await until(() => handled === messages);
    }),
  );

  test(
    "a receiver that does not read on purpose does not take its peer for dead, nor the peer it",
    withPair(async ({ a, b }, clock) => {
      const gate = Promise.withResolvers<void>();
      let handled = 0;
      b.onMessage(async () => {
        await gate.promise;
        handled += 1;
      });
      const sending = Promise.all(
        Array.from({ length: 16 }, (_, index) => a.send(tensor(index), new Uint8Array(512 * 1024))),
      );
      await quiet(() => b.stats.bytesReceived);
      for (let beats = 0; beats < 10; beats++) {
        const before = a.stats.bytesReceived;
        await clock.advance(HEARTBEAT_MS);
        await until(() => a.stats.bytesReceived > before);
      }
      gate.resolve();
      await sending;
      await until(() => handled === 16 && a.stats.roundTripMs !== null);
      expect(b.stats.messagesReceived).toBe(16);
    }),
  );

  test(
    "a message over the limit is refused at the sender, and the link lives on",
    withPair(async ({ a, b }) => {
      await expect(a.send(tensor(0), new Uint8Array(PAYLOAD_LIMIT_BYTES + 1))).rejects.toMatchObject({
        code: "frame-length",
      });
      const heard = collect(b, 1);
      await a.send(counterSignature(1));
      expect(await heard).toHaveLength(1);
    }),
  );

  test(
    "a message that breaks the schema closes the link, and both sides know why",
    withPair(async ({ a, b }) => {
      const reasons = Promise.all([closed(a), closed(b)]);
      const wrong: PeerMessage = { ...tensor(0), shape: [-1] } as PeerMessage;
      await a.send(wrong, new Uint8Array(4)).catch(() => {});
      const [atA, atB] = await reasons;
      expect(atB).toMatch(/^frame-meta: The peer sent a bad message at shape\.0/);
      expect(atA).toBe(atB);
    }),
  );

  test(
    "only tensors may have a payload",
    withPair(async ({ a, b }) => {
      const reason = closed(b);
      await a.send(counterSignature(1), new Uint8Array(4)).catch(() => {});
      expect(await reason).toMatch(/^frame-length/);
    }),
  );

  test(
    "a handler that throws closes the link with its error",
    withPair(async ({ a, b }) => {
      b.onMessage(() => Promise.reject(new Error("no room")));
      const reason = closed(a);
      await a.send(counterSignature(1));
      expect(await reason).toBe("internal: no room");
    }),
  );

  test(
    "closing tells both sides the reason after what was sent before, and gives up what waits",
    withPair(async ({ a, b }) => {
      const heard: string[] = [];
      b.onMessage((message) => void heard.push(message.type));
      b.onClose((reason) => heard.push(reason));
      await a.send(counterSignature(1));
      const waiting = a.send(tensor(0), new Uint8Array(30_000_000));
      const refused = rejection(waiting);
      a.close("paused by the owner");
      expect(await refused).toMatchObject({ code: "link-closed" });
      expect(await closed(a)).toBe("paused by the owner");
      await closed(b);
      expect(heard).toEqual(["counterSignature", "paused by the owner"]);
      await expect(a.send(counterSignature(1))).rejects.toMatchObject({ code: "link-closed" });
      await expect(b.send(counterSignature(1))).rejects.toMatchObject({ code: "link-closed" });
    }),
  );

  test(
    "a goodbye waits until a slow handler has had what came before it",
    withPair(async ({ a, b }) => {
      const heard: string[] = [];
      const gate = Promise.withResolvers<void>();
      b.onMessage(async (message) => {
        await gate.promise;
        heard.push(message.type);
      });
      b.onClose((reason) => heard.push(reason));
      await a.send(counterSignature(1));
      await a.send(counterSignature(2));
      a.close("bye");
      await until(() => b.stats.messagesReceived === 2);
      await settled();
      gate.resolve();
      await closed(b);
      expect(heard).toEqual(["counterSignature", "counterSignature", "bye"]);
    }),
  );

  test(
    "a reset is noticed at once, and what waits is given up",
    withPair(async ({ a, b, cut }) => {
      const reasons = Promise.all([closed(a), closed(b)]);
      const refused = rejection(a.send(tensor(0), new Uint8Array(30_000_000)));
      cut();
      for (const reason of await reasons) expect(reason).toMatch(/^link-lost: /);
      expect(await refused).toMatchObject({ code: "link-closed" });
    }),
  );

  test(
    "a peer that falls silent is noticed after 6 s, not before",
    withPair(async ({ a, b, silence }, clock) => {
      const reasons: string[] = [];
      silence();
      for (const link of [a, b]) link.onClose((reason) => reasons.push(reason));
      await clock.advance(DEAD_AFTER_MS - 1);
      expect(reasons).toEqual([]);
      await clock.advance(1);
      expect(reasons).toHaveLength(2);
      for (const reason of reasons) expect(reason).toMatch(/^link-silent: /);
    }),
  );

  test(
    "an idle link stays open, and heartbeats measure the round trip",
    withPair(async ({ a, b }, clock) => {
      expect(a.stats.roundTripMs).toBeNull();
      for (let beats = 0; beats < 10; beats++) {
        const before = [a.stats.bytesReceived, b.stats.bytesReceived] as const;
        await clock.advance(HEARTBEAT_MS);
        // A question and an answer each.
        await until(() => a.stats.bytesReceived >= before[0] + 32 && b.stats.bytesReceived >= before[1] + 32);
      }
      expect(a.stats.roundTripMs).not.toBeNull();
      expect(b.stats.roundTripMs).not.toBeNull();
    }),
  );
}

export function collect(link: Link, count: number): Promise<[PeerMessage, Uint8Array<ArrayBuffer>][]> {
  return new Promise((resolve) => {
    const heard: [PeerMessage, Uint8Array<ArrayBuffer>][] = [];
    link.onMessage((message, payload) => {
      heard.push([message, payload]);
      if (heard.length === count) resolve(heard);
    });
  });
}

export function closed(link: Link): Promise<string> {
  return new Promise((resolve) => link.onClose(resolve));
}

/** What a promise that has to fail fails with; listened for from now on. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "did not fail",
    (error: unknown) => error,
  );
}

/** Lets sockets and promises go on until it holds; vitest's own limit ends a test where it never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await settled();
}

/** Resolves when a number has stood still for 100 ms of real time: only a stall shows that somebody waits. */
async function quiet(read: () => number): Promise<void> {
  for (let before = -1; before !== read();) {
    before = read();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
