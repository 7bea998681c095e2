import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { z } from "zod";
import {
  CONTROL_EXPORTER_BYTES,
  CONTROL_EXPORTER_LABEL,
  CONTROL_MESSAGE_LIMIT_BYTES,
  CONTROL_PROTOCOL,
  DEAD_AFTER_MS,
  HEARTBEAT_MS,
  LOOPBACK_CHANNEL,
  TOO_BUSY,
  isCounted,
  orchestratorMessage,
  proofText,
  protocolAdvice,
} from "../../src-protocol/control.ts";
import type {
  Capabilities,
  LinkAddress,
  NodeMessage,
  OrchestratorMessage,
  Restorable,
} from "../../src-protocol/control.ts";
import { ControlLane } from "../../src-protocol/control-lane.ts";
import type { Delegation } from "../../src-protocol/delegation.ts";
import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { Throttle } from "../limits/throttle.ts";
import type { OrchestratorRoute } from "./orchestrator-route.ts";

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;
/**
 * A try comes after such a part of the time for which it has been away: one that is started again is found before it
 * gives up who was there.
 */
const RETRY_PART = 1 / 8;
/** A connection that lasted this long, and twice as long as it was waited for, was a good one: the next retry is quick again. */
const STEADY_MS = 3_000;
/** A refusal may be about the moment; this many in a row are about us. */
const REFUSALS = 3;
const MOST_PROTOCOL = 1_000_000;
/** A connection that is doubted answers within this time, or another one is made. */
const ANSWER_MS = 900;
/** Nothing heard for so long, and it is doubted: a heartbeat comes every two seconds. */
const DOUBT_AFTER_MS = HEARTBEAT_MS * 1.5;
const LOOK_MS = 500;

/** What the worker acts on; greeting and heartbeats stay in here. */
export type Instruction = Extract<
  OrchestratorMessage,
  {
    type:
      | "assign"
      | "grant"
      | "halt"
      | "receiptsStored"
      | "receiptsSafe"
      | "reach"
      | "members"
      | "adopt"
      | "open"
      | "lease"
      | "yours"
      | "fenced"
      | "commit"
      | "take";
  }
>;
export type Report = Exclude<NodeMessage, { type: "hello" | "proof" | "heartbeat" }>;

export interface ControlOptions {
  readonly route: OrchestratorRoute;
  readonly delegation: Delegation;
  readonly signer: SessionSigner;
  readonly capabilities: Capabilities;
  readonly linkAddress: LinkAddress;
  /** Asked at every connect: this computer's own addresses in its home network. */
  readonly otherAddresses: () => LinkAddress[];
  /** Asked at every connect: it changes. */
  readonly restorable: () => Restorable[];
  /** Asked at every connect: how long its owner's rules let it work; null: no end is known. */
  readonly endsInMs?: () => number | null;
  /** Asked at every connect: where it stands, if its owner has said so; null: nothing is said. */
  readonly country?: () => string | null;
  readonly onInstruction: (instruction: Instruction) => void;
  /** Counts what is said and heard; nothing of it waits. */
  readonly throttle?: Throttle;
  /** What the network offers for finding each other; null: nodes dial each other directly. */
  readonly onServices?: (services: LinkServices | null) => void;
  readonly onConnection: (connected: boolean, detail: string) => void;
  /** Refused for good: the sentence comes from the orchestrator or says what it did wrong. */
  readonly onRefused: (failure: Failure) => void;
}

