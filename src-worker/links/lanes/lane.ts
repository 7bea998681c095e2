import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SessionKey } from "../../../src-protocol/keys.ts";

/** What lies there and is not read yet; what is more goes over the socket, whose back-pressure slows the sender. */
export const MOST_LANE_BYTES = 8 * 1024 * 1024;
/** Below that a socket is as fast. */
export const LEAST_LANE_BYTES = 32 * 1024;

/** At the file's beginning the reader says how many payloads it has had. */
const HAD_BYTES = 8;
/** Then where each of the last payloads lies, how long it is, and its tag. */
const ENTRY_BYTES = 32;
const ENTRIES = 64;
/** Then the session key of the process that has made the file. */
const MAKER_AT = ENTRY_BYTES * (1 + ENTRIES);
const MAKER_BYTES = 64;
const PAYLOADS_FROM = 4096;
const KEY_BYTES = 16;
const TAG_BYTES = 16;

/** Which lane, and by what its reader knows that nobody else has written there. */
export interface LaneName {
  readonly lane: string;
  /** Of the tags (NIST SP 800-38D, GMAC with AES-128); hex. */
  readonly key: string;
}

/**
 * Payloads between two processes of one computer do not go through a socket: the sender puts each into a file that
 * lies in memory, says on the link that it is there, and the receiver reads it from there. One lane is one direction
 * of one link; payloads are read in the order in which they were put, and their places are written over, from the
 * beginning whenever all are read.
 */
export class LaneSender {
  /** By its name the peer finds it in the folder that both can reach. */
  readonly name: LaneName;
  readonly #path: string;
  readonly #file: number;
  readonly #key: KeyObject;
  /** Not seen to be read yet, the oldest first. */
  #waiting: { readonly at: number; readonly bytes: number }[] = [];
  #put = 0;
  #state: "named" | "seen" | "closed" = "named";

