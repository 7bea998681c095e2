import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "./failure.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import type { FrameEvent } from "./frame-decoder.ts";
import { encodeGoodbye, encodeHeartbeat, encodeHello, encodeMessage } from "./frame.ts";
import type { FramePieces } from "./frame.ts";
import { CHUNK_BYTES, FRAME_HEADER_BYTES, META_LIMIT_BYTES, PAYLOAD_LIMIT_BYTES } from "./peer.ts";
import { createSessionSigner } from "./signing.ts";

const SEED = 20_261_123;
const signer = createSessionSigner(new Uint8Array(32).fill(7));
const hello = { sessionKey: signer.publicKey, signature: signer.sign("x") };

const newDecoder = () => new FrameDecoder((meta) => meta);
const bytesOf = (...frames: FramePieces[]) => new Uint8Array(Buffer.concat(frames.flat()));

/** Bytes that differ from their neighbours at any distance that matters here. */
const PATTERN = Uint8Array.from({ length: 4 * CHUNK_BYTES }, (_, index) => (index * 31 + (index >> 8)) & 255);
const pattern = (length: number, start = 0) => PATTERN.subarray(start, start + length);

function refusal(bytes: Uint8Array, decoder = newDecoder()): string {
  const last = decoder.push(bytes).at(-1);
  return last?.type === "refused" ? last.failure.code : `nothing refused, last event ${last?.type}`;
}

/** A header with one field set to something else. */
function header(fields: {
  type?: number;
  flags?: number;
  meta?: number;
  payload?: number;
  magic?: number;
  version?: number;
}): Uint8Array {
  const bytes = bytesOf(encodeHeartbeat(false));
  const view = new DataView(bytes.buffer);
  if (fields.magic !== undefined) view.setUint32(0, fields.magic, true);
  if (fields.version !== undefined) view.setUint8(4, fields.version);
  if (fields.type !== undefined) view.setUint8(5, fields.type);
  if (fields.flags !== undefined) view.setUint16(6, fields.flags, true);
  if (fields.meta !== undefined) view.setUint32(8, fields.meta, true);
  if (fields.payload !== undefined) view.setUint32(12, fields.payload, true);
  return bytes;
}

const MESSAGE = 3;
const CHUNK = 4;

