import { z } from "zod";
import { Failure } from "./failure.ts";
import { ed25519Signature, sessionKey } from "./keys.ts";
import {
  CHUNK_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_VERSION,
  META_LIMIT_BYTES,
  PAYLOAD_LIMIT_BYTES,
} from "./peer.ts";

/**
 * The bytes of a link. Every frame is a 16-byte header, JSON meta and raw payload:
 *
 *     0 magic u32 | 4 version u8 | 5 type u8 | 6 flags u16 | 8 metaLength u32 | 12 payloadLength u32
 *
 * little-endian. A `message` frame's payloadLength is that of the whole message; of it, the frame
 * itself carries the first min(payloadLength, CHUNK_BYTES) bytes, and `chunk` frames the rest; with
 * the flag `detached` it carries none, and all of it comes in chunks as small as the sender's line
 * wants them; with `inLane` none comes at all, for it lies in memory that both can reach. Only one
 * message may have chunks outstanding; frames without chunks may come between them. That is how a
 * heartbeat or a receipt overtakes a tensor, and why a peer can make us hold one
 * tensor only.
 */
interface FrameRule {
  readonly code: number;
  /** The flag bits that may be set. */
  readonly flags: number;
  readonly metaBytes: readonly [min: number, max: number];
  readonly payloadBytes: readonly [min: number, max: number];
}

/** Heartbeat flag: this is the answer to yours. Answers come in the order of the questions. */
export const FLAG_ANSWER = 1;
/** Message flag: its payload comes in chunks from the first byte on. */
export const FLAG_DETACHED = 2;
/** Message flag: its payload lies in the sender's lane (`lane` message), and is in no frame. */
export const FLAG_IN_LANE = 4;

// SECURITY: these limits are checked before anything is allocated; `hello` is all that a stranger may send.
const FRAME_RULES = {
  hello: { code: 1, flags: 0, metaBytes: [2, 1024], payloadBytes: [0, 0] },
  heartbeat: { code: 2, flags: FLAG_ANSWER, metaBytes: [0, 0], payloadBytes: [0, 0] },
  message: {
    code: 3,
    flags: FLAG_DETACHED | FLAG_IN_LANE,
    metaBytes: [2, META_LIMIT_BYTES],
    payloadBytes: [0, PAYLOAD_LIMIT_BYTES],
  },
  chunk: { code: 4, flags: 0, metaBytes: [0, 0], payloadBytes: [1, CHUNK_BYTES] },
  goodbye: { code: 5, flags: 0, metaBytes: [2, 2048], payloadBytes: [0, 0] },
} as const satisfies Record<string, FrameRule>;

export type FrameType = keyof typeof FRAME_RULES;
const TYPE_BY_CODE = new Map<number, FrameType>(
  (Object.keys(FRAME_RULES) as FrameType[]).map((type) => [FRAME_RULES[type].code, type]),
);

export const GOODBYE_REASON_LIMIT = 200;

export const helloMeta = z.strictObject({ sessionKey, signature: ed25519Signature });
export type HelloMeta = z.infer<typeof helloMeta>;

export const goodbyeMeta = z.strictObject({ reason: z.string().max(GOODBYE_REASON_LIMIT) });

export type LinkRole = "dialer" | "listener";

/**
 * The exact text a hello's signature covers. The exporter (RFC 8446 7.5) is different on the two
 * sides of a man in the middle; the role keeps a hello from being thrown back at its sender.
 */
export function helloText(role: LinkRole, exporterHex: string): string {
  return `Train at Home link v1\n${role}\n${exporterHex}`;
}

export interface FrameHeader {
  readonly type: FrameType;
  readonly flags: number;
  readonly metaLength: number;
  readonly payloadLength: number;
}

