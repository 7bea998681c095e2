import { EventEmitter } from "node:events";
import type { SecretStream } from "hyperdht";
import { z } from "zod";
import {
  accountAnswer,
  claimableAnswer,
  claimsAnswer,
  historyAnswer,
  receiptsAnswer,
  watchMessage,
} from "../../src-protocol/api.ts";
import { browserHello } from "../../src-protocol/browser-sign-in.ts";
import { chunkList, parseRange } from "../../src-protocol/chunks.ts";
import { claimText, parseClaimText } from "../../src-protocol/claim.ts";
import { CONTROL_PROTOCOL, orchestratorMessage } from "../../src-protocol/control.ts";
import { daemonToWorker, orchestratorToDaemon, workerToDaemon } from "../../src-protocol/daemon-ipc.ts";
import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import { FrameDecoder, parseWith } from "../../src-protocol/frame-decoder.ts";
import { encodeGoodbye, encodeHeartbeat, encodeHello, encodeMessage } from "../../src-protocol/frame.ts";
import { formatInvitation, parseInvitation } from "../../src-protocol/invitation.ts";
import { relayAnswer, relayGreeting } from "../../src-protocol/link-services.ts";
import { parseNetworkCard } from "../../src-protocol/network-card.ts";
import type { NetworkCard } from "../../src-protocol/network-card.ts";
import { inviteRequest, revokeRequest } from "../../src-protocol/operator.ts";
import { consentText, parseConsentText } from "../../src-protocol/payout-consent.ts";
import { FRAME_HEADER_BYTES, peerMessage } from "../../src-protocol/peer.ts";
import { probeToDaemon } from "../../src-protocol/providers.ts";
import { snapshotHeader } from "../../src-protocol/snapshot.ts";
import { readCall } from "../../src-daemon/api/api-calls.ts";
import { FramedLink } from "../../src-worker/links/framed-link.ts";
import { ManualClock } from "../../src-worker/links/link-clock.ts";
import type { LinkPipe, LinkPipeEvents } from "../../src-worker/links/link-pipe.ts";
import { LINK_TIMING } from "../../src-worker/links/link.ts";
import { SessionLink } from "../../src-worker/links/session/session-link.ts";
import { StreamPipe, WINDOW_BYTES } from "../../src-worker/links/hyperdht/stream-pipe.ts";
import { readBody } from "./account-routes.ts";
import {
  HEX,
  HOTKEY,
  KEY,
  NODE_MESSAGES,
  ORCHESTRATOR_MESSAGES,
  PEER_MESSAGES,
  SIGNATURE,
} from "./fuzz-samples.test-support.ts";
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

