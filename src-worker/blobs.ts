import { createReadStream } from "node:fs";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { Failure } from "../src-protocol/failure.ts";
import type { SessionSigner } from "../src-protocol/signing.ts";
import { digestOf } from "./digest.ts";
import type { OrchestratorRoute } from "./orchestrator-route.ts";

const TIMEOUT_MS = 600_000;

/** The orchestrator's content-addressed store, as a worker may use it: by digest, signed by its session key. */
export class Blobs {
  readonly #route: OrchestratorRoute;
  readonly #signer: SessionSigner;

  constructor(route: OrchestratorRoute, signer: SessionSigner) {
    this.#route = route;
    this.#signer = signer;
  }

  /**
   * A blob's verified bytes. `maxBytes` bounds what is taken into memory. Rejects with
   * `blob-unavailable`, `blob-too-large` or `blob-corrupt`.
   */
  async get(digest: string, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.#fetch(digest, signal);
    const declared = Number(response.headers["content-length"] ?? Number.NaN);
    if (declared > maxBytes) {
      response.destroy();
      throw tooLarge(digest, maxBytes);
    }
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const piece of response as AsyncIterable<Buffer>) {
        length += piece.length;
        if (length > maxBytes) throw tooLarge(digest, maxBytes);
        pieces.push(piece);
      }
    } catch (error) {
      throw error instanceof Failure ? error : unavailable(digest, String(error));
    }
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    if ((await digestOf(bytes)) !== digest) {
      throw new Failure(
        "blob-corrupt",
        `The orchestrator sent other bytes than those of digest ${digest}. They were thrown away.`,
      );
    }
    return bytes;
  }

  /**
   * Stores a file of `bytes` bytes under its digest. It is read while it is sent: of a checkpoint of
   * gigabytes nothing is held in memory. Rejects with `blob-unavailable`.
   */
  async put(digest: string, path: string, bytes: number, signal?: AbortSignal): Promise<void> {
    const headers = {
      ...this.#headers(`blob\n${digest}\n${bytes}`),
      "content-type": "application/octet-stream",
      "content-length": bytes,
    };
    const request = this.#route.request(pathOf(digest), {
      method: "PUT",
      headers,
      signal: deadline(signal),
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
    });
    // A store that refuses answers before it has read everything: then its answer counts.
    const sent = pipeline(createReadStream(path), request).then(() => answered);
    const response = await Promise.race([answered, sent]).catch((error: unknown) => {
      throw unavailable(digest, String(error));
    });
    sent.catch(() => {});
    const answer = (await text(response).catch(() => "")).slice(0, 300);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw unavailable(digest, `HTTP ${status} ${answer}`);
  }

  async #fetch(digest: string, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const headers = this.#headers(`blob-get\n${digest}`);
    const response = await new Promise<IncomingMessage>((resolve, reject) =>
      // SECURITY: a digest is asked of this orchestrator only, wherever its answer points.
      this.#route
        .request(pathOf(digest), { method: "GET", headers, signal: deadline(signal) })
        .once("response", resolve)
        .once("error", reject)
        .end(),
    ).catch((error: unknown) => {
      throw unavailable(digest, String(error));
    });
    const status = response.statusCode ?? 0;
    if (status === 200) return response;
    const answer = (await text(response).catch(() => "")).slice(0, 300);
    throw unavailable(digest, `HTTP ${status} ${answer}`);
  }

  #headers(signed: string): Record<string, string> {
    return { "x-tah-session": this.#signer.publicKey, "x-tah-signature": this.#signer.sign(signed) };
  }
}

function pathOf(digest: string): string {
  return `/v1/blobs/sha256/${digest}`;
}

function deadline(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
}

function unavailable(digest: string, reason: string): Failure {
  return new Failure(
    "blob-unavailable",
    `The orchestrator's store did not answer for blob ${digest}: ${reason}. It is tried again when the stage is next assigned.`,
  );
}

function tooLarge(digest: string, maxBytes: number): Failure {
  return new Failure(
    "blob-too-large",
    `Blob ${digest} is larger than the ${maxBytes} bytes it should have. It was not taken.`,
  );
}
