import { randomBytes } from "node:crypto";
import { Failure, failureBody } from "../../../src-protocol/failure.ts";
import { encodeMessage } from "../../../src-protocol/frame.ts";
import type { SessionKey } from "../../../src-protocol/keys.ts";
import type { LinkPath } from "../../../src-protocol/link-report.ts";
import { isBlobMessage, PAYLOAD_LIMIT_BYTES } from "../../../src-protocol/peer.ts";
import type { PeerMessage, StageMessage, UpkeepMessage } from "../../../src-protocol/peer.ts";
import type { Throttle } from "../../limits/throttle.ts";
import type { LinkClock } from "../link-clock.ts";
import type { BlobHandler, CloseHandler, Link, LinkStats, MessageHandler } from "../link.ts";
import { EarlyBlobs } from "../early-blobs.ts";
import { SessionLane } from "./session-lane.ts";

/** A path may be looked for so long after the last one broke; who dials has begun before, when it fell silent. */
export const RESUME_WITHIN_MS = 6_000;
const NO_PAYLOAD = new Uint8Array(0);
/** Within so long the peer is told what has come, for all of it at once. */
export const SAID_WITHIN_MS = 250;
/** Of what the peer keeps until it is told: more is said at once. */
const MOST_UNSAID_BYTES = 4 * 1024 * 1024;
/** What a message counts for beside its payload. */
const MESSAGE_BYTES = 64 * 1024;

type Resume = Extract<UpkeepMessage, { type: "resume" }>;

/**
 * A link that outlives its path. Each path is a Link of its own, which comes and goes: an address
 * changed, a router gave another port, a relay became needless. Both ends count what has come, so on
 * the next path exactly what is missing is sent again, and whoever uses the link notices a pause at
 * most. Files are asked for again by whoever needs them and are not kept.
 */