const OF_MONEY = {
  network: "n",
  netuid: 0,
  hotkey: HOTKEY,
  payoutColdkey: HOTKEY,
  nonce: HEX,
  issuedAt: 0,
  expiresAt: 1,
};
const CLAIM_TEXT = claimText({
  ...OF_MONEY,
  schema: "train-at-home/claim/v1",
  claimId: "00000000-0000-4000-8000-000000000000",
  epochFrom: 0,
  epochTo: 1,
  amountRao: "1",
  asset: "test",
  receiptsRoot: HEX,
});
const CONSENT_TEXT = consentText({
  ...OF_MONEY,
  schema: "train-at-home/payout/v1",
  generation: 1,
  previous: null,
});
const CARD: NetworkCard = {
  protocol: CONTROL_PROTOCOL,
  network: "n",
  name: "A network",
  operator: "",
  testUnits: true,
  open: false,
  nodes: 3,
  run: {
    runId: "r",
    name: "A run",
    model: "llama",
    parameterCount: 1,
    stages: 3,
    phase: "training",
    detail: "",
    step: 1,
    steps: null,
    loss: 1.5,
    corpus: "x",
  },
  asks: { downloadBytes: 1, memoryBytes: 1, bytesPerStep: 1, megabitsPerSecond: null },
};
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
const tensors = new Set(["tensor", "blobPart", "statePart", "tiePart", "sum", "total"]);
const FRAMES_OF_PEERS: readonly Uint8Array[] = [
  Buffer.concat(encodeHello({ sessionKey: KEY, signature: SIGNATURE })),
  Buffer.concat(encodeHeartbeat(false)),
  Buffer.concat(encodeHeartbeat(true)),
  Buffer.concat(encodeMessage({ type: "x" }, new Uint8Array(300_000)).flat()),
  ...Object.values(PEER_MESSAGES).map((message) =>
    Buffer.concat(encodeMessage(message, new Uint8Array(tensors.has(message.type) ? 64 : 0), 32).flat()),
  ),
  Buffer.concat(encodeGoodbye("bye")),
];
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
  "a link and all that is said on it": {
    texts: null,
    read: (_, roll, pick) =>
      said(
        Array.from({ length: 4 }, () => pick(FRAMES_OF_PEERS)),
        roll,
      ),
  },
  "peers' messages": ofSchema(peerMessage, ...Object.values(PEER_MESSAGES)),
  "nodes' messages": {
    texts: json(...Object.values(NODE_MESSAGES)),
    read: (text) => sentence(() => void readNodeMessage(text)),
  },
  "the orchestrator's messages": ofSchema(orchestratorMessage, ...Object.values(ORCHESTRATOR_MESSAGES)),
  "why an orchestrator refuses": ofSchema(failureSchema, { code: "x", message: "y" }),
  "lists of chunks": ofSchema(chunkList, { bytes: 10, chunkBytes: 2 ** 20, sha256: [HEX] }),
  "heads of snapshots": ofSchema(snapshotHeader, {
    schema: "train-at-home/snapshot/v2",
    runId: "r",
    runSha256: HEX,
    stage: 0,
    step: 1,
    payloadBytes: 4,
    payloadCrc32: 1,
    sampleSha256: HEX,
    link: HEX,
  }),
  "ranges of a file": {
    texts: ["bytes=0-99", "bytes=5-5"],
    read: (text) => (parseRange(text, 100) === null ? "refused" : "accepted"),
  },
  "texts of claims and consents": {
    texts: [CLAIM_TEXT, CONSENT_TEXT],
    read: (text) =>
      parseClaimText(text) === null && parseConsentText(text) === null ? "refused" : "accepted",
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
    sessionKey: KEY,
    peer: KEY,
    signature: SIGNATURE,
  }),
  "the relay's answers": ofSchema(
    relayAnswer,
    { type: "paired" },
    { type: "refused", code: "x", message: "y" },
  ),
  "workers' words to the daemon": ofSchema(
    workerToDaemon,
    { type: "sessionKey", sessionKey: KEY },
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
    z.union([watchMessage, historyAnswer]),
    { type: "point", point: { step: 1, at: 1, loss: 1, heldOutLoss: null, tokensPerSecond: 2 } },
    { points: [], next: null },
  ),
  "cards of networks": {
    texts: json(CARD),
    read: (text) => parsed(text, (value) => !(parseNetworkCard(value) instanceof Failure)),
  },
  "an orchestrator's answers about money": ofSchema(
    z.union([accountAnswer, claimableAnswer, receiptsAnswer, claimsAnswer]),
    { amountRao: "1", statementIds: [HEX], epochFrom: 0, epochTo: 1, later: null },
    { receipts: [] },
    { claims: [] },
  ),
  "a browser's first word": ofSchema(browserHello, {
    type: "hello",
    publicKey: `${"A".repeat(87)}=`,
    signature: `${"A".repeat(86)}==`,
    login: HEX,
  }),
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

/** Whole frames one after another, some of them damaged, on a link that somebody uses. */
function said(sources: readonly Uint8Array[], roll: () => number): Outcome {
  let events: LinkPipeEvents | null = null;
  const pipe: LinkPipe = {
    path: { kind: "direct", transport: "memory" },
    isNear: false,
    start: (given) => (events = given),
    write: (_pieces, done) => done(),
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  };
  const clock = new ManualClock();
  const path = new FramedLink(KEY, pipe, clock, LINK_TIMING);
  let isClosed = false;
  path.limitPayload(64 * 1024);
  const link = roll() < 0.5 ? path : SessionLink.begin(path, clock);
  link.onMessage(() => undefined);
  link.onBlob(() => undefined);
  if (link === path) link.onUpkeep(() => undefined);
  link.onClose(() => (isClosed = true));
  link.send(PEER_MESSAGES.want).catch(() => undefined);
  for (const source of sources)
    (events as LinkPipeEvents | null)?.data(roll() < 0.5 ? source : damaged(source, roll));
  const outcome = isClosed ? "refused" : "accepted";
  link.close("done");
  return outcome;
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
