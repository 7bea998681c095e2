import type { z } from "zod";
import { Failure } from "./failure.ts";
import {
  FLAG_ANSWER,
  FLAG_DETACHED,
  FLAG_IN_LANE,
  goodbyeMeta,
  helloMeta,
  readFrameHeader,
} from "./frame.ts";
import type { FrameHeader, HelloMeta } from "./frame.ts";
import { CHUNK_BYTES, FRAME_HEADER_BYTES } from "./peer.ts";

export type FrameEvent<Message> =
  | { readonly type: "hello"; readonly hello: HelloMeta }
  | { readonly type: "heartbeat"; readonly answer: boolean }
  /** `payload` has a buffer of its own, from offset 0: a Float32Array view of it needs no copy. */
  | { readonly type: "message"; readonly message: Message; readonly payload: Uint8Array<ArrayBuffer> }
  | { readonly type: "goodbye"; readonly reason: string }
  /** Always the last event: what comes after a bad frame cannot be understood. */
  | { readonly type: "refused"; readonly failure: Failure };

interface Arriving<Message> {
  readonly message: Message;
  readonly payload: Uint8Array<ArrayBuffer>;
  received: number;
}

/**
 * Turns a stream, cut anywhere, into events. Holds at most one chunked payload, one unchunked one
 * and one meta at a time; how much the messages of one `push` take from a lane, `takeFromLane` has
 * to bound. `accept` checks a message's meta, and throws a Failure to refuse it, before its payload
 * is given memory.
 */
export class FrameDecoder<Message> {
  readonly #accept: (meta: unknown, payloadBytes: number) => Message;
  readonly #takeFromLane: (payloadBytes: number) => Uint8Array<ArrayBuffer>;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  /** What is being filled, and how far; a part is never empty. */
  #part: "header" | "meta" | "payload" = "header";
  #target = this.#header;
  #filled = 0;
  #current: FrameHeader | null = null;
  /** Whose payload the payload part belongs to. */
  #arriving: Arriving<Message> | null = null;
  /** The message that still has chunks outstanding. */
  #chunked: Arriving<Message> | null = null;
  #refused = false;

  /** `takeFromLane` gives a payload that is in no frame, once its message is accepted; it throws a Failure to refuse it. */
  constructor(
    accept: (meta: unknown, payloadBytes: number) => Message,
    takeFromLane: (payloadBytes: number) => Uint8Array<ArrayBuffer> = noLane,
  ) {
    this.#accept = accept;
    this.#takeFromLane = takeFromLane;
  }

  /** Never throws, never keeps `bytes`. */
  push(bytes: Uint8Array): FrameEvent<Message>[] {
    const events: FrameEvent<Message>[] = [];
    let offset = 0;
    while (offset < bytes.byteLength && !this.#refused) {
      const taken = Math.min(bytes.byteLength - offset, this.#target.byteLength - this.#filled);
      this.#target.set(bytes.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#filled < this.#target.byteLength) break;
      try {
        const event = this.#partDone();
        if (event !== null) events.push(event);
      } catch (error) {
        this.#refused = true;
        this.#arriving = this.#chunked = null;
        events.push({ type: "refused", failure: asFailure(error) });
      }
    }
    return events;
  }

  #fill(part: "header" | "meta" | "payload", target: Uint8Array<ArrayBuffer>): null {
    this.#part = part;
    this.#target = target;
    this.#filled = 0;
    return null;
  }

