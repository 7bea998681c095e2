import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { parseRange } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { ed25519Signature, sessionKey, sha256Hex } from "../../src-protocol/keys.ts";
import { uploadText } from "../../src-protocol/upload-text.ts";
import { verifySession } from "../../src-protocol/signing.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import type { Blobs } from "../stores/blobs.ts";
import type { RunHost, StageFacts } from "../runs/run-host.ts";
import { BODY_LIMITS, movingBody } from "./upload-body.ts";
import type { BodyLimits } from "./upload-body.ts";
import { UploadQuota } from "./upload-quota.ts";
import type { UploadRefusal } from "./upload-quota.ts";

type BlobRequest = FastifyRequest<{ Params: { sha256: string } }>;

const REFUSALS: Readonly<Record<UploadRefusal, string>> = {
  "too-many-uploads":
    "This node has uploaded blobs that no checkpoint names. Name them, or try again in ten minutes.",
  "upload-under-way":
    "This node sends this blob, or two others, just now. Let that end first, then send it again.",
};

/** Weights and two moments in float32, and room for the snapshot's header. */
export function checkpointLimitBytes(stages: readonly StageFacts[]): number {
  return Math.max(...stages.map(({ parameterCount }) => parameterCount)) * 3 * 4 + 1024 * 1024;
}

/** Bytes for nodes that are connected now: the request is signed with the session key of the connection. */
export function blobRoutes(
  server: FastifyInstance,
  blobs: Blobs,
  host: RunHost,
  onCorrupt: (sha256: string) => void,
  bodyLimits: BodyLimits = BODY_LIMITS,
): void {
  const limitBytes = checkpointLimitBytes(host.facts);
  const quota = new UploadQuota((sha256) => host.namesCheckpoint(sha256));
  // The body is a stream of bytes, whatever it is called.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, payload, done) => done(null, payload));

  async function put(request: BlobRequest): Promise<{ sha256: string; bytes: number }> {
    const sha256 = digestOf(request);
    const length = Number(request.headers["content-length"] ?? Number.NaN);
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new Failure(
        "length-required",
        "The upload does not say how long it is. Send it with Content-Length.",
      );
    }
    const { from, total } = placeIn(request, length);
    const by = authorise(request, host, uploadText(sha256, total, from));
    if (host.stageOf(by) === null)
      throw new Failure("not-a-holder", "Only a node that holds a stage stores checkpoints here.");
    if (total > limitBytes) {
      throw new Failure("blob-too-large", `The blob has ${total} bytes; ${limitBytes} are allowed here.`);
    }
    const refusal = quota.begin(by, sha256, performance.now());
    if (refusal !== null) throw new Failure(refusal, REFUSALS[refusal]);
    try {
      const body = movingBody(request.raw, () => host.isConnected(by), bodyLimits);
      const { bytes } = await blobs.put(sha256, body, total, from);
      return { sha256, bytes };
    } finally {
      quota.ended(by, sha256);
    }
  }

  /** How much of an upload is here, so that the rest of it can be sent. */
  async function begun(request: BlobRequest): Promise<{ bytes: number }> {
    const sha256 = digestOf(request);
    authorise(request, host, `blob-get\n${sha256}`);
    return { bytes: await blobs.begun(sha256) };
  }

  async function get(request: BlobRequest, reply: FastifyReply): Promise<FastifyReply> {
    const blob = await sound(request, (sha256) => blobs.get(sha256));
    const asked = request.headers.range;
    const part = asked === undefined ? { from: 0, to: blob.bytes } : parseRange(asked, blob.bytes);
    if (part === null) {
      throw new Failure(
        "bad-range",
        `The blob has ${blob.bytes} bytes; "${String(asked).slice(0, 60)}" is no part of it. Ask for bytes=FIRST-LAST.`,
      );
    }
    await sound(request, () => blob.check(part));
    reply.header("content-type", "application/octet-stream").header("content-length", part.to - part.from);
    if (asked !== undefined)
      reply.code(206).header("content-range", `bytes ${part.from}-${part.to - 1}/${blob.bytes}`);
    return reply.send(blob.stream(part));
  }

  async function chunks(request: BlobRequest): Promise<ChunkList> {
    return await sound(request, (sha256) => blobs.chunks(sha256));
  }

  /** What a node may ask of a blob; one that cannot be served any more is told of. */
  async function sound<T>(request: BlobRequest, ask: (sha256: string) => Promise<T>): Promise<T> {
    const sha256 = digestOf(request);
    authorise(request, host, `blob-get\n${sha256}`);
    return await ask(sha256).catch((error: unknown) => {
      const { code } = failureBody(error);
      if (code === "blob-corrupt" || code === "blob-unknown") onCorrupt(sha256);
      throw error;
    });
  }

  const url = "/v1/blobs/sha256/:sha256";
  server.route({ method: "PUT", url, bodyLimit: limitBytes, handler: put });
  server.route({ method: "GET", url, handler: get });
  server.route({ method: "GET", url: `${url}/chunks`, handler: chunks });
  server.route({ method: "GET", url: `${url}/upload`, handler: begun });
}

/** Where a body of `length` bytes belongs: `Content-Range: bytes FROM-LAST/TOTAL`, else it is all of the blob. */
function placeIn(request: BlobRequest, length: number): { from: number; total: number } {
  const range = request.headers["content-range"];
  if (range === undefined) return { from: 0, total: length };
  const [, from, last, total] = (/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(range) ?? []).map(Number);
  if (from !== undefined && last === from + length - 1 && total === last + 1) return { from, total };
  throw new Failure(
    "bad-range",
    "The upload's Content-Range does not go on to the blob's end, or is not as long as its body. Send bytes FROM-LAST/TOTAL.",
  );
}

function digestOf(request: BlobRequest): string {
  const parsed = sha256Hex.safeParse(request.params.sha256);
  if (!parsed.success)
    throw new Failure("bad-digest", "A blob is named by the 64 lower-case hex digits of its SHA-256.");
  return parsed.data;
}

function authorise(request: FastifyRequest, host: RunHost, text: string): SessionKey {
  const key = sessionKey.safeParse(request.headers["x-tah-session"]);
  const signature = ed25519Signature.safeParse(request.headers["x-tah-signature"]);
  if (
    key.success &&
    signature.success &&
    host.isConnected(key.data) &&
    verifySession(key.data, text, signature.data)
  ) {
    return key.data;
  }
  throw new Failure(
    "not-a-node",
    "Blobs are for nodes that are connected to this network, with a request signed by their session key.",
  );
}
