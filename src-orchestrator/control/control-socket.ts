import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { RawData, WebSocket } from "ws";
import {
  CONTROL_PROTOCOL,
  DEAD_AFTER_MS,
  HEARTBEAT_MS,
  NODE_MESSAGE_LIMIT_BYTES,
  RECEIPTS_PER_MESSAGE,
  TOO_BUSY,
  proofText,
} from "../../src-protocol/control.ts";
import type { NodeMessage, OrchestratorMessage } from "../../src-protocol/control.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { LinkServices } from "../../src-protocol/link-services.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import { verifyDelegation } from "../../src-protocol/sr25519.ts";
import type { Credited } from "../ledger/index.ts";
import type { RunMessage } from "../runs/network-state.ts";
import type { Capabilities } from "../../src-protocol/control.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { CheckpointMessage, DueCheckpoint } from "../runs/progress.ts";
import { badMessage, messageText, readNodeMessage } from "./node-message.ts";
import type { NodeConnection, RunHost } from "../runs/run-host.ts";
import type { Strangers } from "./strangers.ts";

export interface ControlTimes {
  readonly helloTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly deadAfterMs: number;
}

/** How often a node's silence is looked at before it is enough. */
export const LOOKS_BEFORE_DEAD = 12;

export const CONTROL_TIMES: ControlTimes = {
  helloTimeoutMs: 5_000,
  heartbeatMs: HEARTBEAT_MS,
  deadAfterMs: DEAD_AFTER_MS,
};

export interface ControlPorts {
  readonly network: string;
  readonly times: ControlTimes;
  readonly host: RunHost;
  /** What nodes are offered for finding each other; null: they dial each other directly. */
  readonly links: LinkServices | null;
  /** The live connection of each session key, closed when the same key proves itself again. */
  readonly live: Map<string, ControlSocket>;
  /** The wall clock: what is signed is dated. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets: silence is measured by it. */
  readonly steady: () => number;
  readonly strangers: Strangers;
  readonly credit: (receipts: readonly SignedReceipt[]) => Promise<Credited>;
  /** True when the store has this blob, and it is what it is said to be. */
  readonly holdsCheckpoint: (due: DueCheckpoint, message: CheckpointMessage) => Promise<boolean>;
  /** Resolves when the owner of this hotkey is in, or was before; rejects with the reason why not. */
  readonly admit: (hotkey: Ss58Address, token: string | null) => Promise<void>;
}

/** Work of an exact run is checked by digests: honest work of another class would look forged. */
function mustHoldClass({ arithmetic, kernels }: RunSpec, { exact, executionProvider }: Capabilities): void {
  if (arithmetic !== "exact" || exact === true) return;
  throw new Failure(
    "not-exact",
    `This network trains with the same bits on every computer, and this one gave others in its test (on "${executionProvider}", ONNX Runtime ${kernels.onnxruntime} is needed). ` +
      "Its processor, graphics card or version of the program computes in another way. Train on the processor, or join a network of the class fast.",
  );
}

/** The connection that a node came by. */
export interface Caller {
  /** Its TLS exporter: see `proofText`. */
  readonly channel: string;
  /** Of the invitation it showed. */
  readonly token: string | null;
  /** Whose budget it is. */
  readonly address: string;
  /** It is somebody's now, and takes no stranger's place any more. */
  proved(): void;
}

/** How long a refused node may take to read why and to say goodbye. */
const GOODBYE_MS = 1_000;
/** A node that does not read its messages is as good as dead. */
const UNREAD_LIMIT_BYTES = 4 * 1024 * 1024;
/**
 * Receipts that wait for the disk, and what else does counts as a message full of them; more wait in the node's own
 * socket. A node of the smallest model makes some 30 a second, and they are stored within two.
 */
const RECEIPTS_WAITING = 8 * RECEIPTS_PER_MESSAGE;
/** SECURITY: of a share, a receipt may be as long as a message, and counts as so many. In characters. */
const RECEIPT_LENGTH = NODE_MESSAGE_LIMIT_BYTES / RECEIPTS_PER_MESSAGE;
/** Receipts of steps that are not finished are looked at again so often, and so many are kept at most. */
const EARLY_AGAIN_MS = 250;
const EARLY_RECEIPTS = 128;

type Hello = NodeMessage & { type: "hello" };

/**
 * SECURITY: only for who has proved the same session key, on the hotkey that it came with. False: there is no going
 * on from the connection before, if there was one.
 */
