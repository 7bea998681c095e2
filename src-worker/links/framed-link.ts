import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { FrameDecoder, parseWith } from "../../src-protocol/frame-decoder.ts";
import type { FrameEvent } from "../../src-protocol/frame-decoder.ts";
import { encodeGoodbye, encodeInLane, GOODBYE_REASON_LIMIT } from "../../src-protocol/frame.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import type { LinkPath } from "../../src-protocol/link-report.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import {
  isBlobMessage,
  isLaneMessage,
  isUpkeepMessage,
  payloadRange,
  peerMessage,
} from "../../src-protocol/peer.ts";
import type { LaneMessage, PeerMessage, UpkeepMessage } from "../../src-protocol/peer.ts";
import type { Throttle } from "../limits/throttle.ts";
import type { LinkClock } from "./link-clock.ts";
import { EarlyBlobs } from "./early-blobs.ts";
import { LinkInbox } from "./link-inbox.ts";
import { LinkOutbox } from "./link-outbox.ts";
import type { Shipment } from "./link-outbox.ts";
import type { LinkPipe } from "./link-pipe.ts";
import { LinkPulse } from "./link-pulse.ts";
import { ReceiveWindow, SendWindow } from "./link-window.ts";
import { Lanes } from "./lanes/lanes.ts";
import type { LaneHome } from "./lanes/lanes.ts";
import type {
  BlobHandler,
  CloseHandler,
  Link,
  LinkStats,
  LinkTiming,
  MessageHandler,
  UpkeepHandler,
} from "./link.ts";

/**
 * Bytes given to the pipe and not yet out of memory. Two chunks keep a fast pipe busy; more would
 * only be a longer queue in front of the next receipt.
 */
export const OUTBOX_HIGH_WATER_BYTES = 512 * 1024;
/** How long the peer may take to read our goodbye before the pipe is dropped. */
export const GOODBYE_GRACE_MS = 1_000;
/** The peer is told that it is not heard: before this side looks for another path itself. */
const UNHEARD_AFTER_MS = 700;
const MOST_UNHEARD_MS = 60_000;
const NO_PAYLOAD = new Uint8Array(0);

/** The Link over any pipe: frames, lanes, heartbeats, validation and closing. */
export class FramedLink implements Link {
  readonly remoteKey: SessionKey;
  readonly #pipe: LinkPipe;
  readonly #clock: LinkClock;
  readonly #decoder = new FrameDecoder(
    (meta, payloadBytes) => {
      if (payloadBytes > this.#mostPayloadBytes)
        throw new Failure("peer-not-named", "A tensor came from a peer that no assignment names.");
      return acceptMessage(meta, payloadBytes);
    },
    (payloadBytes) => this.#lanes.take(payloadBytes),
  );
  #mostPayloadBytes = Infinity;
  readonly #outbox = new LinkOutbox();
  readonly #inbox: LinkInbox;
  readonly #pulse: LinkPulse;
  readonly #lanes: Lanes;
  /** What the owner allows; null: it does not count. */
  #throttle: Throttle | null = null;
  /** Ends the wait for the turn to send a tensor's next part; null: it does not wait. */
  #cancelTurn: (() => void) | null = null;
  #hasTurn = false;
  /** Ends the wait until more may be received; null: it does not wait. */
  #cancelRest: (() => void) | null = null;
  readonly #sendWindow = new SendWindow();
  readonly #receiveWindow = new ReceiveWindow();
  #inFlightBytes = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #messagesSent = 0;
  #messagesReceived = 0;
  #sentAs: CodecName | null = null;
  #receivedAs: CodecName | null = null;
  #closeHandlers: CloseHandler[] = [];
  #closedFor: string | null = null;
  #knocked: (() => void) | null = null;
  readonly #blobs: EarlyBlobs;
  #upkeepHandler: UpkeepHandler | null = null;
  #firstWord: UpkeepMessage | null = null;