  #partDone(): FrameEvent<Message> | null {
    switch (this.#part) {
      case "header":
        return this.#headerDone(readFrameHeader(this.#header));
      case "meta":
        return this.#metaDone(parseMeta(this.#target));
      case "payload":
        return this.#payloadDone();
    }
  }

  #headerDone(header: FrameHeader): FrameEvent<Message> | null {
    this.#current = header;
    switch (header.type) {
      case "heartbeat":
        this.#fill("header", this.#header);
        return { type: "heartbeat", answer: header.flags === FLAG_ANSWER };
      case "chunk":
        return this.#expectChunk(header.payloadLength);
      case "message":
        if (hasChunks(header) && this.#chunked !== null) {
          throw new Failure(
            "frame-chunk",
            "The peer began a second large message inside the first. The link was closed.",
          );
        }
        return this.#fill("meta", new Uint8Array(header.metaLength));
      case "hello":
      case "goodbye":
        return this.#fill("meta", new Uint8Array(header.metaLength));
    }
  }

  #metaDone(meta: unknown): FrameEvent<Message> | null {
    const header = this.#current;
    this.#fill("header", this.#header);
    switch (header?.type) {
      case "hello":
        return { type: "hello", hello: parseWith(helloMeta, meta) };
      case "goodbye":
        return { type: "goodbye", reason: parseWith(goodbyeMeta, meta).reason };
      case "message":
        return this.#messageBegins(this.#accept(meta, header.payloadLength), header);
      default:
        return null;
    }
  }

  #messageBegins(message: Message, header: FrameHeader): FrameEvent<Message> | null {
    if (isInLane(header))
      return { type: "message", message, payload: this.#takeFromLane(header.payloadLength) };
    const arriving = { message, payload: new Uint8Array(header.payloadLength), received: 0 };
    if (header.payloadLength === 0) return { type: "message", message, payload: arriving.payload };
    if (hasChunks(header)) this.#chunked = arriving;
    if (isDetached(header)) return null;
    this.#arriving = arriving;
    return this.#fill("payload", arriving.payload.subarray(0, CHUNK_BYTES));
  }

  #expectChunk(bytes: number): null {
    const chunked = this.#chunked;
    if (chunked === null) {
      throw new Failure(
        "frame-chunk",
        "The peer sent a chunk that belongs to no message. The link was closed.",
      );
    }
    if (bytes > chunked.payload.byteLength - chunked.received) {
      throw new Failure(
        "frame-chunk",
        "The peer sent more bytes than it announced for a message. The link was closed.",
      );
    }
    this.#arriving = chunked;
    return this.#fill("payload", chunked.payload.subarray(chunked.received, chunked.received + bytes));
  }

  #payloadDone(): FrameEvent<Message> | null {
    const arriving = this.#arriving;
    if (arriving !== null) arriving.received += this.#target.byteLength;
    this.#arriving = null;
    this.#fill("header", this.#header);
    if (arriving === null || arriving.received < arriving.payload.byteLength) return null;
    if (arriving === this.#chunked) this.#chunked = null;
    return { type: "message", message: arriving.message, payload: arriving.payload };
  }
}

function noLane(): never {
  throw new Failure(
    "frame-flags",
    "The peer has put a payload where this node does not look. The link was closed.",
  );
}

function isInLane({ flags }: FrameHeader): boolean {
  return (flags & FLAG_IN_LANE) !== 0;
}

function isDetached({ flags }: FrameHeader): boolean {
  return (flags & FLAG_DETACHED) !== 0;
}

function hasChunks(header: FrameHeader): boolean {
  if (isInLane(header)) return false;
  return header.payloadLength > CHUNK_BYTES || (isDetached(header) && header.payloadLength > 0);
}

/** To make one costs more than to use it. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });

function parseMeta(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(bytes));
  } catch (cause) {
    throw new Failure(
      "frame-meta",
      "The peer sent a frame whose description is not JSON. The link was closed.",
      { cause },
    );
  }
}

/** Checks meta of a frame against its schema; throws frame-meta with the first fault. */
export function parseWith<Schema extends z.ZodType>(schema: Schema, meta: unknown): z.infer<Schema> {
  const result = schema.safeParse(meta);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  // The texts of zod quote keys that the peer chose: cut, so that a reason stays one readable line.
  throw new Failure(
    "frame-meta",
    `The peer sent a bad message${where}: ${(issue?.message ?? "").slice(0, 120)}`,
  );
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("frame-meta", `The peer's message could not be read: ${String(error).slice(0, 120)}`, {
    cause: error,
  });
}