  /** `ownKey`: the one that this process proves to its peers. Throws when the folder cannot be written. */
  constructor(folder: string, ownKey: SessionKey) {
    const lane = randomBytes(16).toString("hex");
    this.name = { lane, key: randomBytes(KEY_BYTES).toString("hex") };
    this.#key = keyOf(this.name);
    this.#path = join(folder, lane);
    this.#file = openSync(this.#path, "wx+", 0o600);
    try {
      write(this.#file, Buffer.from(ownKey, "latin1"), MAKER_AT);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * The peer has it open: its name is needed no more, and whatever is put is gone with the two processes, also when
   * both are killed.
   */
  seen(): void {
    if (this.#state !== "named") return;
    this.#state = "seen";
    this.#unname();
  }

  /** Whether it lies there now. No: it has to go over the socket. */
  put(payload: Uint8Array): boolean {
    if (this.#state !== "seen") return false;
    try {
      const at = this.#placeFor(payload.byteLength);
      if (at === null) return false;
      write(this.#file, payload, PAYLOADS_FROM + at);
      const entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
      entry.setUint32(0, at, true);
      entry.setUint32(4, payload.byteLength, true);
      const bytes = new Uint8Array(entry.buffer);
      bytes.set(tagOf(this.#key, this.#put, payload), ENTRY_BYTES - TAG_BYTES);
      write(this.#file, bytes, entryAt(this.#put));
      this.#put += 1;
      this.#waiting.push({ at, bytes: payload.byteLength });
      return true;
    } catch {
      // The memory is full, or the reader has written nonsense: this lane is not used again.
      this.close();
      return false;
    }
  }

  /** What was put before, the peer can still read. */
  close(): void {
    if (this.#state === "closed") return;
    if (this.#state === "named") this.#unname();
    this.#state = "closed";
    closeSync(this.#file);
  }

  #unname(): void {
    try {
      unlinkSync(this.#path);
    } catch {
      // Another worker of this computer has removed it, or has put something else there.
    }
  }

  /** Null: too much waits to be read. */
  #placeFor(bytes: number): number | null {
    this.#waiting = this.#waiting.slice(this.#waiting.length - (this.#put - this.#had()));
    const [first] = this.#waiting;
    const last = this.#waiting.at(-1);
    if (first === undefined || last === undefined) return bytes <= MOST_LANE_BYTES ? 0 : null;
    if (this.#waiting.length === ENTRIES) return null;
    const end = last.at + last.bytes;
    if (last.at < first.at) return end + bytes <= first.at ? end : null;
    if (end + bytes <= MOST_LANE_BYTES) return end;
    return bytes <= first.at ? 0 : null;
  }

  #had(): number {
    const said = new DataView(new ArrayBuffer(HAD_BYTES));
    const count = readSync(this.#file, said, 0, HAD_BYTES, 0);
    const had = count === HAD_BYTES ? Number(said.getBigUint64(0, true)) : 0;
    if (had > this.#put || had < this.#put - this.#waiting.length)
      throw new RangeError(`${had} payloads of ${this.#put} are said to be read`);
    return had;
  }
}

/** The other end of a lane. */
export class LaneReceiver {
  readonly #file: number;
  readonly #key: KeyObject;
  #had = 0;
  #isOpen = true;

  private constructor(file: number, key: KeyObject) {
    this.#file = file;
    this.#key = key;
  }

  /**
   * Null: this process cannot reach it, as when the two have no folder in common, or `peer` has not made it. The name
   * is checked by its schema. SECURITY: another worker of this computer may have put something else there: a link, a
   * pipe that blocks. A stranger, who cannot write into the folder, may name a lane that was told to it.
   */
  static open(folder: string, name: LaneName, peer: SessionKey): LaneReceiver | null {
    const { O_RDWR, O_NOFOLLOW, O_NONBLOCK } = constants;
    let file: number;
    try {
      file = openSync(join(folder, name.lane), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    } catch {
      return null;
    }
    if (makerOf(file) === peer) return new LaneReceiver(file, keyOf(name));
    closeSync(file);
    return null;
  }

  /**
   * The next one, which has as many bytes as the link has said. Throws when it is not what the sender has put there:
   * another worker of this computer may have written over it.
   */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (!this.#isOpen) throw new RangeError("the lane is closed");
    const entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
    read(this.#file, new Uint8Array(entry.buffer), entryAt(this.#had));
    const at = entry.getUint32(0, true);
    if (entry.getUint32(4, true) !== bytes || at + bytes > MOST_LANE_BYTES)
      throw new RangeError(`no payload of ${bytes} bytes lies there`);
    const payload = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
    read(this.#file, payload, PAYLOADS_FROM + at);
    mustHaveTag(this.#key, this.#had, payload, new Uint8Array(entry.buffer, ENTRY_BYTES - TAG_BYTES));
    this.#had += 1;
    const said = new DataView(new ArrayBuffer(HAD_BYTES));
    said.setBigUint64(0, BigInt(this.#had), true);
    write(this.#file, said, 0);
    return payload;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#file);
  }
}

/** Null: it is no lane. */
function makerOf(file: number): string | null {
  const maker = Buffer.alloc(MAKER_BYTES);
  try {
    if (!fstatSync(file).isFile()) return null;
    read(file, maker, MAKER_AT);
  } catch {
    return null;
  }
  return maker.toString("latin1");
}

function entryAt(number: number): number {
  return ENTRY_BYTES * (1 + (number % ENTRIES));
}

/** A payload's number is its nonce: none is taken for another one, or twice. */
function nonceOf(number: number): Uint8Array {
  const nonce = new DataView(new ArrayBuffer(12));
  nonce.setBigUint64(0, BigInt(number), true);
  return new Uint8Array(nonce.buffer);
}

/** Given as bytes, Node looks at it again for each tag, which takes longer than the tag. */
function keyOf({ key }: LaneName): KeyObject {
  return createSecretKey(Buffer.from(key, "hex"));
}

function tagOf(key: KeyObject, number: number, payload: Uint8Array): Uint8Array {
  const cipher = createCipheriv("aes-128-gcm", key, nonceOf(number), { authTagLength: TAG_BYTES });
  cipher.setAAD(payload);
  cipher.final();
  return cipher.getAuthTag();
}

function mustHaveTag(key: KeyObject, number: number, payload: Uint8Array, tag: Uint8Array): void {
  const decipher = createDecipheriv("aes-128-gcm", key, nonceOf(number), { authTagLength: TAG_BYTES });
  decipher.setAAD(payload);
  decipher.setAuthTag(tag);
  decipher.final();
}

function read(file: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.byteLength;) {
    const count = readSync(file, into, done, into.byteLength - done, position + done);
    if (count === 0) throw new RangeError("the file ends before that");
    done += count;
  }
}

/** A file system that is nearly full may write less than it was given. */
function write(file: number, bytes: NodeJS.ArrayBufferView, position: number): void {
  if (writeSync(file, bytes, 0, bytes.byteLength, position) < bytes.byteLength)
    throw new RangeError("the file system took a part of it only");
}
