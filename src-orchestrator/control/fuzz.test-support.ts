import { EventEmitter } from "node:events";
import type { SecretStream } from "hyperdht";
import { z } from "zod";
import { historyAnswer, watchMessage } from "../../src-protocol/api.ts";
import { CONTROL_PROTOCOL, orchestratorMessage } from "../../src-protocol/control.ts";
import { daemonToWorker, orchestratorToDaemon, workerToDaemon } from "../../src-protocol/daemon-ipc.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { FrameDecoder, parseWith } from "../../src-protocol/frame-decoder.ts";
import { encodeGoodbye, encodeHello, encodeMessage } from "../../src-protocol/frame.ts";
import { formatInvitation, parseInvitation } from "../../src-protocol/invitation.ts";
import { relayAnswer, relayGreeting } from "../../src-protocol/link-services.ts";
import { networkCard } from "../../src-protocol/network-card.ts";
import { inviteRequest, revokeRequest } from "../../src-protocol/operator.ts";
import { FRAME_HEADER_BYTES, peerMessage } from "../../src-protocol/peer.ts";
import { probeToDaemon } from "../../src-protocol/providers.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { readCall } from "../../src-daemon/api/api-calls.ts";
import { ManualClock } from "../../src-worker/links/link-clock.ts";
import { StreamPipe, WINDOW_BYTES } from "../../src-worker/links/hyperdht/stream-pipe.ts";
import { readBody } from "./account-routes.ts";
import { readNodeMessage } from "./node-message.ts";

/** Numbers that are the same everywhere (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const signer = createSessionSigner(new Uint8Array(32).fill(3));
const HEX = "ab".repeat(32);
const BODY = {
  network: "n",
  hotkey: "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
  sessionKey: signer.publicKey,
  notBefore: 0,
  notAfter: 1,
};
const TEXTS = [
  {
    type: "hello",
    protocol: CONTROL_PROTOCOL,
    delegation: { body: BODY, signature: `0x${"0".repeat(128)}` },
    capabilities: { platform: "x", threads: 1, memoryBytes: 1, executionProvider: "cpu" },
    linkAddress: { host: "127.0.0.1", port: 9 },
    restorable: [{ runId: "r", stage: 0, steps: [{ step: 1, digest: HEX }] }],
  },
  { type: "saved", generation: 1, step: 2, digest: HEX, link: HEX, stateSha256: null },
  { type: "stepped", generation: 1, step: 2, loss: 1.5, computeMs: 3 },
  { type: "checkpoint", generation: 1, step: 2, sha256: HEX, bytes: 3 },
  { type: "trouble", generation: 1, code: "link", message: "x" },
  { type: "grant", generation: 1, step: 2, microBatches: 1, evaluations: 0 },
  { type: "halt", generation: 1, reason: "x" },
].map((value) => JSON.stringify(value));
const INVITATION = formatInvitation({
  keySha256: HEX,
  token: null,
  addresses: [{ host: "192.0.2.1", port: 443 }],
  expiresAt: null,
  name: "A network",
});
const PIECES = [
  "1e999",
  "-1",
  "9007199254740993",
  "null",
  "[]",
  "{}",
  '"__proto__"',
  "\u0000",
  "\ud800",
  "1.5",
  "true",
];
const FRAMES_OF_PEERS: readonly Uint8Array[] = [
  Buffer.concat(encodeHello({ sessionKey: signer.publicKey, signature: signer.sign("x") })),
  Buffer.concat(encodeMessage({ type: "x" }, new Uint8Array(64)).flat()),
  Buffer.concat(encodeMessage({ type: "x" }, new Uint8Array(300_000)).flat()),
  Buffer.concat(encodeGoodbye("bye")),
];
const SIGNATURE = "0".repeat(128);
const CLAIM = { claim: { text: "Claim", signature: `0x${SIGNATURE}` }, statementIds: [HEX] };
const json = (...values: unknown[]): string[] => values.map((value) => JSON.stringify(value));

type Outcome = "refused" | "accepted";
type Pick = <T>(list: readonly T[]) => T;

/** One parser of bytes that come from others. */
interface Parser {
  /** Well-formed inputs, to be mutated; null: it makes its own. */
  readonly texts: readonly string[] | null;
  read(text: string, roll: () => number, pick: Pick): Outcome;
}

