import { CONTROL_PROTOCOL } from "../../src-protocol/control.ts";
import type { NodeMessage, OrchestratorMessage } from "../../src-protocol/control.ts";
import { sessionKey, ss58Address } from "../../src-protocol/keys.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { receipt, shareReceipt } from "../test-support/keys.test-support.ts";

/** One well-formed message of every kind, to be mutated: who adds a kind and forgets it here does not compile. */
type OneOfEach<Message extends { type: string }> = {
  readonly [Type in Message["type"]]: Extract<Message, { type: Type }>;
};

export const HEX = "ab".repeat(32);
export const SIGNATURE = "0".repeat(128);
const signer = createSessionSigner(new Uint8Array(32).fill(3));
export const KEY = sessionKey.parse(signer.publicKey);
export const HOTKEY = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const [key, hotkey] = [KEY, HOTKEY];
const address = { host: "192.0.2.7", port: 9 };
const peer = { sessionKey: key, address, others: [address] };
const load = { workMs: 3, backlogMs: 4, taken: 1 };
const status = {
  links: [
    {
      peer: key,
      side: "next",
      kind: "punched",
      transport: "hyperdht",
      roundTripMs: 30,
      mbitUp: 1,
      mbitDown: 1,
      sentAs: "f32",
      receivedAs: null,
      dialMs: 300,
      why: null,
    },
  ],
  reach: { state: "reachable", detail: "" },
  hyperdhtOff: null,
} as const;
const SIGNED = { by: key, sha256: HEX, signature: SIGNATURE };
const at = { generation: 1, step: 2 };

export const NODE_MESSAGES: OneOfEach<NodeMessage> = {
  hello: {
    type: "hello",
    protocol: CONTROL_PROTOCOL,
    delegation: {
      body: { network: "n", hotkey, sessionKey: key, notBefore: 0, notAfter: 1 },
      signature: `0x${SIGNATURE}`,
    },
    capabilities: { platform: "x", threads: 1, memoryBytes: 1, executionProvider: "cpu", exact: true },
    linkAddress: address,
    otherAddresses: [address],
    restorable: [{ runId: "r", stage: 0, steps: [{ step: 1, digest: HEX }] }],
    endsInMs: 60_000,
    country: "DE",
    lane: "0123456789abcdef",
    heard: 7,
  },
  proof: { type: "proof", signature: SIGNATURE },
  heartbeat: { type: "heartbeat", heard: 3 },
  ends: { type: "ends", endsInMs: 60_000 },
  stood: { type: "stood", ms: 4_000 },
  country: { type: "country", country: "DE" },
  loading: { type: "loading", generation: 1, bytes: 5 },
  ready: { type: "ready", generation: 1 },
  stepped: { type: "stepped", ...at, loss: 1.5, computeMs: 3 },
  saved: { type: "saved", ...at, digest: HEX, link: HEX, stateSha256: null },
  checkpoint: { type: "checkpoint", ...at, sha256: HEX, bytes: 3 },
  evaluated: { type: "evaluated", ...at, loss: 4 },
  receipts: {
    type: "receipts",
    receipts: [
      receipt(signer, { previous: signer, next: signer }, { stage: 1, step: 2 }),
      shareReceipt(signer, [{ side: "next", peer: signer, microBatches: [0, 1] }], { stage: 0, step: 2 }),
    ],
  },
  trouble: { type: "trouble", generation: 1, code: "link", message: "x", peer: key },
  ask: { type: "ask", generation: 1 },
  routed: { type: "routed", ...at, microBatch: 0, to: key },
  counted: { type: "counted", ...at, microBatch: 0, loss: 4 },
  summed: { type: "summed", ...at, round: 0, parts: [SIGNED], totals: [SIGNED], tied: HEX },
  lacking: { type: "lacking", ...at, round: 0, of: [key] },
  adopted: { type: "adopted", ...at },
  measured: { type: "measured", ...at, microBatch: 0, loss: 4 },
  accuse: { type: "accuse", ...at, replica: key, microBatch: null, code: "x", message: "y" },
  links: { type: "links", status: { ...status, links: [...status.links] } },
  drain: { type: "drain", reason: "x" },
};

