import { isIP } from "node:net";
import type { SecretStream } from "hyperdht";
import type { LinkServices } from "../../../src-protocol/link-services.ts";
import { TokenBucket } from "../../../src-protocol/token-bucket.ts";
import type { LinkClock } from "../link-clock.ts";
import type { LinkPath } from "../../../src-protocol/link-report.ts";
import { isNearHost, isOwnHost, isPrivateHost } from "../own-addresses.ts";
import type { LinkPipe, LinkPipeEvents } from "../link-pipe.ts";

/**
 * Bytes of one write. A write is delivered only when all of it has come, so on a slow line a large
 * one is silence for longer than a heartbeat may take; over 16 MiB the transport closes the link.
 */
export const WRITE_BYTES = 64 * 1024;
/**
 * UDX acknowledges and keeps whatever arrives, also while the reader pauses: so the peers count
 * themselves. This much may be under way without the reader having taken it: 300 Mbit/s at 100 ms.
 */
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** The reader tells what it has taken in lots of this size. */
const CREDIT_BYTES = 256 * 1024;

/** The first byte of every write. */
const DATA = 0;
/** Four bytes follow: so many more may be sent. */
const CREDIT = 1;

/** Of the relay's rate: what the transport itself sends is counted there, too. */
const PACE = 0.9;

export type RelayedBy = NonNullable<LinkServices["datagramRelay"]>;

interface Write {
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

const NOTHING = (): void => {};

/** A link's pipe over a HyperDHT stream: Noise has proved the peer's key before it opened. */
export class StreamPipe implements LinkPipe {
  readonly #stream: SecretStream;
  readonly #relay: RelayedBy | null;
  readonly #punched: () => boolean;
  readonly #clock: LinkClock;
  /** While a relay carries it: more than its rate, and the relay cuts it. */
  readonly #pace: TokenBucket | null;
  #isPaced = false;
  #events: LinkPipeEvents | null = null;
  #waiting: Write[] = [];
  /** Given to a full stream; out of memory when it drains. */
  #leaving: Write | null = null;
  /** Bytes that the peer has room for. */
  #credit = WINDOW_BYTES;
  /** Taken from the peer, not told yet. */
  #taken = 0;
  /** Arrived while we do not read. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #paused = false;
  #state: "open" | "ending" | "over" = "open";
  #reason = "the peer ended the connection";
  #ended = false;
  #broken = false;

  /** `punched`: whether a router had to be opened for it. */
  constructor(stream: SecretStream, relay: RelayedBy | null, punched: () => boolean, clock: LinkClock) {
    this.#stream = stream;
    this.#relay = relay;
    this.#punched = punched;
    this.#clock = clock;
    this.#pace = relay === null ? null : new TokenBucket(relay.mbitPerSecond * PACE, clock.now());
  }