  /** `laneHome`: where payloads lie that do not leave this computer; null: there is no such folder. */
  constructor(
    remoteKey: SessionKey,
    pipe: LinkPipe,
    clock: LinkClock,
    timing: LinkTiming,
    laneHome: LaneHome | null = null,
  ) {
    this.remoteKey = remoteKey;
    this.#lanes = new Lanes(pipe.path.kind === "this computer" ? laneHome : null, remoteKey);
    this.#pipe = pipe;
    this.#clock = clock;
    this.#blobs = new EarlyBlobs(clock, ({ id }) => {
      this.send({ type: "blobNone", id }).catch(() => undefined);
    });
    this.#inbox = new LinkInbox({
      full: () => this.#listen(),
      goodbye: (reason) => this.#end(reason, "peer"),
      failed: (error) => this.#fail(error),
    });
    this.#pulse = new LinkPulse(clock, timing, {
      beat: () => this.#beat(),
      deaf: () => this.#isDeaf,
      silent: () =>
        this.#end(`link-silent: nothing was heard from the peer for ${timing.deadAfterMs} ms`, "lost"),
    });
    pipe.start({ data: (bytes) => this.#receive(bytes), lost: (reason) => this.#lost(reason) });
  }

  get stats(): LinkStats {
    return {
      bytesSent: this.#bytesSent + this.#lanes.bytesSent,
      bytesReceived: this.#bytesReceived + this.#lanes.bytesReceived,
      messagesSent: this.#messagesSent,
      messagesReceived: this.#messagesReceived,
      roundTripMs: this.#pulse.roundTripMs,
      sentAs: this.#sentAs,
      receivedAs: this.#receivedAs,
    };
  }

  async send(message: PeerMessage, payload: Uint8Array = NO_PAYLOAD): Promise<void> {
    if (this.#closedFor !== null) throw closedFailure(this.#closedFor);
    this.#sentAs = codecIn(message) ?? this.#sentAs;
    if (this.#goesNear(message, payload)) {
      const sent = this.#outbox.addFrame(encodeInLane(message, payload.byteLength));
      this.#pump();
      return await sent;
    }
    const pieceBytes = Math.min(this.#throttle?.up.pieceBytes ?? Infinity, this.#sendWindow.pieceBytes);
    const sent = this.#outbox.add(message, payload, pieceBytes);
    this.#pump();
    await sent;
  }

  onMessage(handler: MessageHandler): void {
    this.#inbox.handleWith(handler);
  }

  onBlob(handler: BlobHandler): void {
    this.#blobs.handleWith(handler);
  }

  onUpkeep(handler: UpkeepHandler): void {
    this.#upkeepHandler = handler;
    const word = this.#firstWord;
    this.#firstWord = null;
    if (word !== null) queueMicrotask(() => handler(word));
  }

  onClose(handler: CloseHandler): void {
    const reason = this.#closedFor;
    if (reason === null) this.#closeHandlers.push(handler);
    else queueMicrotask(() => handler(reason));
  }

  get path(): LinkPath {
    return this.#pipe.path;
  }

  get isNear(): boolean {
    return this.#pipe.isNear;
  }

  get isOwn(): boolean {
    return this.#lanes.isPeerOwn;
  }

  get silentMs(): number {
    return this.#isDeaf || this.#closedFor !== null ? 0 : this.#pulse.silentMs;
  }

  limitPayload(bytes: number): void {
    this.#mostPayloadBytes = bytes;
  }

  limitBy(throttle: Throttle): void {
    if (this.#closedFor !== null) return;
    this.#throttle = throttle;
    this.#tellWindow();
  }

  ask(): void {
    if (this.#closedFor !== null) return;
    const ms = this.#isDeaf ? 0 : this.#pulse.quietMs;
    if (ms >= UNHEARD_AFTER_MS)
      this.send({ type: "unheard", ms: Math.min(ms, MOST_UNHEARD_MS) }).catch(() => undefined);
    this.#beat();
  }

  /** Says something at once: so a peer that was dialled on several paths knows which one was chosen. */
  knock(): void {
    // An answer that nobody asked for: it is counted by nobody and asks for nothing.
    this.#outbox.answer();
    this.#pump();
  }

  /** Runs when the peer has said its first frame; that frame itself is handled as any other. */
  onKnock(knocked: () => void): void {
    if (this.#bytesReceived > 0) queueMicrotask(knocked);
    else this.#knocked = knocked;
  }

  close(reason: string): void {
    this.#end(reason.slice(0, GOODBYE_REASON_LIMIT), "self");
  }

  /** Payloads keep their order: none overtakes one that is still in frames. */
  #goesNear(message: PeerMessage, payload: Uint8Array): boolean {
    if (message.type !== "tensor" && message.type !== "sum" && message.type !== "total") return false;
    if (!this.#lanes.isFor(payload.byteLength)) return false;
    const news = this.#lanes.news();
    if (news !== null) this.send(news).catch(() => undefined);
    return !this.#outbox.hasBulk && this.#lanes.put(payload);
  }

  #pump(): void {
    while (this.#closedFor === null && this.#inFlightBytes < OUTBOX_HIGH_WATER_BYTES) {
      const shipment = this.#outbox.nextUrgent() ?? this.#nextBulk();
      if (shipment === null) return;
      if (shipment.kind === "question") this.#pulse.asked();
      if (shipment.kind === "message") this.#messagesSent += 1;
      const bytes = shipment.pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
      this.#bytesSent += bytes;
      this.#throttle?.up.spend(bytes);
      this.#inFlightBytes += bytes;
      this.#pipe.write(shipment.pieces, () => {
        this.#inFlightBytes -= bytes;
        shipment.written();
        this.#pump();
      });
    }
  }

  /** Null: there is none, or it is not its turn; then `#pump` is called when it is. */
  #nextBulk(): Shipment | null {
    if (!this.#sendWindow.isOpen(this.#bytesSent)) return null;
    const up = this.#throttle?.up;
    if (up === undefined || up.isFree || this.#hasTurn || !this.#outbox.hasBulk) {
      this.#hasTurn = false;
      return this.#outbox.nextBulk();
    }
    this.#cancelTurn ??= up.whenFree(() => {
      this.#cancelTurn = null;
      this.#hasTurn = true;
      this.#pump();
      this.#hasTurn = false;
    });
    return null;
  }

  #beat(): void {
    this.#outbox.ask();
    this.#pump();
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closedFor !== null) return;
    this.#bytesReceived += bytes.byteLength;
    this.#pulse.heard();
    this.#lanes.heard();
    for (const event of this.#decoder.push(bytes)) {
      if (this.#closedFor !== null) return;
      const knocked = this.#knocked;
      this.#knocked = null;
      // A goodbye as the first word: the peer has chosen another path.
      if (event.type === "message" || event.type === "heartbeat") knocked?.();
      this.#take(event);
    }
    this.#rest(bytes.byteLength);
  }

  /** Reads no more until the owner's limit allows it: the pipe's own back-pressure slows the sender. */
  #rest(receivedBytes: number): void {
    const down = this.#throttle?.down;
    if (down === undefined || this.#closedFor !== null) return;
    down.spend(receivedBytes);
    this.#tellWindow();
    if (down.isFree || this.#cancelRest !== null) return;
    this.#cancelRest = down.whenFree(() => {
      this.#cancelRest = null;
      this.#listen();
    });
    this.#listen();
  }

  /** The owner's limit has changed, or enough has come. */
  #tellWindow(): void {
    const limit = this.#throttle?.down.bytesPerSecond ?? null;
    const word = this.#receiveWindow.news(limit, this.#bytesReceived);
    if (word !== null) this.send(word).catch(() => undefined);
  }

  #take(event: FrameEvent<PeerMessage>): void {
    switch (event.type) {
      case "message":
        return this.#hear(event.message, event.payload);
      case "heartbeat":
        if (event.answer) return this.#pulse.answered();
        this.#outbox.answer();
        return this.#pump();
      case "goodbye":
        return this.#inbox.add(event);
      case "hello":
        return this.#fail(new Failure("frame-type", "The peer said hello twice. The link was closed."));
      case "refused":
        return this.#fail(event.failure);
    }
  }

  #hear(message: PeerMessage, payload: Uint8Array<ArrayBuffer>): void {
    this.#messagesReceived += 1;
    this.#receivedAs = codecIn(message) ?? this.#receivedAs;
    // Not after what waits for a stage: each side bounds what it asks for and what it answers.
    if (message.type === "window") {
      this.#sendWindow.hear(message);
      this.#pump();
    } else if (isLaneMessage(message)) this.#hearLane(message);
    else if (message.type === "unheard") this.#pulse.unheard(message.ms);
    else if (isBlobMessage(message)) this.#blobs.hear(message, payload);
    else if (isUpkeepMessage(message)) this.#upkeep(message);
    else this.#inbox.add({ type: "message", message, payload });
  }

  #hearLane(message: LaneMessage): void {
    const answer = this.#lanes.hear(message);
    if (answer !== null) this.send(answer).catch(() => undefined);
  }

  #upkeep(message: UpkeepMessage): void {
    if (this.#upkeepHandler !== null) this.#upkeepHandler(message);
    else this.#firstWord ??= message;
  }

  /** We do not read on purpose. */
  get #isDeaf(): boolean {
    return this.#inbox.full || this.#cancelRest !== null;
  }

  #listen(): void {
    if (this.#closedFor !== null) return;
    if (this.#isDeaf) return this.#pipe.pause();
    this.#pulse.heard();
    this.#pipe.resume();
  }

  #lost(reason: string): void {
    // A goodbye that waits behind a slow handler says it better.
    if (!this.#inbox.endsWithGoodbye) this.#end(`link-lost: ${reason}`, "lost");
  }

  #fail(error: unknown): void {
    const { code, message } = failureBody(error);
    this.close(`${code}: ${message}`);
  }

  #end(reason: string, by: "self" | "peer" | "lost"): void {
    if (this.#closedFor !== null) return;
    this.#closedFor = reason;
    this.#pulse.stop();
    this.#blobs.stop();
    this.#lanes.close();
    this.#cancelTurn?.();
    this.#cancelRest?.();
    this.#inbox.stop();
    this.#outbox.abandon(closedFailure(reason));
    switch (by) {
      case "self":
        this.#pipe.write(encodeGoodbye(reason), () => {});
        // What still arrives is read and thrown away: unread bytes would turn our end into a reset
        // that takes the goodbye with it.
        this.#pipe.resume();
        this.#pipe.end();
        this.#clock.after(GOODBYE_GRACE_MS, () => this.#pipe.destroy());
        break;
      case "peer":
        this.#pipe.end();
        this.#clock.after(GOODBYE_GRACE_MS, () => this.#pipe.destroy());
        break;
      case "lost":
        this.#pipe.destroy();
        break;
    }
    for (const handler of this.#closeHandlers) handler(reason);
    this.#closeHandlers = [];
  }
}

/** Runs before the payload gets memory. Only a tensor and a part of a file have one. */
function acceptMessage(meta: unknown, payloadBytes: number): PeerMessage {
  const message = parseWith(peerMessage, meta);
  const [least, most] = payloadRange(message);
  if (payloadBytes < least || payloadBytes > most) {
    throw new Failure(
      "frame-length",
      `The peer sent a ${message.type} message with a payload of ${payloadBytes} bytes. The link was closed.`,
    );
  }
  return message;
}

/** Of tied gradients' sums it says nothing: they travel as they are, once a step. */
function codecIn(message: PeerMessage): CodecName | null {
  if (message.type === "sum" || message.type === "total") return message.codec;
  return message.type === "tensor" && message.pass !== "tie" ? message.codec : null;
}

function closedFailure(reason: string): Failure {
  return new Failure("link-closed", `The link to the peer is closed (${reason}). The message was not sent.`);
}