function resumes(host: RunHost, { lane, heard, delegation }: Hello): boolean {
  const { sessionKey, hotkey } = delegation.body;
  return lane !== undefined && heard !== undefined && host.resumes(sessionKey, hotkey, lane, heard);
}

/** One node's connection: who it is, that it lives, and what it says to the run. */
export class ControlSocket implements NodeConnection {
  private readonly socket: WebSocket;
  private readonly ports: ControlPorts;
  private readonly nonce = randomBytes(32).toString("hex");
  private readonly timers: NodeJS.Timeout[] = [];
  private hello: Hello | null = null;
  private readonly caller: Caller;
  /** Its proof was good; it waits for its admission to be on disk. */
  private proved = false;
  private joined = false;
  private gone = false;
  private isAsked = false;
  private lastHeard: number;
  private lastCheck: number;
  private waiting = 0;
  private early: readonly SignedReceipt[] = [];
  private earlyTimer: NodeJS.Timeout | undefined;
  /** Messages whose handling has to wait for the disk keep their order. */
  private order: Promise<void> = Promise.resolve();

  constructor(socket: WebSocket, ports: ControlPorts, caller: Caller) {
    this.socket = socket;
    this.ports = ports;
    this.caller = caller;
    this.lastHeard = ports.steady();
    this.lastCheck = this.lastHeard;
    socket.on("message", (data, isBinary) => this.receive(data, isBinary));
    socket.on("pong", () => this.answered());
    socket.on("close", () => this.leave("closed"));
    // What breaks also closes.
    socket.on("error", () => {});
    this.send({ type: "challenge", protocol: CONTROL_PROTOCOL, network: ports.network, nonce: this.nonce });
    this.timers.push(setTimeout(() => this.helloTimeout(), ports.times.helloTimeoutMs));
  }

  send(message: OrchestratorMessage): void {
    this.say(JSON.stringify(message));
  }

