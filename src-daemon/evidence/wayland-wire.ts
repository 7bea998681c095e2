/**
 * Messages of the Wayland protocol, as far as idle time needs them: no file descriptors are passed. Numbers are
 * in the computer's own order, and every computer that Node runs on has the little end first.
 * https://wayland.freedesktop.org/docs/html/ch04.html#sect-Protocol-Wire-Format
 */
export interface WaylandMessage {
  /** Of the object that speaks, or is spoken to. */
  readonly object: number;
  readonly opcode: number;
  readonly body: Buffer;
}

const HEADER_BYTES = 8;

/** Arguments: numbers as uint32, texts with their length and end. */
export function waylandMessage(
  object: number,
  opcode: number,
  ...words: readonly (number | string)[]
): Buffer {
  const body = Buffer.concat(words.map((word) => (typeof word === "number" ? uint(word) : string(word))));
  const size = HEADER_BYTES + body.length;
  return Buffer.concat([uint(object), uint(((size << 16) | opcode) >>> 0), body]);
}

/** Takes all whole messages from the front of `bytes`. Throws `RangeError` at what is no message. */
export function readMessages(bytes: Buffer): { messages: WaylandMessage[]; rest: Buffer } {
  const messages: WaylandMessage[] = [];
  let rest = bytes;
  while (rest.length >= HEADER_BYTES) {
    const word = rest.readUInt32LE(4);
    const size = word >>> 16;
    if (size < HEADER_BYTES || size % 4 !== 0) throw new RangeError(`a message of ${size} bytes`);
    if (rest.length < size) break;
    messages.push({
      object: rest.readUInt32LE(0),
      opcode: word & 0xffff,
      body: rest.subarray(HEADER_BYTES, size),
    });
    rest = rest.subarray(size);
  }
  return { messages, rest };
}

/** A text at `offset`, and where what follows it begins. Throws `RangeError` where it reaches too far. */
export function readText(body: Buffer, offset: number): { text: string; end: number } {
  const length = body.readUInt32LE(offset);
  const from = offset + 4;
  const end = from + padded(length);
  if (length === 0 || end > body.length) throw new RangeError(`a text of ${length} bytes`);
  return { text: body.toString("utf8", from, from + length - 1), end };
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function string(text: string): Buffer {
  const length = Buffer.byteLength(text) + 1;
  const bytes = Buffer.alloc(4 + padded(length));
  bytes.writeUInt32LE(length);
  bytes.write(text, 4);
  return bytes;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