describe("frames", () => {
  test("every kind of frame arrives as it was sent", () => {
    const bytes = bytesOf(
      encodeHello(hello),
      encodeHeartbeat(false),
      encodeHeartbeat(true),
      ...encodeMessage({ n: 1 }, new Uint8Array(0)),
      encodeGoodbye("all done"),
    );
    expect(newDecoder().push(bytes)).toEqual([
      { type: "hello", hello },
      { type: "heartbeat", answer: false },
      { type: "heartbeat", answer: true },
      { type: "message", message: { n: 1 }, payload: new Uint8Array(0) },
      { type: "goodbye", reason: "all done" },
    ]);
  });

  test("a small message between the chunks of a large one arrives first", () => {
    const large = encodeMessage({ name: "large" }, pattern(3 * CHUNK_BYTES + 5));
    expect(large).toHaveLength(4);
    const [small = []] = encodeMessage({ name: "small" }, pattern(10));
    const events = newDecoder().push(
      bytesOf(...large.slice(0, 2), small, encodeHeartbeat(false), ...large.slice(2)),
    );
    expect(events.map((event) => (event.type === "message" ? event.message : event.type))).toEqual([
      { name: "small" },
      "heartbeat",
      { name: "large" },
    ]);
    expect(digest(events.slice(-1))).toEqual(
      digest([
        { type: "message", message: { name: "large" }, payload: pattern(3 * CHUNK_BYTES + 5).slice() },
      ]),
    );
  });

  test("a message cut into small pieces lets others through after each of them, whatever its length", () => {
    for (const length of [0, 1, 9_999, 10_000, 10_001, 2 * CHUNK_BYTES + 5]) {
      const frames = encodeMessage({ length }, pattern(length), 10_000);
      for (const [, payload] of frames) expect(payload?.byteLength ?? 0).toBeLessThanOrEqual(10_000);
      const between = frames.flatMap((frame) => [bytesOf(frame), bytesOf(encodeHeartbeat(false))]);
      const events = newDecoder().push(Buffer.concat(between));
      expect(digest(events.filter(({ type }) => type !== "heartbeat"))).toEqual(
        digest([{ type: "message", message: { length }, payload: pattern(length).slice() }]),
      );
    }
  });

  test("a payload can be viewed as float32 without a copy, whatever the length of the meta", () => {
    for (let extra = 0; extra < 9; extra++) {
      const sent = Float32Array.of(1.5, -2.25, 1e-20);
      const [event] = newDecoder().push(
        bytesOf(...encodeMessage({ x: "x".repeat(extra) }, new Uint8Array(sent.buffer))),
      );
      if (event?.type !== "message") throw new Error("no message");
      expect(event.payload.byteOffset % 8).toBe(0);
      expect(new Float32Array(event.payload.buffer, event.payload.byteOffset, 3)).toEqual(sent);
    }
  });

  test("what is over a limit is not sent", () => {
    expect(() => encodeMessage({}, new Uint8Array(PAYLOAD_LIMIT_BYTES + 1))).toThrow(Failure);
    expect(() => encodeMessage({ x: "x".repeat(META_LIMIT_BYTES) }, new Uint8Array(0))).toThrow(
      /outside the limits/,
    );
  });

  test.each([
    ["another magic", header({ magic: 0x20544547 }), "frame-magic"],
    ["another version", header({ version: 2 }), "frame-version"],
    ["an unknown type", header({ type: 6 }), "frame-type"],
    ["unknown flags", header({ flags: 2 }), "frame-flags"],
    ["a heartbeat with meta", header({ meta: 1 }), "frame-length"],
    ["a message without meta", header({ type: MESSAGE }), "frame-length"],
    ["meta over 64 KiB", header({ type: MESSAGE, meta: META_LIMIT_BYTES + 1 }), "frame-length"],
    [
      "a payload over 32 MiB",
      header({ type: MESSAGE, meta: 2, payload: PAYLOAD_LIMIT_BYTES + 1 }),
      "frame-length",
    ],
    ["a hello over 1 KiB", header({ type: 1, meta: 1025 }), "frame-length"],
    ["an empty chunk", header({ type: CHUNK }), "frame-length"],
    ["a chunk over 256 KiB", header({ type: CHUNK, payload: CHUNK_BYTES + 1 }), "frame-length"],
    ["a chunk of no message", header({ type: CHUNK, payload: 1 }), "frame-chunk"],
    ["meta that is not JSON", bytesOf([header({ type: MESSAGE, meta: 2 })], [pattern(2)]), "frame-meta"],
    [
      "meta that is not UTF-8",
      bytesOf([header({ type: MESSAGE, meta: 3 })], [Uint8Array.of(0x22, 0xff, 0x22)]),
      "frame-meta",
    ],
    [
      "a hello with a wrong key",
      bytesOf([header({ type: 1, meta: 20 })], [Buffer.from('{"sessionKey":"12"} ')]),
      "frame-meta",
    ],
  ])("%s is refused", (_what, bytes, code) => {
    expect(refusal(bytes)).toBe(code);
  });

  test("more chunk bytes than announced are refused", () => {
    const [first = []] = encodeMessage({}, pattern(CHUNK_BYTES + 10));
    expect(refusal(bytesOf(first, [header({ type: CHUNK, payload: 11 })]))).toBe("frame-chunk");
  });

  test("a second large message inside the first is refused before it gets memory", () => {
    const [first = []] = encodeMessage({}, pattern(CHUNK_BYTES + 10));
    expect(refusal(bytesOf(first, first))).toBe("frame-chunk");
  });

  test("a refused meta ends the stream before its payload arrives, and nothing is read after it", () => {
    const decoder = new FrameDecoder(() => {
      throw new Failure("frame-meta", "no");
    });
    const [first = []] = encodeMessage({}, pattern(8));
    expect(refusal(bytesOf(first.slice(0, 1)), decoder)).toBe("frame-meta");
    expect(decoder.push(bytesOf(encodeHeartbeat(false)))).toEqual([]);
  });
});

