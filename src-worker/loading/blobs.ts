import { createReadStream } from "node:fs";
import type http from "node:http";
import { text } from "node:stream/consumers";
import { chunkList } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { ChunkSource } from "./chunk-download.ts";
import type { OrchestratorRoute } from "../control/orchestrator-route.ts";
import { Throttle } from "../limits/throttle.ts";

/** A transfer may take as long as it likes; this long without a byte it is a broken one. */
const SILENT_MS = 30_000;
/** 2^20 digests and what stands between them. */
const CHUNK_LIST_LIMIT_BYTES = 80 * 1024 * 1024;
/** Answers that may be another a moment later: not connected (yet, or just now), too much at once. */
const PASSING = new Set([401, 403, 408, 429]);

export interface BlobOptions {
  /** What the owner allows, both ways. */
  readonly throttle?: Throttle;
  readonly silentMs?: number;
}

/** The orchestrator's content-addressed store, as a worker may use it: by digest, signed by its session key. */
export class Blobs implements ChunkSource {
  readonly #route: OrchestratorRoute;
  readonly #signer: SessionSigner;
  readonly #throttle: Throttle;
  readonly #silentMs: number;

  constructor(
    route: OrchestratorRoute,
    signer: SessionSigner,
    { throttle = new Throttle(), silentMs = SILENT_MS }: BlobOptions = {},
  ) {
    this.#route = route;
    this.#signer = signer;
    this.#throttle = throttle;
    this.#silentMs = silentMs;
  }

  /** Rejects with `blob-unavailable`, or `blob-refused` when asking again is of no use. */
  async chunks(digest: string, signal?: AbortSignal): Promise<ChunkList> {
    const response = await this.#ask(digest, "/chunks", {}, signal);
    let length = 0;
    const pieces: Buffer[] = [];
    try {
      for await (const piece of response as AsyncIterable<Buffer>) {
        length += piece.byteLength;
        if (length > CHUNK_LIST_LIMIT_BYTES) throw refused(digest, "its list of chunks is too long");
        pieces.push(piece);
      }
    } catch (error) {
      throw error instanceof Failure ? error : unavailable(digest, String(error));
    }
    const parsed = chunkList.safeParse(jsonOf(Buffer.concat(pieces).toString("utf8")));
    if (!parsed.success) throw refused(digest, "its list of chunks was not understood");
    return parsed.data;
  }

  /** Rejects as `chunks`. More bytes than were asked for are not read. */
  async *range(digest: string, from: number, to: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const response = await this.#ask(digest, "", { range: `bytes=${from}-${to - 1}` }, signal);
    let left = to - from;
    try {
      for await (const piece of response as AsyncIterable<Buffer>) {
        await this.#throttle.received(piece.byteLength, signal);
        yield piece.subarray(0, left);
        left -= piece.byteLength;
        if (left <= 0) return;
      }
    } catch (error) {
      throw unavailable(digest, String(error));
    } finally {
      response.destroy();
    }
    throw unavailable(digest, "it ended early");
  }

  /**
   * Stores a file of `bytes` bytes under its digest. It is read while it is sent: of a checkpoint of
   * gigabytes nothing is held in memory. Rejects with `blob-unavailable`.
   */
  async put(digest: string, path: string, bytes: number, signal?: AbortSignal): Promise<void> {
    const request = this.#request(digest, "", signal, {
      method: "PUT",
      headers: {
        ...this.#headers(`blob\n${digest}\n${bytes}`),
        "content-type": "application/octet-stream",
        "content-length": bytes,
      },
    });
    // A store that refuses answers before it has read everything: then its answer counts.
    const answered = answerOf(request);
    const sent = this.#send(request, path, signal).then(() => answered);
    const response = await Promise.race([answered, sent]).catch((error: unknown) => {
      request.destroy();
      throw unavailable(digest, String(error));
    });
    sent.catch(() => {});
    const answer = (await text(response).catch(() => "")).slice(0, 300);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw unavailable(digest, `HTTP ${status} ${answer}`);
  }

  async #send(request: http.ClientRequest, path: string, signal: AbortSignal | undefined): Promise<void> {
    const file = createReadStream(path);
    try {
      for await (const piece of file as AsyncIterable<Buffer>) {
        await this.#throttle.toSend(piece.byteLength, signal);
        if (request.destroyed) return;
        if (!request.write(piece)) await drained(request);
      }
      request.end();
    } finally {
      file.destroy();
    }
  }

  async #ask(
    digest: string,
    suffix: string,
    headers: http.OutgoingHttpHeaders,
    signal: AbortSignal | undefined,
  ): Promise<http.IncomingMessage> {
    const request = this.#request(digest, suffix, signal, {
      headers: { ...headers, ...this.#headers(`blob-get\n${digest}`) },
    });
    request.end();
    const response = await answerOf(request).catch((error: unknown) => {
      throw unavailable(digest, String(error));
    });
    const status = response.statusCode ?? 0;
    // SECURITY: a digest is asked of this orchestrator only: a redirection is an answer like any other wrong one.
    if (status === 200 || status === 206) return response;
    const answer = (await text(response).catch(() => "")).slice(0, 300);
    const said = `HTTP ${status} ${answer}`;
    throw status >= 500 || PASSING.has(status) ? unavailable(digest, said) : refused(digest, said);
  }

  #request(
    digest: string,
    suffix: string,
    signal: AbortSignal | undefined,
    options: http.RequestOptions,
  ): http.ClientRequest {
    const request = this.#route.request(`/v1/blobs/sha256/${digest}${suffix}`, {
      ...options,
      ...(signal === undefined ? {} : { signal }),
    });
    request.setTimeout(this.#silentMs, () =>
      request.destroy(new Error(`nothing moved for ${this.#silentMs / 1000} s`)),
    );
    request.on("error", () => {});
    return request;
  }

  #headers(signed: string): Record<string, string> {
    return { "x-tah-session": this.#signer.publicKey, "x-tah-signature": this.#signer.sign(signed) };
  }
}

function answerOf(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
}

function drained(request: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      request.off("drain", over);
      request.off("close", over);
      resolve();
    };
    request.once("drain", over);
    request.once("close", over);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unavailable(digest: string, reason: string): Failure {
  return new Failure(
    "blob-unavailable",
    `The orchestrator's store did not answer for blob ${digest}: ${reason}. It is tried again when the stage is next assigned.`,
  );
}

function refused(digest: string, reason: string): Failure {
  return new Failure(
    "blob-refused",
    `The orchestrator's store does not give blob ${digest}: ${reason}. The run cannot be trained here as it is.`,
  );
}
