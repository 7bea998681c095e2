import { CONTROL_PROTOCOL, orchestratorMessage } from "../../src-protocol/control.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { FrameDecoder } from "../../src-protocol/frame-decoder.ts";
import { encodeGoodbye, encodeHello, encodeMessage } from "../../src-protocol/frame.ts";
import { formatInvitation, parseInvitation } from "../../src-protocol/invitation.ts";
import { FRAME_HEADER_BYTES } from "../../src-protocol/peer.ts";
import { createSessionSigner } from "../../src-protocol/signing.ts";
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
  Buffer.concat(encodeGoodbye("bye")),
];

type Outcome = "refused" | "accepted";

/** Every parser of bytes that come from others, with one mutated input each time. */
export function fuzzOnce(roll: () => number): Outcome {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(roll() * list.length)] as T;
  switch (Math.floor(roll() * 4)) {
    case 0:
      return frames(pick(FRAMES_OF_PEERS), roll);
    case 1:
      return sentence(() => void readNodeMessage(mutated(pick(TEXTS), roll, pick)));
    case 2:
      return parsed(
        mutated(pick(TEXTS), roll, pick),
        (value) => orchestratorMessage.safeParse(value).success,
      );
    default:
      return parseInvitation(mutated(INVITATION, roll, pick), 0) instanceof Failure ? "refused" : "accepted";
  }
}

/** A frame with bytes changed, its header most of all, cut at any place. */
function frames(source: Uint8Array, roll: () => number): Outcome {
  const bytes = new Uint8Array(source);
  for (let changes = Math.floor(roll() * 4); changes > 0; changes--) {
    const within = roll() < 0.7 ? FRAME_HEADER_BYTES : bytes.length;
    bytes[Math.floor(roll() * within)] = Math.floor(roll() * 256);
  }
  const at = Math.floor(roll() * bytes.length);
  let announced = 0;
  const decoder = new FrameDecoder((_meta, payloadBytes) => (announced += payloadBytes));
  const events = [...decoder.push(bytes.subarray(0, at)), ...decoder.push(bytes.subarray(at))];
  return events.some(({ type }) => type === "refused") ? "refused" : "accepted";
}

function mutated(text: string, roll: () => number, pick: (list: readonly string[]) => string): string {
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