export const ORCHESTRATOR_MESSAGES: OneOfEach<OrchestratorMessage> = {
  challenge: { type: "challenge", protocol: CONTROL_PROTOCOL, network: "n", nonce: HEX },
  welcome: {
    type: "welcome",
    links: {
      bootstrap: [address],
      datagramRelay: { key, address, mbitPerSecond: 10 },
      byteRelay: { address, mbitPerSecond: 10 },
      refusal: "",
    },
    lane: "0123456789abcdef",
    heard: 3,
  },
  refused: { type: "refused", code: "x", message: "y" },
  heartbeat: { type: "heartbeat", heard: 3 },
  assign: {
    type: "assign",
    generation: 1,
    run: testRun(),
    stage: 1,
    resumeStep: 2,
    resumeDigest: HEX,
    checkpointSha256: null,
    chunkLists: [{ sha256: HEX, chunksSha256: HEX }],
    previous: peer,
    next: peer,
    joins: false,
  },
  members: {
    type: "members",
    generation: 1,
    previous: [{ ...peer, live: true }],
    own: [{ ...peer, live: false }],
    next: [],
  },
  adopt: { type: "adopt", ...at, stateSha256: HEX, link: HEX, from: [key] },
  open: { type: "open", ...at },
  lease: { type: "lease", ...at, microBatch: 0, pass: "forward", heldBy: null },
  yours: { type: "yours", ...at, microBatch: 0, from: key, heldBy: key, isAgain: true },
  fenced: {
    type: "fenced",
    ...at,
    replica: key,
    code: "x",
  },
  commit: {
    type: "commit",
    ...at,
    round: 0,
    sums: [{ replica: key, microBatches: [0, 1] }],
    live: [key],
    shards: 1,
    isRecount: false,
  },
  take: { type: "take", ...at, ties: [{ stage: 0, sha256: HEX }] },
  grant: { type: "grant", ...at, microBatches: 1, evaluations: 0 },
  reach: { type: "reach", reach: { state: "unreachable", detail: "x" } },
  halt: { type: "halt", generation: 1, reason: "x" },
  receiptsStored: {
    type: "receiptsStored",
    stored: [HEX],
    refused: [{ id: HEX, code: "x" }],
    partly: [{ id: HEX, code: "x" }],
  },
  receiptsSafe: { type: "receiptsSafe" },
};

export const PEER_MESSAGES: OneOfEach<PeerMessage> = {
  tensor: {
    type: "tensor",
    ...at,
    microBatch: 0,
    pass: "backward",
    dtype: "float32",
    shape: [1, 2],
    codec: "f32",
    sha256: HEX,
    load,
  },
  lane: { type: "lane", lane: "ab".repeat(16), key: "cd".repeat(16) },
  laneSeen: { type: "laneSeen", lane: "ab".repeat(16) },
  blobAsk: { type: "blobAsk", id: 1, sha256: HEX, from: 0, length: 10 },
  blobPart: { type: "blobPart", id: 1 },
  blobNone: { type: "blobNone", id: 1 },
  direct: { type: "direct" },
  resume: { type: "resume", session: "ab".repeat(16), tensors: 0, notes: 0 },
  received: { type: "received", tensors: 0, notes: 0 },
  window: { type: "window", bytes: 100_000, taken: 7 },
  unheard: { type: "unheard", ms: 900 },
  want: { type: "want", ...at, microBatch: 0 },
  lack: { type: "lack", ...at, microBatch: 0 },
  load: { type: "load", ...at, load },
  sum: {
    type: "sum",
    ...at,
    round: 0,
    shard: 0,
    from: 0,
    codec: "f32",
    digests: [HEX],
    signature: SIGNATURE,
  },
  total: {
    type: "total",
    ...at,
    round: 0,
    shard: 0,
    from: 0,
    codec: "f32",
    sha256: HEX,
    signature: SIGNATURE,
  },
  stateAsk: { type: "stateAsk", generation: 1, id: 1, step: 2, from: 0, length: 10 },
  leavesAsk: { type: "leavesAsk", generation: 1, id: 1, step: 2 },
  statePart: { type: "statePart", generation: 1, id: 1 },
  tieAsk: { type: "tieAsk", generation: 1, id: 1, step: 2, stage: 1, from: 0 },
  tiePart: { type: "tiePart", generation: 1, id: 1 },
  tieNone: { type: "tieNone", generation: 1, id: 1 },
  stateNone: { type: "stateNone", generation: 1, id: 1 },
  receipt: {
    type: "receipt",
    body: receipt(signer, { previous: signer, next: signer }, { stage: 1, step: 2 }).body,
    workerSignature: SIGNATURE,
  },
  counterSignature: { type: "counterSignature", receiptId: HEX, signature: SIGNATURE },
};