  say(text: string): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (this.socket.bufferedAmount > UNREAD_LIMIT_BYTES) {
      this.socket.terminate();
      return;
    }
    this.socket.send(text);
  }

  /** By a ping of the WebSocket: every one of them answers, in whatever version, and as soon as it runs. */
  ask(): void {
    if (this.gone || this.socket.readyState !== this.socket.OPEN) return;
    // We do not read on purpose, so its silence is ours.
    this.isAsked = true;
    if (this.socket.isPaused) setImmediate(() => this.answered());
    else this.socket.ping();
  }

  private answered(): void {
    const key = this.hello?.delegation.body.sessionKey;
    // SECURITY: an answer that nobody asked for is none.
    if (!this.isAsked || this.gone || !this.joined || key === undefined) return;
    this.isAsked = false;
    this.lastHeard = this.ports.steady();
    this.ports.host.dispatch({ type: "alive", sessionKey: key });
  }

  private sayHeard(key: SessionKey): void {
    this.send({ type: "heartbeat", heard: this.ports.host.heard(key) });
  }

  get hotkey(): Ss58Address | null {
    return this.hello?.delegation.body.hotkey ?? null;
  }

  /** Its owner is in this network no more. */
  evicted(): void {
    this.refuse(
      new Failure(
        "invitation-revoked",
        "The network's operator has withdrawn the invitation by which this computer came in, so it has to leave.",
      ),
    );
  }

  /** Another connection has proved the same key. */
  replaced(): void {
    this.refuse(
      new Failure(
        "session-replaced",
        "This session key is connected somewhere else now, so this connection ends.",
      ),
    );
    this.leave("closed");
  }

  private helloTimeout(): void {
    if (this.joined) return;
    this.refuse(
      new Failure(
        "hello-timeout",
        "The node did not say who it is in time, so the connection ends. Connect again.",
      ),
    );
  }

  private receive(data: RawData, isBinary: boolean): void {
    if (this.gone) return;
    this.lastHeard = this.ports.steady();
    try {
      const text = messageText(data, isBinary);
      const message = readNodeMessage(text);
      if (this.joined) this.hear(message, text.length);
      else this.greet(message);
    } catch (error) {
      this.refuse(error);
    }
  }

  private greet(message: NodeMessage): void {
    if (message.type === "hello" && this.hello === null) {
      this.hello = message;
      return;
    }
    if (message.type !== "proof" || this.hello === null || this.proved)
      throw badMessage("a hello and then a proof come first");
    const { network, admit, now, strangers } = this.ports;
    const { channel, token, address } = this.caller;
    const { delegation } = this.hello;
    const { sessionKey, hotkey } = delegation.body;
    // The cheaper signature first: it is fresh, so nobody has it from somebody else.
    if (!verifySession(sessionKey, proofText(network, this.nonce, channel), message.signature)) {
      throw new Failure(
        "bad-proof",
        "The proof is not signed by the delegated session key, so the node is not let in.",
      );
    }
    if (!strangers.mayProve(address, hotkey)) {
      throw new Failure(
        TOO_BUSY,
        "So many nodes connect just now that this one has to wait. It tries again by itself.",
      );
    }
    const failure = verifyDelegation(delegation, { network, now: now() });
    if (failure !== null) throw failure;
    mustHoldClass(this.ports.host.run, this.hello.capabilities);
    this.proved = true;
    const hello = this.hello;
    // Only after the proof: nobody can use up an invitation in somebody else's name.
    admit(hotkey, token).then(
      () => this.join(hello),
      (error: unknown) => this.refuse(error),
    );
  }

  private join(hello: Hello): void {
    if (this.gone) return;
    const {
      delegation,
      capabilities,
      linkAddress,
      otherAddresses = [],
      restorable,
      endsInMs,
      country,
    } = hello;
    const { host, live, steady } = this.ports;
    const { sessionKey, hotkey } = delegation.body;
    this.caller.proved();
    const before = live.get(sessionKey);
    const isSame = resumes(host, hello);
    if (isSame) before?.handedOver();
    else {
      before?.replaced();
      // It may also have been there before this process was.
      host.forget(sessionKey);
    }
    live.set(sessionKey, this);
    this.joined = true;
    this.lastCheck = steady();
    const { heartbeatMs, deadAfterMs } = this.ports.times;
    this.timers.push(
      setInterval(() => this.sayHeard(sessionKey), heartbeatMs),
      setInterval(() => this.checkLife(), deadAfterMs / LOOKS_BEFORE_DEAD),
    );
    const { links } = this.ports;
    const lane = isSame && hello.lane !== undefined ? hello.lane : randomBytes(8).toString("hex");
    this.send({
      type: "welcome",
      ...(links !== null && { links }),
      lane,
      ...(isSame && { heard: host.heard(sessionKey) }),
    });
    if (isSame) {
      for (const text of host.unheard(sessionKey)) this.say(text);
      return host.goOn({ type: "moved", sessionKey, linkAddress, otherAddresses }, this);
    }
    const { memoryBytes } = capabilities;
    host.join(
      {
        type: "joined",
        sessionKey,
        hotkey,
        linkAddress,
        otherAddresses,
        memoryBytes,
        restorable,
        ...(endsInMs !== undefined && { endsInMs }),
        ...(country !== undefined && { country }),
      },
      this,
      lane,
    );
  }

  /**
   * The node has lost this connection without leaving: an address or a router's table has changed, and
   * the end of this one is not heard yet. What waits here for the disk does not count, and is said again.
   */
  private handedOver(): void {
    this.end();
    this.socket.terminate();
  }

  private hear(message: NodeMessage, length: number): void {
    switch (message.type) {
      case "heartbeat":
        if (message.heard !== undefined && this.hello !== null)
          this.ports.host.acknowledged(this.hello.delegation.body.sessionKey, message.heard);
        return;
      case "receipts":
        this.store(message.receipts, Math.ceil(length / RECEIPT_LENGTH));
        return;
      case "drain":
        this.order = this.order.then(() => {
          this.leave("drained");
          this.socket.close(1000);
        });
        return;
      case "hello":
      case "proof":
        throw badMessage("it has said who it is already");
      default:
        this.order = this.order.then(() => this.tell(message)).catch((error) => this.refuse(error));
        this.awaitDisk(this.order, RECEIPTS_PER_MESSAGE);
    }
  }

  private async tell(message: RunMessage): Promise<void> {
    const key = this.hello?.delegation.body.sessionKey;
    if (key === undefined) return;
    const { host, holdsCheckpoint } = this.ports;
    if (message.type === "checkpoint") {
      const due = host.checkpointDue(key, message);
      // A checkpoint counts when its bytes are here, not when somebody says so.
      const isHere = due !== null && (await holdsCheckpoint(due, message));
      if (!isHere) return this.gone ? undefined : host.heardOnly(key);
    }
    if (!this.gone) host.dispatch({ type: "message", sessionKey: key, message });
  }

  /** `asMany`: what a message is as long as. */
  private store(receipts: readonly SignedReceipt[], asMany: number): void {
    // Not stored means not acknowledged: the node keeps them and sends them again.
    this.awaitDisk(
      this.credit(receipts).catch(() => {}),
      Math.max(receipts.length, asMany),
    );
  }

  private async credit(receipts: readonly SignedReceipt[]): Promise<void> {
    const body = this.hello?.delegation.body;
    if (body === undefined) return;
    const { strangers, host, credit } = this.ports;
    const isHolder = host.stageOf(body.sessionKey) !== null;
    const waitMs = strangers.receiptsWaitMs(body.hotkey, isHolder, receipts.length);
    if (waitMs > 0) await delay(waitMs);
    if (this.gone) return;
    const { answer, early } = await credit(receipts);
    strangers.receiptsRefused(body.hotkey, isHolder, answer.refused.length);
    if (answer.stored.length + answer.refused.length > 0) this.send({ type: "receiptsStored", ...answer });
    this.lookAgainAt(early);
  }

  /** What does not fit is still in the node's outbox, and comes again with its next connection. */
  private lookAgainAt(early: readonly SignedReceipt[]): void {
    if (early.length === 0 || this.gone) return;
    if (this.early.length === 0) this.earlyTimer = setTimeout(() => this.lookAgain(), EARLY_AGAIN_MS);
    this.early = [...this.early, ...early].slice(0, EARLY_RECEIPTS);
  }

  private lookAgain(): void {
    const batch = this.early.slice(0, RECEIPTS_PER_MESSAGE);
    const rest = this.early.slice(RECEIPTS_PER_MESSAGE);
    this.early = [];
    this.lookAgainAt(rest);
    this.store(batch, batch.length);
  }

  /** SECURITY: who sends faster than we can store is read more slowly. */
  private awaitDisk(work: Promise<void>, receipts: number): void {
    this.waiting += receipts;
    if (this.waiting >= RECEIPTS_WAITING) this.socket.pause();
    void work.finally(() => {
      this.waiting -= receipts;
      if (this.gone || !this.socket.isPaused || this.waiting >= RECEIPTS_WAITING) return;
      // What it said meanwhile is still to be read.
      this.lastHeard = this.ports.steady();
      this.socket.resume();
    });
  }

  private checkLife(): void {
    const { now, steady, times } = this.ports;
    const late = steady() - this.lastCheck > times.deadAfterMs / 2;
    this.lastCheck = steady();
    // We slept (a closed lid), so we could not hear: what was said meanwhile is still to be read.
    if (late) this.lastHeard = this.lastCheck;
    if (steady() - this.lastHeard >= times.deadAfterMs && !this.socket.isPaused) {
      this.leave("silent");
      this.socket.terminate();
    } else if (now() > (this.hello?.delegation.body.notAfter ?? Infinity)) {
      this.refuse(
        new Failure(
          "delegation-expired",
          "The delegation of this session key has ended. The daemon has to sign a new one.",
        ),
      );
    }
  }

  private refuse(error: unknown): void {
    if (this.gone) return;
    const { code, message } = failureBody(error);
    this.send({ type: "refused", code, message: message.slice(0, 2000) });
    // SECURITY: a close waits for the other side's answer. A stranger gets its sentence and is not waited for.
    if (this.joined) this.socket.close(1008, code.slice(0, 100));
    else if (this.socket.readyState === this.socket.OPEN)
      this.socket.ping("", false, () => this.socket.terminate());
    setTimeout(() => this.socket.terminate(), GOODBYE_MS).unref();
    this.leave("closed");
  }

  private end(): void {
    this.gone = true;
    for (const timer of this.timers) clearTimeout(timer);
    clearTimeout(this.earlyTimer);
  }

  private leave(cause: "closed" | "silent" | "drained"): void {
    if (this.gone) return;
    this.end();
    // Nothing more is heard, but the closing handshake has to be read.
    if (this.socket.isPaused) this.socket.resume();
    const key = this.hello?.delegation.body.sessionKey;
    if (key === undefined || !this.joined) return;
    const { live, host } = this.ports;
    if (live.get(key) === this) live.delete(key);
    host.leave({ type: "left", sessionKey: key, cause }, this);
  }
}