  /** Asked each time: a relayed stream moves to a direct path by itself. */
  get path(): LinkPath {
    const { remoteHost = null, remotePort = 0 } = this.#stream.rawStream ?? {};
    const kind = (): LinkPath["kind"] => {
      if (remoteHost === null) return "relayed";
      if (
        this.#relay !== null &&
        remotePort === this.#relay.address.port &&
        mayBe(remoteHost, this.#relay.address.host)
      )
        return "relayed";
      if (isOwnHost(remoteHost)) return "this computer";
      return this.#punched() && !isPrivateHost(remoteHost) ? "punched" : "direct";
    };
    return { kind: kind(), transport: "hyperdht" };
  }

  get isNear(): boolean {
    return this.path.kind !== "relayed" && isNearHost(this.#stream.rawStream?.remoteHost ?? "");
  }

  start(events: LinkPipeEvents): void {
    const stream = this.#stream;
    this.#events = events;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      this.#reason = sentenceOf(error);
      this.#broken = true;
    });
    stream.on("drain", () => {
      const left = this.#leaving;
      this.#leaving = null;
      left?.done();
      this.#flow();
    });
    stream.on("data", (message: Uint8Array) => this.#receive(message));
    const ended = (): void => {
      this.#ended = true;
      this.#deliver();
    };
    stream.on("end", ended);
    stream.on("close", ended);
    if (stream.destroyed) queueMicrotask(ended);
  }

  write(pieces: readonly Uint8Array[], done: () => void): void {
    if (this.#state !== "open") return;
    const parts = pieces.flatMap(cut);
    parts.forEach((bytes, index) =>
      this.#waiting.push({ bytes, done: index === parts.length - 1 ? done : NOTHING }),
    );
    this.#flow();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    // As a stream does it: never from inside of the call.
    queueMicrotask(() => this.#deliver());
  }

  end(): void {
    if (this.#state === "open") this.#state = "ending";
    this.#flow();
  }

  destroy(): void {
    this.#waiting = [];
    this.#stream.destroy();
  }

  #flow(): void {
    while (this.#leaving === null && this.#state !== "over" && !this.#isPaced) {
      const write = this.#waiting[0];
      if (write === undefined || this.#credit < write.bytes.byteLength || this.#stream.destroying) break;
      this.#waiting.shift();
      this.#credit -= write.bytes.byteLength;
      const message = new Uint8Array(1 + write.bytes.byteLength);
      message[0] = DATA;
      message.set(write.bytes, 1);
      if (this.#stream.write(message)) queueMicrotask(write.done);
      else this.#leaving = write;
      this.#keepPace(message.byteLength);
    }
    if (this.#state === "ending" && this.#waiting.length === 0 && this.#leaving === null) this.#stream.end();
  }

  #keepPace(bytes: number): void {
    if (this.#pace === null || this.path.kind !== "relayed") return;
    const waitMs = this.#pace.take(bytes, this.#clock.now());
    if (waitMs === 0) return;
    this.#isPaced = true;
    this.#clock.after(waitMs, () => {
      this.#isPaced = false;
      this.#flow();
    });
  }

  #receive(message: Uint8Array): void {
    if (message[0] === CREDIT && message.byteLength === 5) {
      const more = new DataView(message.buffer, message.byteOffset).getUint32(1, true);
      this.#credit = Math.min(WINDOW_BYTES, this.#credit + more);
      return this.#flow();
    }
    const bytes = message.subarray(1);
    if (message[0] !== DATA || bytes.byteLength === 0)
      return this.#refuse("the peer speaks another version of this link");
    // SECURITY: what is held is what we allowed; who sends more does not keep count.
    if (this.#heldBytes + bytes.byteLength > WINDOW_BYTES)
      return this.#refuse("the peer sent more than it may");
    this.#held.push(bytes);
    this.#heldBytes += bytes.byteLength;
    this.#deliver();
  }

  #deliver(): void {
    while (!this.#paused && this.#state !== "over") {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#heldBytes -= bytes.byteLength;
      this.#taken += bytes.byteLength;
      this.#events?.data(bytes);
    }
    this.#grant();
    if (this.#ended && (this.#held.length === 0 || this.#broken)) this.#lose();
  }

  #grant(): void {
    if (this.#taken < CREDIT_BYTES || this.#stream.destroying) return;
    const message = new Uint8Array(5);
    message[0] = CREDIT;
    new DataView(message.buffer).setUint32(1, this.#taken, true);
    this.#taken = 0;
    // After our end nothing can be written: the peer is about to end, too.
    if (this.#state === "open") this.#stream.write(message);
  }

  #refuse(reason: string): void {
    this.#reason = reason;
    this.#stream.destroy();
    this.#lose();
  }

  #lose(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#waiting = [];
    this.#held = [];
    this.#events?.lost(this.#reason);
  }
}

function cut(piece: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let start = 0; start < piece.byteLength; start += WRITE_BYTES)
    parts.push(piece.subarray(start, start + WRITE_BYTES));
  return parts;
}

function mayBe(host: string, named: string): boolean {
  return host === named || isIP(named) === 0;
}

function sentenceOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
      return "the peer's process or computer dropped the connection";
    case "ETIMEDOUT":
      return "nothing got through to the peer any more";
    default:
      return error.message;
  }
}
