import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type http from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { chunkList } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { uploadText } from "../../src-protocol/upload-text.ts";
import type { SessionSigner } from "../../src-protocol/signing.ts";
import type { ChunkSource } from "./chunk-download.ts";
import { diskFailure } from "../disk/disk-failure.ts";
import { persistently } from "./persistently.ts";
import type { OrchestratorRoute } from "../control/orchestrator-route.ts";
import { Throttle } from "../limits/throttle.ts";

/** A transfer may take as long as it likes; this long without a byte it is a broken one. */
const SILENT_MS = 30_000;
/** 2^20 digests and what stands between them. */
const CHUNK_LIST_LIMIT_BYTES = 80 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Less is sent again from its beginning; the store keeps no less either. */
const LEAST_RESUMED_BYTES = 1024 * 1024;
const uploadBegun = z.object({ bytes: z.int().nonnegative() });
/** Answers that may be another a moment later: not connected (yet, or just now), too much at once. */
const PASSING = new Set([401, 403, 408, 409, 429]);

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
   * gigabytes nothing is held in memory. A connection that breaks costs nothing that has arrived, and
   * neither does a process that ended: the rest is sent, for as long as it goes on. Rejects with
   * `blob-unavailable`, `blob-refused` when sending it again is of no use, or a disk Failure.
   */
  async put(digest: string, path: string, bytes: number, signal?: AbortSignal): Promise<void> {
    const file = await open(path, "r").catch((error: unknown) => {
      throw diskFailure(error, path);
    });
    let reached = -1;
    try {
      await persistently({ signal }, async (progressed) => {
        const from = bytes < LEAST_RESUMED_BYTES ? 0 : await this.#begun(digest, bytes, signal);
        if (from > reached) progressed();
        reached = Math.max(reached, from);
        await this.#putFrom(from, digest, file, bytes, signal);
      });
    } finally {
      await file.close();
    }
  }

  /** How much of an upload the store has already; never all of it: the last byte makes it answer. */
  async #begun(digest: string, bytes: number, signal: AbortSignal | undefined): Promise<number> {
    const response = await this.#ask(digest, "/upload", {}, signal);
    const answer = uploadBegun.safeParse(jsonOf(await text(response).catch(() => "")));
    return answer.success ? Math.min(answer.data.bytes, bytes - 1) : 0;
  }

  async #putFrom(
    from: number,
    digest: string,
    file: FileHandle,
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const request = this.#request(digest, "", signal, {
      method: "PUT",
      headers: {
        ...this.#headers(uploadText(digest, bytes, from)),
        "content-type": "application/octet-stream",
        "content-length": bytes - from,
        ...(from > 0 && { "content-range": `bytes ${from}-${bytes - 1}/${bytes}` }),
      },
    });
    // A store that refuses answers before it has read everything: then its answer counts.
    const answered = answerOf(request);
    const sent = this.#send(request, file, from, bytes, signal).then(() => answered);
    sent.catch(() => {});
    const response = await Promise.race([answered, sent]).catch((error: unknown) => {
      request.destroy();
      throw unavailable(digest, String(error));
    });
    const answer = (await text(response).catch(() => "")).slice(0, 300);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) {
      request.destroy();
      // A rest that does not fit what was there before: the store has thrown both away.
      throw status === 400 && from > 0 ? unavailable(digest, answer) : failureOf(digest, status, answer);
    }
  }

  async #send(
    request: http.ClientRequest,
    file: FileHandle,
    from: number,
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let at = from; at < bytes;) {
      // A buffer for each piece: the request keeps the last ones until they have left.
      const piece = Buffer.alloc(Math.min(PIECE_BYTES, bytes - at));
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, at);
      if (bytesRead === 0) throw new Error("the file became shorter");
      at += bytesRead;
      await this.#throttle.toSend(bytesRead, signal);
      if (request.destroyed) return;
      if (!request.write(piece.subarray(0, bytesRead))) await drained(request);
    }
    request.end();
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
    throw failureOf(digest, status, answer);
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

function failureOf(digest: string, status: number, answer: string): Failure {
  const said = `HTTP ${status} ${answer}`;
  return status >= 500 || PASSING.has(status) ? unavailable(digest, said) : refused(digest, said);
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