/** The worker's one connection to the orchestrator; it comes back by itself until it is closed. */
export class Control {
  readonly #options: ControlOptions;
  #socket: WebSocket | null = null;
  /** Of the connection of now: see `proofText`. */
  #channel = LOOPBACK_CHANNEL;
  #welcomed = false;
  /** Since when there is no good one. */
  #awaySince = performance.now();
  #lastHeard = 0;
  #welcomedAt = 0;
  #refusals = 0;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #pulse: NodeJS.Timeout;
  readonly #look: NodeJS.Timeout;
  /** What was said and heard since the last welcome that began anew; null before the first. */
  #lane: ControlLane | null = null;
  /** Given up for another one, and not ended before that is there: its end would be our leaving. */
  #doubted: WebSocket | null = null;
  #asked: NodeJS.Timeout | undefined;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#pulse = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#look = setInterval(() => {
      if (this.#welcomed && performance.now() - this.#lastHeard > DOUBT_AFTER_MS) this.doubt();
    }, LOOK_MS);
    this.#connect();
  }

  /**
   * False when there is no connection: the next one says it where it goes on from this one. Where it
   * begins anew, snapshots are told by its hello and receipts are kept in the outbox.
   */
  send(report: Report): boolean {
    if (this.#welcomed || isCounted(report)) this.#write(report);
    return this.#welcomed;
  }

  /**
   * This computer's way to others may have changed: the connection has to show that it lives, or
   * another one takes its place, on which all goes on where it was.
   */
  doubt(): void {
    const socket = this.#socket;
    if (this.#closed || this.#asked !== undefined) return;
    this.#options.route.doubt();
    if (socket === null) {
      clearTimeout(this.#timer);
      this.#connect();
    } else if (this.#welcomed) {
      const heard = this.#lastHeard;
      socket.ping();
      this.#asked = setTimeout(() => {
        // When this process was busy, what came meanwhile is read before the verdict.
        setImmediate(() => {
          this.#asked = undefined;
          if (this.#socket === socket && this.#lastHeard === heard) this.#giveUp(socket);
        });
      }, ANSWER_MS);
    }
  }

  #giveUp(socket: WebSocket): void {
    if (this.#closed) return;
    this.#doubted?.terminate();
    this.#doubted = socket;
    this.#socket = null;
    this.#welcomed = false;
    this.#options.onConnection(false, "the connection does not answer");
    this.#connect();
  }

  /** Says hello again, with what is true now. */
  reconnect(): void {
    this.#socket?.terminate();
  }

  /** Leaves; resolves when the last message is out or after `graceMs`. */
  async close(reason: string, graceMs: number): Promise<void> {
    this.#closed = true;
    clearInterval(this.#pulse);
    clearInterval(this.#look);
    clearTimeout(this.#timer);
    clearTimeout(this.#asked);
    this.#doubted?.terminate();
    const socket = this.#socket;
    if (socket === null) return;
    this.send({ type: "drain", reason });
    await new Promise<void>((resolve) => {
      setTimeout(resolve, graceMs).unref();
      socket.once("close", () => resolve());
      socket.close(1000);
    });
    socket.terminate();
  }

  #connect(): void {
    if (this.#closed) return;
    const { route } = this.#options;
    const url = route.url("/v1/control");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, {
      agent: route.controlAgent,
      headers: route.headers,
      maxPayload: CONTROL_MESSAGE_LIMIT_BYTES,
      handshakeTimeout: DEAD_AFTER_MS,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#lastHeard = performance.now();
    let why = "the connection was closed";
    socket.on("upgrade", (response) => {
      this.#channel = channelOf(response.socket);
    });
    socket.on("unexpected-response", (_request, response) => {
      void refusalIn(response).then((failure) => {
        if (this.#socket !== socket) return;
        const isOver = failure !== null && this.#refused(failure);
        if (!isOver) this.#retry(failure?.message ?? `it answered HTTP ${response.statusCode}`);
        socket.terminate();
      });
    });
    socket.on("pong", () => {
      if (this.#socket === socket) this.#lastHeard = performance.now();
    });
    socket.on("message", (data, isBinary) => {
      if (this.#socket === socket && !isBinary) this.#receive(String(data));
    });
    socket.on("error", (error) => {
      why = error.message;
      // Another key than the network's.
      if (error instanceof Failure && this.#socket === socket) this.#refused(error);
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#retry(why);
    });
  }

  #retry(why: string): void {
    const now = performance.now();
    const waitedMs = this.#retryMs(this.#welcomedAt);
    if (this.#welcomed && now - this.#welcomedAt > Math.max(STEADY_MS, 2 * waitedMs)) {
      this.#awaySince = now;
      this.#refusals = 0;
    }
    this.#socket = null;
    this.#welcomed = false;
    if (this.#closed) return;
    this.#options.onConnection(false, why);
    this.#timer = setTimeout(() => this.#connect(), this.#retryMs(now));
  }

  #retryMs(now: number): number {
    return Math.min(LAST_RETRY_MS, Math.max(FIRST_RETRY_MS, (now - this.#awaySince) * RETRY_PART));
  }

  /** True when that was enough: nothing is tried any more. */
  #refused(failure: Failure): boolean {
    this.#refusals += 1;
    if (this.#refusals < REFUSALS) return false;
    this.#options.onRefused(failure);
    return true;
  }

  #beat(): void {
    if (this.#socket === null) return;
    // A half-open connection says nothing and never closes.
    if (performance.now() - this.#lastHeard > DEAD_AFTER_MS) this.#socket.terminate();
    else if (this.#welcomed) this.#sayHeard();
  }

  #sayHeard(): void {
    this.#write({ type: "heartbeat", ...(this.#lane !== null && { heard: this.#lane.heard }) });
  }

  #write(message: NodeMessage): void {
    const text = JSON.stringify(message);
    if (isCounted(message)) {
      this.#lane?.said(text);
      if (!this.#welcomed) return;
    }
    this.#put(text);
  }

  #put(text: string): void {
    this.#options.throttle?.up.spend(Buffer.byteLength(text));
    this.#socket?.send(text);
  }

  #receive(text: string): void {
    this.#lastHeard = performance.now();
    this.#options.throttle?.down.spend(Buffer.byteLength(text));
    const message = parse(text);
    const theirs = message === null ? protocolOfChallenge(text) : null;
    if (theirs !== null)
      return this.#options.onRefused(new Failure("protocol-mismatch", protocolAdvice(theirs, "network")));
    if (message === null) {
      // Of a newer version, or broken: coming back gives it another chance.
      this.#socket?.close(1002, "unknown message");
      return;
    }
    if (isCounted(message) && this.#lane?.hears() === true) this.#sayHeard();
    switch (message.type) {
      case "challenge":
        return this.#answerChallenge(message);
      case "welcome":
        this.#welcomed = true;
        this.#welcomedAt = performance.now();
        this.#doubted?.terminate();
        this.#doubted = null;
        if (!this.#goOn(message)) return this.reconnect();
        this.#options.onServices?.(message.links ?? null);
        return this.#options.onConnection(true, "");
      case "refused":
        if (message.code === TOO_BUSY || !this.#refused(new Failure(message.code, message.message)))
          this.reconnect();
        return undefined;
      case "heartbeat":
        if (message.heard !== undefined) this.#lane?.acknowledge(message.heard);
        return;
      case "assign":
      case "grant":
      case "halt":
      case "reach":
      case "receiptsStored":
      case "receiptsSafe":
      case "members":
      case "adopt":
      case "open":
      case "lease":
      case "yours":
      case "fenced":
      case "commit":
      case "take":
        return this.#options.onInstruction(message);
    }
  }

  /** False: it would go on from where nobody has been, so the next connection says nothing of before. */
  #goOn({ lane: id, heard }: Extract<OrchestratorMessage, { type: "welcome" }>): boolean {
    const lane = this.#lane;
    if (heard === undefined) {
      this.#lane = new ControlLane(id);
      return true;
    }
    if (lane?.id !== id || !lane.acknowledge(heard)) {
      this.#lane = null;
      this.#welcomed = false;
      return false;
    }
    for (const text of lane.unheard) this.#put(text);
    return true;
  }

  #answerChallenge({ network, nonce }: Extract<OrchestratorMessage, { type: "challenge" }>): void {
    const { delegation, signer, capabilities, linkAddress, otherAddresses, restorable } = this.#options;
    const endsInMs = this.#options.endsInMs?.() ?? null;
    const country = this.#options.country?.() ?? null;
    // SECURITY: a proof for one network must be worth nothing on another.
    if (network !== delegation.body.network) {
      this.#options.onRefused(
        new Failure(
          "wrong-network",
          `The orchestrator serves the network "${network}", but this node was let onto "${delegation.body.network}". Check the address.`,
        ),
      );
      return;
    }
    this.#write({
      type: "hello",
      protocol: CONTROL_PROTOCOL,
      delegation,
      capabilities,
      linkAddress,
      otherAddresses: otherAddresses(),
      restorable: restorable(),
      ...(endsInMs !== null && { endsInMs }),
      ...(country !== null && { country }),
      ...(this.#lane !== null && { lane: this.#lane.id, heard: this.#lane.heard }),
    });
    this.#write({ type: "proof", signature: signer.sign(proofText(network, nonce, this.#channel)) });
  }
}

function channelOf(socket: Socket): string {
  if (!(socket instanceof TLSSocket)) return LOOPBACK_CHANNEL;
  return socket
    .exportKeyingMaterial(CONTROL_EXPORTER_BYTES, CONTROL_EXPORTER_LABEL, Buffer.alloc(0))
    .toString("hex");
}

/** What the orchestrator says instead of taking the connection; null: nothing that we know. */
async function refusalIn(response: IncomingMessage): Promise<Failure | null> {
  let text = "";
  try {
    for await (const piece of response) {
      text += String(piece);
      if (text.length > CONTROL_MESSAGE_LIMIT_BYTES) return null;
    }
    const said = failureSchema.safeParse(JSON.parse(text));
    return said.success ? new Failure(said.data.code, said.data.message) : null;
  } catch {
    return null;
  }
}

/** Of a network that speaks another version than ours; the first one did not say which. */
function protocolOfChallenge(text: string): number | null {
  const challenge = z.looseObject({
    type: z.literal("challenge"),
    protocol: z.int().nonnegative().max(MOST_PROTOCOL).default(1),
  });
  try {
    const theirs = challenge.safeParse(JSON.parse(text)).data?.protocol ?? null;
    return theirs === CONTROL_PROTOCOL ? null : theirs;
  } catch {
    return null;
  }
}

function parse(text: string): OrchestratorMessage | null {
  try {
    return orchestratorMessage.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