const ofSchema = (schema: z.ZodType, ...values: unknown[]): Parser => ({
  texts: json(...values),
  read: (text) => parsed(text, (value) => schema.safeParse(value).success),
});

/** Every parser of foreign bytes, by what it reads. */
export const PARSERS: Readonly<Record<string, Parser>> = {
  "link frames": { texts: null, read: (_, roll, pick) => frames(pick(FRAMES_OF_PEERS), roll) },
  "frames over HyperDHT": { texts: null, read: (_, roll, pick) => streamed(pick(FRAMES_OF_PEERS), roll) },
  "peers' messages": ofSchema(
    peerMessage,
    {
      type: "tensor",
      generation: 1,
      step: 2,
      microBatch: 0,
      pass: "forward",
      dtype: "float32",
      shape: [1, 2],
      codec: "f32",
      sha256: HEX,
    },
    { type: "receipt", body: {}, workerSignature: SIGNATURE },
  ),
  "nodes' messages": { texts: TEXTS, read: (text) => sentence(() => void readNodeMessage(text)) },
  "the orchestrator's messages": {
    texts: TEXTS,
    read: (text) => parsed(text, (value) => orchestratorMessage.safeParse(value).success),
  },
  invitations: {
    texts: [INVITATION],
    read: (text) => (parseInvitation(text, 0) instanceof Failure ? "refused" : "accepted"),
  },
  "bodies of claims": {
    texts: json(CLAIM),
    read: (text) => sentence(() => void readBody(Buffer.from(text, "latin1"))),
  },
  "bodies of operators": ofSchema(
    z.union([inviteRequest, revokeRequest]),
    { uses: 1, expiresInSeconds: 60 },
    { id: "x", evict: true },
  ),
  "greetings at the relay": ofSchema(relayGreeting, {
    sessionKey: signer.publicKey,
    peer: signer.publicKey,
    signature: SIGNATURE,
  }),
  "the relay's answers": ofSchema(
    relayAnswer,
    { type: "paired" },
    { type: "refused", code: "x", message: "y" },
  ),
  "workers' words to the daemon": ofSchema(
    workerToDaemon,
    { type: "sessionKey", sessionKey: signer.publicKey },
    { type: "phase", phase: "training", detail: "x", stage: 1, loading: null },
    { type: "failed", code: "x", message: "y" },
    { type: "pong" },
  ),
  "the orchestrator's words to the daemon": ofSchema(
    orchestratorToDaemon,
    { type: "listening", url: "http://127.0.0.1:1" },
    { type: "failed", code: "x", message: "y" },
  ),
  "the daemon's words to a worker": ofSchema(daemonToWorker, { type: "stop", reason: "x" }, { type: "ping" }),
  "a probe's words": ofSchema(probeToDaemon, {
    type: "probed",
    outcome: { kind: "refused", detail: "x" },
    bundled: ["cpu"],
  }),
  "calls of the local API": {
    texts: json(
      { id: 1, method: "state.get", params: {} },
      { id: 2, method: "policy.pause", params: { minutes: 5, by: "cli" } },
      { id: 3, method: "network.join", params: { invitation: "tah1", consent: true } },
    ),
    read: (text) => ((readCall(text)?.method ?? null) === null ? "refused" : "accepted"),
  },
  "what an orchestrator shows": ofSchema(
    z.union([watchMessage, historyAnswer, networkCard]),
    { type: "point", point: { step: 1, at: 1, loss: 1, heldOutLoss: null, tokensPerSecond: 2 } },
    { points: [], next: null },
  ),
};
const NAMES = Object.keys(PARSERS);