/** Reads and checks one header. Throws a Failure: frame-magic, -version, -type, -flags or -length. */
export function readFrameHeader(bytes: Uint8Array): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  if (view.getUint32(0, true) !== FRAME_MAGIC) {
    throw new Failure(
      "frame-magic",
      "The peer sent something that is not a Train at Home frame. The link was closed.",
    );
  }
  const version = view.getUint8(4);
  if (version !== FRAME_VERSION) {
    throw new Failure(
      "frame-version",
      `The peer speaks link version ${version}, this node ${FRAME_VERSION}. The older of the two needs an update.`,
    );
  }
  const code = view.getUint8(5);
  const type = TYPE_BY_CODE.get(code);
  if (type === undefined) {
    throw new Failure("frame-type", `The peer sent a frame of unknown type ${code}. The link was closed.`);
  }
  const rule: FrameRule = FRAME_RULES[type];
  const header = {
    type,
    flags: view.getUint16(6, true),
    metaLength: view.getUint32(8, true),
    payloadLength: view.getUint32(12, true),
  };
  if ((header.flags & ~rule.flags) !== 0) {
    throw new Failure(
      "frame-flags",
      `The peer sent a ${type} frame with unknown flags ${header.flags}. The link was closed.`,
    );
  }
  checkLength(`${type} meta`, header.metaLength, rule.metaBytes);
  checkLength(`${type} payload`, header.payloadLength, rule.payloadBytes);
  return header;
}

function checkLength(what: string, length: number, [min, max]: readonly [number, number]): void {
  if (length >= min && length <= max) return;
  throw new Failure(
    "frame-length",
    `A ${what} of ${length} bytes is outside the limits (${min} to ${max} bytes).`,
  );
}

/** One frame as the pieces to write in this order; the payload piece is a view, never a copy. */
export type FramePieces = readonly Uint8Array[];

export function encodeHello(hello: HelloMeta): FramePieces {
  return [encodeHead("hello", 0, hello, 0)];
}

export function encodeHeartbeat(answer: boolean): FramePieces {
  return [encodeHead("heartbeat", answer ? FLAG_ANSWER : 0, undefined, 0)];
}

/** A reason over the limit is cut. */
export function encodeGoodbye(reason: string): FramePieces {
  return [encodeHead("goodbye", 0, { reason: reason.slice(0, GOODBYE_REASON_LIMIT) }, 0)];
}

/**
 * The frames of one message, none of them with more than `pieceBytes` of payload. Throws frame-length
 * when meta or payload are over their limits.
 */
export function encodeMessage(meta: object, payload: Uint8Array, pieceBytes = CHUNK_BYTES): FramePieces[] {
  const detached = pieceBytes < Math.min(CHUNK_BYTES, payload.byteLength);
  const head = encodeHead("message", detached ? FLAG_DETACHED : 0, meta, payload.byteLength);
  if (payload.byteLength === 0) return [[head]];
  const frames: FramePieces[] = detached ? [[head]] : [[head, payload.subarray(0, CHUNK_BYTES)]];
  const step = detached ? pieceBytes : CHUNK_BYTES;
  for (let start = detached ? 0 : CHUNK_BYTES; start < payload.byteLength; start += step) {
    const part = payload.subarray(start, start + step);
    frames.push([encodeHead("chunk", 0, undefined, part.byteLength), part]);
  }
  return frames;
}

/** The one frame of a message whose payload lies in the sender's lane. Throws as `encodeMessage`. */
export function encodeInLane(meta: object, payloadBytes: number): FramePieces {
  return [encodeHead("message", FLAG_IN_LANE, meta, payloadBytes)];
}

function encodeHead(
  type: FrameType,
  flags: number,
  meta: object | undefined,
  payloadLength: number,
): Uint8Array {
  const rule: FrameRule = FRAME_RULES[type];
  const json = meta === undefined ? new Uint8Array(0) : new TextEncoder().encode(JSON.stringify(meta));
  checkLength(`${type} meta`, json.byteLength, rule.metaBytes);
  checkLength(`${type} payload`, payloadLength, rule.payloadBytes);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + json.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint8(4, FRAME_VERSION);
  view.setUint8(5, rule.code);
  view.setUint16(6, flags, true);
  view.setUint32(8, json.byteLength, true);
  view.setUint32(12, payloadLength, true);
  bytes.set(json, FRAME_HEADER_BYTES);
  return bytes;
}
