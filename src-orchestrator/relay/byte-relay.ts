import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { Door } from "../../src-protocol/door.ts";
import type { DoorLimits } from "../../src-protocol/door.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import {
  RELAY_GREETING_LIMIT_BYTES,
  relayGreeting,
  relayProofText,
} from "../../src-protocol/link-services.ts";
import type { RelayAnswer } from "../../src-protocol/link-services.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import { PairList, pairName } from "./pair-list.ts";
import type { RelayRates } from "./relay-rates.ts";

const GREETING_MS = 5_000;
/** A pairing that waits longer has no other side; who still wants it asks again. */
export const WAITING_MS = 15_000;
/** Of those that have not proved a key. */
const HALF_OPEN: DoorLimits = { unproved: 256, unprovedOfAddress: 32, connectionsPerSecond: 100 };
/** Of one key: two neighbours, and a new connection beside each old one. */
const CONNECTIONS_PER_KEY = 8;

export interface ByteRelayOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  readonly rates: RelayRates;
  readonly now?: () => number;
  readonly greetingMs?: number;
  readonly door?: DoorLimits;
  readonly waitingMs?: number;
}

interface End {
  readonly key: string;
  readonly peer: string;
  readonly socket: Socket;
  other: End | null;
  cancel: () => void;
}

/**
 * Joins two TCP connections of nodes that the orchestrator named as neighbours, and passes bytes on
 * without knowing what they are: the two speak TLS with each other, bound to their session keys.
 *
 *     relay → node   32 bytes: a nonce
 *     node  → relay  one line of JSON: relayGreeting (link-services.ts)
 *     relay → node   one line of JSON: relayAnswer; after `paired` both directions are the peer's
 */
export class ByteRelay {
  readonly refused = new Map<string, number>();
  readonly #options: ByteRelayOptions;
  readonly #now: () => number;
  readonly #server: Server;
  #pairs = new PairList();
  readonly #door: Door;
  readonly #ends = new Set<End>();

