import { Failure } from "../src-protocol/failure.ts";
import { sha256 } from "../src-protocol/signing.ts";
import type { SessionSigner } from "../src-protocol/signing.ts";

const TIMEOUT_MS = 600_000;

/** The orchestrator's content-addressed store, as a worker may use it: by digest, signed by its session key. */
export class Blobs {
  readonly #baseUrl: string;
  readonly #signer: SessionSigner;

  constructor(orchestratorUrl: string, signer: SessionSigner) {
    this.#baseUrl = orchestratorUrl;
    this.#signer = signer;
  }

  /**
   * A blob's verified bytes. `maxBytes` bounds what is taken into memory. Rejects with
   * `blob-unavailable`, `blob-too-large` or `blob-corrupt`.
   */
  async get(digest: string, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.#fetch("GET", digest, `blob-get\n${digest}`, null, signal);
    const declared = Number(response.headers.get("content-length") ?? Number.NaN);
    if (declared > maxBytes) throw tooLarge(digest, maxBytes);
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const piece of response.body ?? []) {
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
    if (sha256(bytes) !== digest) {
      throw new Failure(
        "blob-corrupt",
        `The orchestrator sent other bytes than those of digest ${digest}. They were thrown away.`,
      );
    }
    return bytes;
  }

  /** Stores `bytes` under their digest. Rejects with `blob-unavailable`. */
  async put(digest: string, bytes: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<void> {
    const response = await this.#fetch("PUT", digest, `blob\n${digest}\n${bytes.length}`, bytes, signal);
    await response.body?.cancel();
  }

  async #fetch(
    method: "GET" | "PUT",
    digest: string,
    text: string,
    body: Uint8Array<ArrayBuffer> | null,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    let response: Response;
    try {
      response = await fetch(new URL(`/v1/blobs/sha256/${digest}`, this.#baseUrl), {
        method,
        ...(body === null ? {} : { body }),
        headers: {
          "x-tah-session": this.#signer.publicKey,
          "x-tah-signature": this.#signer.sign(text),
          ...(body === null ? {} : { "content-type": "application/octet-stream" }),
        },
        // SECURITY: a digest is asked of this orchestrator only, wherever its answer points.
        redirect: "error",
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw unavailable(digest, String(cause));
    }
    if (!response.ok) {
      const answer = (await response.text()).slice(0, 300);
      throw unavailable(digest, `HTTP ${response.status} ${answer}`);
    }
    return response;
  }
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