describe("any bytes", () => {
  const frame = fc.oneof(
    fc.constant(bytesOf(encodeHello(hello))),
    fc.boolean().map((answer) => bytesOf(encodeHeartbeat(answer))),
    fc.string({ maxLength: 300, unit: "binary" }).map((reason) => bytesOf(encodeGoodbye(reason))),
    fc
      .tuple(
        fc.dictionary(fc.string(), fc.integer()),
        fc.oneof(
          fc.nat(200),
          fc.constantFrom(CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 9),
        ),
      )
      .map(([meta, length]) =>
        bytesOf(
          ...encodeMessage(meta, pattern(length, length % 251), length % 2 === 0 ? 5_000 : CHUNK_BYTES),
        ),
      ),
  );

  /** The same bytes, cut at the given places. */
  function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
    const ends = [...new Set(places.map((place) => place % (bytes.byteLength + 1)))].sort((a, b) => a - b);
    return [...ends, bytes.byteLength].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
  }

  test("however the stream is cut, the same events come out", () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (frames, places) => {
          const bytes = bytesOf(frames);
          const whole = newDecoder().push(bytes);
          const decoder = newDecoder();
          const pieces = cut(bytes, places).flatMap((fragment) => decoder.push(fragment));
          expect(pieces.length).toBe(frames.length);
          expect(digest(pieces)).toEqual(digest(whole));
        },
      ),
      { numRuns: 150, seed: SEED },
    );
  });

  test("a stream that comes byte by byte is read too", () => {
    const bytes = bytesOf(encodeHello(hello), ...encodeMessage({ a: 1 }, pattern(33)), encodeGoodbye("x"));
    const decoder = newDecoder();
    expect([...bytes].flatMap((byte) => decoder.push(Uint8Array.of(byte)))).toEqual(newDecoder().push(bytes));
  });

  test("10,000 mutated or random streams neither crash nor take more memory than the limits", () => {
    const mutated = fc
      .tuple(
        fc.array(frame, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([frames, changes]) => {
        const bytes = bytesOf(...frames.map((part) => [part.subarray(0, 1024)]));
        for (const [place, value] of changes) bytes[place % bytes.byteLength] = value;
        return bytes;
      });
    const headed = fc
      .tuple(
        fc.constantFrom(MESSAGE, MESSAGE, MESSAGE, 1, 2, CHUNK, 5, 7),
        fc.nat(1),
        fc.constantFrom(0, 2, 2, 9, 2 ** 31),
        fc.oneof(fc.nat(300), fc.nat(2 ** 26)),
        fc.uint8Array({ maxLength: 100 }),
      )
      .map(([type, flags, meta, payload, rest]) =>
        bytesOf([header({ type, flags, meta, payload })], [Buffer.from("{}")], [rest]),
      );
    const known = new Set([
      "frame-magic",
      "frame-version",
      "frame-type",
      "frame-flags",
      "frame-length",
      "frame-meta",
      "frame-chunk",
    ]);
    let announced = 0;
    fc.assert(
      fc.property(
        fc.oneof(mutated, headed, fc.uint8Array({ maxLength: 200 })),
        fc.nat(64),
        (bytes, place) => {
          const payloads: number[] = [];
          const decoder = new FrameDecoder((_meta, payloadBytes) => payloads.push(payloadBytes));
          const events = cut(bytes, [place]).flatMap((fragment) => decoder.push(fragment));
          const codes = events.flatMap((event) => (event.type === "refused" ? [event.failure.code] : []));
          expect(codes.every((code) => known.has(code))).toBe(true);
          expect(events.slice(0, -1).every((event) => event.type !== "refused")).toBe(true);
          // Every payload that was given memory was announced within the limit, and only one of them was chunked.
          expect(Math.max(0, ...payloads)).toBeLessThanOrEqual(PAYLOAD_LIMIT_BYTES);
          expect(payloads.filter((length) => length > CHUNK_BYTES).length).toBeLessThanOrEqual(1);
          announced += payloads.length;
        },
      ),
      { numRuns: 10_000, seed: SEED },
    );
    // Else the fuzzing would stop at the headers.
    expect(announced).toBeGreaterThan(500);
  }, 30_000);

  test("a length of 4 GiB costs no memory", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 1_000; round++) {
      newDecoder().push(header({ type: MESSAGE, meta: 0xffff_ffff, payload: 0xffff_ffff }));
      newDecoder().push(header({ type: MESSAGE, meta: 2, payload: 0xffff_ffff }));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2_000 * FRAME_HEADER_BYTES * 8);
  });
});

/** Events without their payload bytes: comparing megabytes element by element is slow. */
function digest(events: readonly FrameEvent<unknown>[]): unknown[] {
  return events.map((event) =>
    event.type === "message" ? { ...event, payload: Buffer.from(event.payload).toString("base64") } : event,
  );
}
