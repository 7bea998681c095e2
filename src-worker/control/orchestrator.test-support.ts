import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import {
  CONTROL_PROTOCOL,
  HEARTBEAT_MS,
  LOOPBACK_CHANNEL,
  nodeMessage,
  proofText,
} from "../../src-protocol/control.ts";
import type { LinkAddress, NodeMessage, OrchestratorMessage } from "../../src-protocol/control.ts";
import { sessionKey } from "../../src-protocol/keys.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { NEIGHBOURS, receiptKey, receiptText } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { sha256, verifySession } from "../../src-protocol/signing.ts";
import { serveBlob } from "../loading/chunk-server.test-support.ts";

export const TEST_NETWORK = "test-network";
const NONCE = "ab".repeat(32);
const LANE = "ab".repeat(8);

interface Member {
  readonly socket: WebSocket;
  readonly key: SessionKey;
  readonly address: LinkAddress;
  /** Digests by stage and step. */
  readonly steps: Map<number, Map<number, string>>;
  stage: number | null;
  isReady: boolean;
  saved: number;
}

/** An orchestrator of control.ts's protocol with nothing else: no ledger, no disk, one run. */
export class TestOrchestrator {
  readonly spec: RunSpec;
  readonly losses = new Map<number, number>();
  readonly heldOut = new Map<number, number>();
  readonly receipts = new Map<string, SignedReceipt>();
  readonly checkpoints: { stage: number; step: number; sha256: string }[] = [];
  /** What each stage said of its chain, by `stage/step`; more than one where a step that was done again differs. */
  readonly links = new Map<string, Set<string>>();
  readonly troubles: string[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  /** Digests of files that somebody took bytes of, once for each time. */
  readonly given: string[] = [];
  /** Most recent last. */
  readonly resumedAt: number[] = [];
  generation = 0;
  /** While true, receipts are taken and not confirmed. */
  silentOnReceipts = false;
  receiptMessages = 0;
  readonly #server: Server;
  readonly #members = new Set<Member>();
  #watchers: { done: () => boolean; resolve: () => void }[] = [];
  #granted = 0;
  #isTraining = false;
  /** No step at or above this one is granted. */
  #stopAt: number;

  constructor(spec: RunSpec, corpus: Uint8Array, stopAt: number) {
    this.spec = spec;
    this.#stopAt = stopAt;
    this.blobs.set(sha256(corpus), corpus);
    this.#server = createServer((request, response) => {
      // A worker that is killed while it sends a checkpoint.
      this.#http(request, response).catch(() => response.destroy());
    });
    const sockets = new WebSocketServer({ server: this.#server, path: "/v1/control" });
    sockets.on("connection", (socket) => this.#greet(socket));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async until(done: () => boolean): Promise<void> {
    if (done()) return;
    await new Promise<void>((resolve) => this.#watchers.push({ done, resolve }));
  }

  allowUpTo(step: number): void {
    this.#stopAt = step;
    this.#grant();
  }

  memberOf(stage: number): SessionKey | null {
    return [...this.#members].find((member) => member.stage === stage)?.key ?? null;
  }

  savedOf(stage: number): number {
    return [...this.#members].find((member) => member.stage === stage)?.saved ?? -1;
  }

  async close(): Promise<void> {
    for (const { socket } of this.#members) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #greet(socket: WebSocket): void {
    let hello: Extract<NodeMessage, { type: "hello" }> | null = null;
    let member: Member | null = null;
    say(socket, { type: "challenge", protocol: CONTROL_PROTOCOL, network: TEST_NETWORK, nonce: NONCE });
    const pulse = setInterval(() => say(socket, { type: "heartbeat" }), HEARTBEAT_MS);
    socket.on("message", (data) => {
      const message = nodeMessage.parse(JSON.parse(String(data)));
      if (message.type === "hello") hello = message;
      else if (message.type === "proof" && hello !== null)
        member = this.#join(socket, hello, message.signature);
      else if (member !== null) this.#hear(member, message);
      this.#notify();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearInterval(pulse);
      if (member !== null) this.#leave(member);
      this.#notify();
    });
  }

  #join(socket: WebSocket, hello: Extract<NodeMessage, { type: "hello" }>, signature: string): Member | null {
    const key = hello.delegation.body.sessionKey;
    if (!verifySession(key, proofText(TEST_NETWORK, NONCE, LOOPBACK_CHANNEL), signature)) {
      say(socket, { type: "refused", code: "bad-proof", message: "The proof does not fit." });
      return null;
    }
    const steps = new Map(
      hello.restorable.map((entry) => [
        entry.stage,
        new Map(entry.steps.map(({ step, digest }) => [step, digest])),
      ]),
    );
    const member = { socket, key, address: hello.linkAddress, steps, stage: null, isReady: false, saved: 0 };
    this.#members.add(member);
    say(socket, { type: "welcome", lane: LANE });
    this.#form();
    return member;
  }

  #leave(member: Member): void {
    this.#members.delete(member);
    if (member.stage === null) return;
    this.#isTraining = false;
    for (const other of this.#members)
      say(other.socket, { type: "halt", generation: this.generation, reason: "A stage was lost." });
    this.#form();
  }

  #form(): void {
    const { stages } = this.spec;
    const taken = new Set([...this.#members].map(({ stage }) => stage));
    for (const member of this.#members) {
      if (member.stage !== null) continue;
      const free = Array.from({ length: stages }, (_, stage) => stage).filter((stage) => !taken.has(stage));
      member.stage = free.find((stage) => member.steps.has(stage)) ?? free[0] ?? null;
      taken.add(member.stage);
    }
    const holders = Array.from({ length: stages }, (_, stage) =>
      [...this.#members].find((member) => member.stage === stage),
    );
    const complete = holders.filter((holder) => holder !== undefined);
    if (complete.length < stages) return;
    this.generation += 1;
    this.#isTraining = false;
    const resumeStep = this.#commonStep(complete);
    this.resumedAt.push(resumeStep);
    this.#granted = resumeStep;
    for (const [stage, member] of complete.entries()) {
      member.isReady = false;
      member.saved = resumeStep;
      const stored = this.checkpoints.find((entry) => entry.stage === stage && entry.step === resumeStep);
      say(member.socket, {
        type: "assign",
        generation: this.generation,
        run: this.spec,
        stage,
        resumeStep,
        resumeDigest: member.steps.get(stage)?.get(resumeStep) ?? null,
        checkpointSha256: stored?.sha256 ?? null,
        previous: asPeer(complete[stage - 1]),
        next: asPeer(complete[stage + 1]),
      });
    }
  }

  #commonStep(holders: readonly Member[]): number {
    const restorable = holders.map((holder, stage) => [
      ...(holder.steps.get(stage)?.keys() ?? []),
      ...this.checkpoints.filter((entry) => entry.stage === stage).map(({ step }) => step),
    ]);
    const [first = [], ...others] = restorable;
    return Math.max(0, ...first.filter((step) => others.every((steps) => steps.includes(step))));
  }

  #hear(member: Member, message: NodeMessage): void {
    if ("generation" in message && message.generation !== this.generation) return;
    const { stage } = member;
    switch (message.type) {
      case "ready":
        member.isReady = true;
        this.#isTraining = [...this.#members].every((other) => other.stage === null || other.isReady);
        return this.#grant();
      case "stepped":
        if (message.loss !== null) this.losses.set(message.step, message.loss);
        return;
      case "evaluated":
        this.heldOut.set(message.step, message.loss);
        return;
      case "saved":
        if (stage === null) return;
        member.saved = message.step;
        this.links.set(
          `${stage}/${message.step}`,
          (this.links.get(`${stage}/${message.step}`) ?? new Set()).add(message.link),
        );
        member.steps.set(
          stage,
          new Map([...(member.steps.get(stage) ?? []), [message.step, message.digest] as const].slice(-3)),
        );
        return this.#grant();
      case "checkpoint":
        if (stage !== null) this.checkpoints.push({ stage, step: message.step, sha256: message.sha256 });
        return;
      case "trouble":
        this.troubles.push(`${message.code}: ${message.message}`);
        return this.#form();
      case "receipts":
        return this.#takeReceipts(member, message.receipts);
      default:
        return;
    }
  }

  #takeReceipts(member: Member, receipts: readonly SignedReceipt[]): void {
    this.receiptMessages += 1;
    const stored: string[] = [];
    for (const receipt of receipts) {
      const text = receiptText(receipt.body);
      const signed = NEIGHBOURS.flatMap((side) => {
        const [key, signature] = [receipt.body[side], receipt[`${side}Signature`]];
        return key === null ? [] : [verifySession(key, text, signature ?? "")];
      });
      const isGood =
        verifySession(receipt.body.worker, text, receipt.workerSignature) && signed.every(Boolean);
      if (!isGood) throw new Error("a receipt with a wrong signature");
      this.receipts.set(receiptKey(receipt.body), receipt);
      stored.push(sha256(text));
    }
    if (!this.silentOnReceipts) say(member.socket, { type: "receiptsStored", stored, refused: [] });
  }

  #grant(): void {
    const { microBatches, evaluateEverySteps, evaluationMicroBatches } = this.spec;
    const members = [...this.#members].filter(({ stage }) => stage !== null);
    const head = members.find(({ stage }) => stage === 0);
    if (!this.#isTraining || head === undefined) return;
    while (this.#granted < this.#stopAt && members.every(({ saved }) => saved >= this.#granted - 1)) {
      const step = this.#granted;
      const evaluations = step % evaluateEverySteps === 0 ? evaluationMicroBatches : 0;
      say(head.socket, { type: "grant", generation: this.generation, step, microBatches, evaluations });
      this.#granted += 1;
    }
  }

  #notify(): void {
    const met = this.#watchers.filter(({ done }) => done());
    this.#watchers = this.#watchers.filter((watcher) => !met.includes(watcher));
    for (const { resolve } of met) resolve();
  }

  async #http(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const digest = /^\/v1\/blobs\/sha256\/([0-9a-f]{64})(\/chunks)?$/.exec(request.url ?? "")?.[1] ?? "";
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces);
    const key = sessionKey.safeParse(request.headers["x-tah-session"]).data;
    const text = request.method === "PUT" ? `blob\n${digest}\n${body.length}` : `blob-get\n${digest}`;
    const end = (status: number, content?: Uint8Array): void => void response.writeHead(status).end(content);
    if (key === undefined || !verifySession(key, text, String(request.headers["x-tah-signature"])))
      return end(401);
    if (request.method === "PUT") {
      if (sha256(body) !== digest) return end(400);
      this.blobs.set(digest, body);
      return end(201);
    }
    const blob = this.blobs.get(digest);
    if (blob !== undefined && request.url?.endsWith("/chunks") !== true) this.given.push(digest);
    return blob === undefined ? end(404) : serveBlob(request, response, blob);
  }
}

function asPeer(member: Member | undefined): { sessionKey: SessionKey; address: LinkAddress } | null {
  return member === undefined ? null : { sessionKey: member.key, address: member.address };
}

function say(socket: WebSocket, message: OrchestratorMessage): void {
  socket.send(JSON.stringify(message));
}