export class SessionLink implements Link {
  readonly remoteKey: SessionKey;
  readonly session: string;
  readonly #clock: LinkClock;
  readonly #tensors = new SessionLane();
  readonly #notes = new SessionLane();
  /** The path of now; null: it broke, and the next one is not there yet. */
  #carrier: Link | null = null;
  /** The peer has said on this path what it has: from then on we send. */
  #flows = false;
  #past: LinkStats = {
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    roundTripMs: null,
    sentAs: null,
    receivedAs: null,
  };
  #path: LinkPath;
  #isNear: boolean;
  #lostAt = 0;
  #cancelWait: (() => void) | null = null;
  #unsaidBytes = 0;
  #cancelSaying: (() => void) | null = null;
  #throttle: Throttle | null = null;
  /** Null: what was said of the path itself. */
  #mostPayloadBytes: number | null = null;
  #handler: MessageHandler | null = null;
  readonly #blobs: EarlyBlobs;
  #closeHandlers: CloseHandler[] = [];
  #lostHandler: () => void = () => undefined;
  #closedFor: string | null = null;

  private constructor(first: Link, session: string, clock: LinkClock) {
    this.remoteKey = first.remoteKey;
    this.session = session;
    this.#clock = clock;
    this.#blobs = new EarlyBlobs(clock, ({ id }) => {
      this.send({ type: "blobNone", id }).catch(() => undefined);
    });
    this.#path = first.path;
    this.#isNear = first.isNear;
  }

  /** On the side that has dialled `first`. */
  static begin(first: Link, clock: LinkClock): SessionLink {
    const link = new SessionLink(first, randomBytes(16).toString("hex"), clock);
    link.carry(first);
    return link;
  }

  /** On the side that was dialled and has heard `resume` on `first`. */
  static answer(first: Link, resume: Resume, clock: LinkClock): SessionLink {
    const link = new SessionLink(first, resume.session, clock);
    link.carry(first, resume);
    return link;
  }

  /** Goes on over another path. @param resume what the peer has said on it, where it has dialled */
  carry(carrier: Link, resume?: Resume): void {
    if (this.#closedFor !== null) return carrier.close("the link that this was to go on with is closed");
    const old = this.#carrier;
    this.#leave();
    this.#cancelWait?.();
    this.#cancelWait = null;
    this.#carrier = carrier;
    this.#path = carrier.path;
    this.#isNear = carrier.isNear;
    if (this.#throttle !== null) carrier.limitBy(this.#throttle);
    if (this.#mostPayloadBytes !== null) carrier.limitPayload(this.#mostPayloadBytes);
    carrier.onClose((reason) => this.#carrierClosed(carrier, reason));
    carrier.onUpkeep((message) => this.#upkeep(carrier, message));
    carrier.onBlob((message, payload) => this.#blobs.hear(message, payload));
    this.#say(carrier, { type: "resume", session: this.session, ...this.#counts });
    if (resume !== undefined) this.#upkeep(carrier, resume);
    if (this.#handler !== null) this.#listen(carrier);
    old?.close("link-moved: the link goes on over another path");
  }

  /** It has a path now. */
  get isCarried(): boolean {
    return this.#carrier !== null;
  }

  get path(): LinkPath {
    return this.#carrier?.path ?? this.#path;
  }

  get isNear(): boolean {
    return this.#carrier?.isNear ?? this.#isNear;
  }

  get isOwn(): boolean {
    return this.#carrier?.isOwn ?? false;
  }

  get stats(): LinkStats {
    const now = this.#carrier?.stats;
    if (now === undefined) return this.#past;
    return {
      bytesSent: this.#past.bytesSent + now.bytesSent,
      bytesReceived: this.#past.bytesReceived + now.bytesReceived,
      messagesSent: this.#past.messagesSent + now.messagesSent,
      messagesReceived: this.#past.messagesReceived + now.messagesReceived,
      roundTripMs: now.roundTripMs,
      sentAs: now.sentAs ?? this.#past.sentAs,
      receivedAs: now.receivedAs ?? this.#past.receivedAs,
    };
  }

  get silentMs(): number {
    if (this.#closedFor !== null) return 0;
    return this.#carrier === null ? this.#clock.now() - this.#lostAt : this.#carrier.silentMs;
  }

  async send(message: PeerMessage, payload: Uint8Array = NO_PAYLOAD): Promise<void> {
    if (this.#closedFor !== null) throw closedFailure(this.#closedFor);
    if (isBlobMessage(message)) {
      if (this.#carrier === null) throw closedFailure("its path broke");
      return await this.#carrier.send(message, payload);
    }
    mustBeSendable(message, payload);
    await new Promise<void>((resolve, reject) => {
      const lane = payload.byteLength > 0 ? this.#tensors : this.#notes;
      try {
        lane.add({ message, payload, resolve, reject });
      } catch (error) {
        reject(error);
        return this.#fail(error);
      }
      if (this.#flows) this.#write(message, payload);
    });
  }

  onMessage(handler: MessageHandler): void {
    const isFirst = this.#handler === null;
    this.#handler = handler;
    if (isFirst && this.#carrier !== null) this.#listen(this.#carrier);
  }

  onBlob(handler: BlobHandler): void {
    this.#blobs.handleWith(handler);
  }

  /** Nobody else hears it: it is about this link itself. */
  onUpkeep(): void {}

  onClose(handler: CloseHandler): void {
    const reason = this.#closedFor;
    if (reason === null) this.#closeHandlers.push(handler);
    else queueMicrotask(() => handler(reason));
  }

  /** Its path broke, and it waits for another one. */
  onPathLost(handler: () => void): void {
    this.#lostHandler = handler;
  }

  ask(): void {
    this.#carrier?.ask();
  }

  limitBy(throttle: Throttle): void {
    this.#throttle = throttle;
    this.#carrier?.limitBy(throttle);
  }

  limitPayload(bytes: number): void {
    this.#mostPayloadBytes = bytes;
    this.#carrier?.limitPayload(bytes);
  }

  /** The path of now is of no use any more, as far as this side can tell. */
  dropPath(reason: string): void {
    this.#carrier?.close(`link-silent: ${reason}`);
  }

  close(reason: string): void {
    const carrier = this.#carrier;
    this.#end(reason);
    carrier?.close(reason);
  }

  get #counts(): { tensors: number; notes: number } {
    return { tensors: this.#tensors.received, notes: this.#notes.received };
  }

  #say(carrier: Link, message: UpkeepMessage): void {
    // A path that breaks says so by itself.
    carrier.send(message).catch(() => undefined);
  }

  #write(message: PeerMessage, payload: Uint8Array): void {
    this.#carrier?.send(message, payload).catch(() => undefined);
  }

  #listen(carrier: Link): void {
    carrier.onMessage((message, payload) => {
      if (carrier === this.#carrier) return this.#take(carrier, message, payload);
      return undefined;
    });
  }

  #take(carrier: Link, message: StageMessage, payload: Uint8Array<ArrayBuffer>): void | Promise<void> {
    (payload.byteLength > 0 ? this.#tensors : this.#notes).received += 1;
    this.#unsaidBytes += payload.byteLength + MESSAGE_BYTES;
    if (this.#unsaidBytes >= MOST_UNSAID_BYTES) this.#sayReceived(carrier);
    else this.#cancelSaying ??= this.#clock.after(SAID_WITHIN_MS, () => this.#sayReceived(carrier));
    return this.#handler?.(message, payload);
  }

  #sayReceived(carrier: Link): void {
    this.#allSaid();
    this.#say(carrier, { type: "received", ...this.#counts });
  }

  #allSaid(): void {
    this.#cancelSaying?.();
    this.#cancelSaying = null;
    this.#unsaidBytes = 0;
  }

  #upkeep(carrier: Link, message: UpkeepMessage): void {
    if (carrier !== this.#carrier) return;
    try {
      if (
        message.type === "direct" ||
        (message.type === "resume" && (this.#flows || message.session !== this.session))
      )
        throw new Failure("link-session", "The peer speaks of another link. The link was closed.");
      this.#tensors.acknowledge(message.tensors);
      this.#notes.acknowledge(message.notes);
    } catch (error) {
      return this.#fail(error);
    }
    if (message.type !== "resume") return;
    this.#flows = true;
    for (const { message: kept, payload } of [...this.#notes.kept, ...this.#tensors.kept])
      this.#write(kept, payload);
  }

  #carrierClosed(carrier: Link, reason: string): void {
    if (carrier !== this.#carrier) return;
    this.#leave();
    // A goodbye is meant; only a path that broke is replaced.
    if (!/^link-(lost|silent|moved): /.test(reason)) return this.#end(reason);
    this.#lostAt = this.#clock.now();
    this.#cancelWait = this.#clock.after(RESUME_WITHIN_MS, () => this.#end(reason));
    this.#lostHandler();
  }

  #leave(): void {
    if (this.#carrier !== null) this.#past = this.stats;
    // On the next path it is said with the first word.
    this.#allSaid();
    this.#carrier = null;
    this.#flows = false;
  }

  #fail(error: unknown): void {
    const { code, message } = failureBody(error);
    this.close(`${code}: ${message}`);
  }

  #end(reason: string): void {
    if (this.#closedFor !== null) return;
    this.#closedFor = reason;
    this.#cancelWait?.();
    this.#blobs.stop();
    this.#leave();
    for (const lane of [this.#tensors, this.#notes]) lane.abandon(closedFailure(reason));
    for (const handler of this.#closeHandlers) handler(reason);
    this.#closeHandlers = [];
  }
}

/** What no path would take must not be counted. A tensor's meta is always short: to encode it twice costs more than to look. */
function mustBeSendable(message: PeerMessage, payload: Uint8Array): void {
  if (message.type !== "tensor" || payload.byteLength > PAYLOAD_LIMIT_BYTES) encodeMessage(message, payload);
}

function closedFailure(reason: string): Failure {
  return new Failure("link-closed", `The link to the peer is closed (${reason}). The message was not sent.`);
}