  constructor(options: ByteRelayOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = options.connections + 2 * HALF_OPEN.unproved;
    this.#door = new Door(options.door ?? HALF_OPEN);
  }

  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (cause) =>
        reject(
          new Failure(
            "relay-listen",
            `The byte relay cannot use TCP port ${port} of ${host}: ${cause.message}. Choose another port.`,
            { cause },
          ),
        ),
      );
      this.#server.listen({ host, port }, () => {
        const bound = this.#server.address();
        resolve(bound !== null && typeof bound === "object" ? bound.port : 0);
      });
    });
  }

  get streams(): number {
    return [...this.#ends].filter(({ other }) => other !== null).length / 2;
  }

  get waiting(): number {
    return [...this.#ends].filter(({ other }) => other === null).length;
  }

  allow(pairs: PairList): void {
    this.#pairs = pairs;
    for (const end of this.#ends) if (!pairs.joins(end.key, end.peer)) end.socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.#door.close();
    for (const { socket } of this.#ends) socket.destroy();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    // SECURITY: who has not proved a key holds a bounded place for a bounded time.
    this.#door.enter(socket);
    if (socket.destroyed) return this.#count("relay-busy");
    const nonce = randomBytes(32);
    const timer = setTimeout(() => socket.destroy(), this.#options.greetingMs ?? GREETING_MS);
    const greeted = (): void => clearTimeout(timer);
    socket.once("close", greeted);
    socket.write(nonce);
    readLine(socket, (line) => {
      greeted();
      try {
        this.#greet(socket, nonce.toString("hex"), line);
      } catch (error) {
        this.#refuse(socket, error);
      }
    });
  }

  #greet(socket: Socket, nonce: string, line: string | null): void {
    const parsed = line === null ? null : relayGreeting.safeParse(parseJson(line)).data;
    if (parsed === null || parsed === undefined)
      throw new Failure("relay-greeting", "The relay did not understand who you are. Update the app.");
    const { sessionKey: key, peer, signature } = parsed;
    // SECURITY: cheap refusals first; the signature is checked only for those who are named.
    if (!this.#pairs.joins(key, peer))
      throw new Failure("relay-not-named", "No run names these two nodes as neighbours.");
    const own = [...this.#ends].filter((end) => end.key === key).length;
    if (own >= CONNECTIONS_PER_KEY || this.#ends.size >= this.#options.connections)
      throw new Failure("relay-full", "The relay has no room for another stream.");
    if (!verifySession(key, relayProofText(nonce, peer), signature))
      throw new Failure("relay-proof", "The relay was not shown that you hold this session key.");
    this.#door.proved(socket);
    this.#wait(socket, key, peer);
  }

  #wait(socket: Socket, key: string, peer: string): void {
    const end: End = { key, peer, socket, other: null, cancel: () => {} };
    const timer = setTimeout(() => {
      if (end.other === null)
        this.#refuse(socket, new Failure("relay-alone", "The other node did not come to the relay."));
    }, this.#options.waitingMs ?? WAITING_MS);
    end.cancel = () => clearTimeout(timer);
    this.#ends.add(end);
    socket.once("close", () => {
      end.cancel();
      this.#ends.delete(end);
      end.other?.socket.destroy();
    });
    // The same node again: the newer one counts, its old connection may be a dead one.
    for (const old of this.#ends)
      if (old !== end && old.other === null && old.key === key && old.peer === peer) old.socket.destroy();
    const partner = [...this.#ends].find(
      (other) =>
        other.other === null &&
        other.key === peer &&
        pairName(other.key, other.peer) === pairName(key, peer) &&
        !other.socket.destroyed,
    );
    if (partner !== undefined) this.#join(end, partner);
  }

  #join(a: End, b: End): void {
    a.other = b;
    b.other = a;
    for (const end of [a, b]) {
      end.cancel();
      answer(end.socket, { type: "paired" });
    }
    this.#pass(a, b);
    this.#pass(b, a);
  }

  #pass(from: End, to: End): void {
    const { rates } = this.#options;
    let pauses = 0;
    const pause = (): void => {
      pauses += 1;
      from.socket.pause();
    };
    const resume = (): void => {
      pauses -= 1;
      if (pauses === 0) from.socket.resume();
    };
    from.socket.on("data", (bytes: Buffer) => {
      if (!to.socket.write(bytes)) {
        pause();
        to.socket.once("drain", resume);
      }
      const waitMs = rates.sent(from.key, bytes.byteLength, this.#now());
      if (waitMs === 0) return;
      pause();
      setTimeout(resume, waitMs);
    });
    from.socket.once("end", () => to.socket.end());
    from.socket.resume();
  }

  #refuse(socket: Socket, error: unknown): void {
    const { code, message } = failureBody(error);
    this.#count(code);
    if (socket.destroyed) return;
    answer(socket, { type: "refused", code, message });
    socket.end();
    socket.resume();
    setTimeout(() => socket.destroy(), 1_000).unref();
  }

  #count(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}

function answer(socket: Socket, said: RelayAnswer): void {
  socket.write(`${JSON.stringify(said)}\n`);
}

/** The first line, and what follows stays in the socket; null when it is too long or never comes. */
function readLine(socket: Socket, heard: (line: string | null) => void): void {
  let bytes = Buffer.alloc(0);
  const read = (): void => {
    const more: Buffer | null = socket.read();
    if (more === null) return;
    bytes = Buffer.concat([bytes, more]);
    const end = bytes.indexOf(10);
    if (end < 0 && bytes.byteLength <= RELAY_GREETING_LIMIT_BYTES) return;
    socket.off("readable", read);
    if (end < 0 || end > RELAY_GREETING_LIMIT_BYTES) return heard(null);
    const rest = bytes.subarray(end + 1);
    if (rest.byteLength > 0) socket.unshift(rest);
    heard(bytes.subarray(0, end).toString("utf8"));
  };
  socket.on("readable", read);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