/** One parser, with one mutated input. */
export function fuzzOnce(roll: () => number): { readonly parser: string; readonly outcome: Outcome } {
  const pick: Pick = (list) => list[Math.floor(roll() * list.length)] as (typeof list)[number];
  const name = pick(NAMES);
  const parser = PARSERS[name];
  if (parser === undefined) throw new Error(`no parser ${name}`);
  const text = parser.texts === null ? "" : mutated(pick(parser.texts), roll, pick);
  return { parser: name, outcome: parser.read(text, roll, pick) };
}

/** With some bytes changed, its header most of all. */
function damaged(source: Uint8Array, roll: () => number): Uint8Array {
  const bytes = new Uint8Array(source);
  for (let changes = Math.floor(roll() * 4); changes > 0; changes--) {
    const within = roll() < 0.7 ? FRAME_HEADER_BYTES : bytes.length;
    bytes[Math.floor(roll() * within)] = Math.floor(roll() * 256);
  }
  return bytes;
}

/** A frame, cut at any place. */
function frames(source: Uint8Array, roll: () => number): Outcome {
  const bytes = damaged(source, roll);
  const at = Math.floor(roll() * bytes.length);
  const decoder = new FrameDecoder((meta, payloadBytes) => {
    if (payloadBytes > bytes.length * 1000) throw new Failure("frame-length", "too long");
    return roll() < 0.5 ? meta : parseWith(peerMessage, meta);
  });
  const events = [...decoder.push(bytes.subarray(0, at)), ...decoder.push(bytes.subarray(at))];
  return events.some(({ type }) => type === "refused") ? "refused" : "accepted";
}

/** The same in messages of a stream, each with a first byte that says what it is, while the reader may pause. */
function streamed(source: Uint8Array, roll: () => number): Outcome {
  const bytes = damaged(source, roll);
  const stream = Object.assign(new EventEmitter(), {
    destroyed: false,
    destroying: false,
    rawStream: null,
    write: () => true,
    end: () => undefined,
    destroy: () => undefined,
  });
  const pipe = new StreamPipe(stream as unknown as SecretStream, null, () => false, new ManualClock());
  let lost = false;
  let heard = 0;
  pipe.start({ data: (part) => (heard += part.byteLength), lost: () => (lost = true) });
  let sent = 0;
  for (let from = 0; from < bytes.length;) {
    if (lost) break;
    if (roll() < 0.1) pipe.pause();
    const size = 1 + Math.floor(roll() * 70_000);
    const kind = roll() < 0.9 ? 0 : Math.floor(roll() * 256);
    const part = bytes.subarray(from, from + size);
    stream.emit("data", Uint8Array.of(kind, ...(part.length > 4096 ? [] : part)));
    sent += part.length;
    from += size;
  }
  if (heard > sent || sent - heard > WINDOW_BYTES + bytes.length)
    throw new Error(`the pipe made ${heard} of ${sent}`);
  pipe.destroy();
  return lost ? "refused" : "accepted";
}

function mutated(text: string, roll: () => number, pick: Pick): string {
  let next = text;
  for (let changes = 1 + Math.floor(roll() * 3); changes > 0; changes--) {
    const at = Math.floor(roll() * next.length);
    const gone = Math.floor(roll() * 12);
    next = next.slice(0, at) + (roll() < 0.6 ? pick(PIECES) : "") + next.slice(at + gone);
  }
  return next;
}

function sentence(read: () => void): Outcome {
  try {
    read();
    return "accepted";
  } catch (error) {
    if (error instanceof Failure) return "refused";
    throw error;
  }
}

function parsed(text: string, accepts: (value: unknown) => boolean): Outcome {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "refused";
  }
  return accepts(value) ? "accepted" : "refused";
}
