import type { z } from "zod";
import { BTAUTH_HEADERS, BTAUTH_VERSION } from "../../src-protocol/btauth.ts";
import { Failure, failureSchema } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { reasonOf } from "../networks/unreachable.ts";
import type { Hotkey } from "../wallet/wallet.ts";

/** Requests to the network that the hotkey vouches for (`btauth/1`: method and target are bound in). */
export interface SignedRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The receiver's hotkey, when it is known: nobody else may then use the request. */
  readonly signedFor?: Ss58Address;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Unix milliseconds. */
  readonly now?: () => number;
  readonly fetch?: typeof globalThis.fetch;
}

/** The network answered, and the answer is no. `code` and `message` are the network's own. */
export class RefusedByNetwork extends Failure {
  readonly status: number;
  /** When it said so, by its own clock (Unix milliseconds, whole seconds); null: it does not say. */
  readonly serverTime: number | null;

  constructor(status: number, code: string, message: string, serverTime: number | null = null) {
    super(code, message);
    this.status = status;
    this.serverTime = serverTime;
  }
}

const TIMEOUT_MS = 15_000;
const ANSWER_LIMIT_BYTES = 8 * 1024 * 1024;

/**
 * The answer, when it is a success. Otherwise a `Failure`: `network-unreachable`,
 * `network-timeout`, or what the network said (`RefusedByNetwork`).
 */
export async function signedFetch(
  hotkey: Hotkey,
  url: string | URL,
  request: SignedRequest = {},
): Promise<Response> {
  const address = httpUrl(url);
  const method = request.method ?? "GET";
  // Serialised once: the signature is over these very bytes.
  const body =
    request.body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(request.body));
  const timeoutMs = request.timeoutMs ?? TIMEOUT_MS;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
  const headers = signedHeaders(hotkey, method, `${address.pathname}${address.search}`, body, request);
  if (body !== undefined) headers["content-type"] = "application/json";
  const send = request.fetch ?? globalThis.fetch;
  let response: Response;
  try {
    response = await send(address, {
      method,
      headers,
      signal,
      // SECURITY: a signature is for one target; following a redirect would hand it to another.
      redirect: "error",
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    throw notAnswered(address, error, timeoutMs);
  }
  if (!response.ok) throw await refusal(response, address);
  return response;
}

/** `signedFetch`, with the answer read and checked: `network-bad-answer` when it is something else. */
export async function signedJson<Schema extends z.ZodType>(
  hotkey: Hotkey,
  url: string | URL,
  schema: Schema,
  request: SignedRequest = {},
): Promise<z.infer<Schema>> {
  const address = httpUrl(url);
  const response = await signedFetch(hotkey, address, request);
  const answer = schema.safeParse(await readJson(response, address, request.timeoutMs ?? TIMEOUT_MS));
  if (answer.success) return answer.data;
  throw new Failure(
    "network-bad-answer",
    `The network at ${address.origin} answered ${address.pathname} in a form this version does not know. Check the address, and that both sides are up to date.`,
  );
}

let lastNonce = 0n;

/** Nanoseconds, and never the same twice: a second request within a millisecond is no replay of the first. */
function nonceAt(now: number): bigint {
  const wanted = BigInt(Math.floor(now)) * 1_000_000n;
  lastNonce = wanted > lastNonce || lastNonce - wanted > 1_000_000_000n ? wanted : lastNonce + 1n;
  return lastNonce;
}

/** The headers for these exact bytes. `target` is path and query as sent. */
export function signedHeaders(
  hotkey: Hotkey,
  method: string,
  target: string,
  body: Uint8Array | undefined,
  { now = Date.now, signedFor }: Pick<SignedRequest, "now" | "signedFor"> = {},
): Record<string, string> {
  const nonce = String(nonceAt(now()));
  const bodySha256 = sha256(body ?? new Uint8Array());
  const receiver = signedFor ?? "";
  const request = { method, target, bodySha256, nonce, hotkey: hotkey.address, receiver };
  return {
    [BTAUTH_HEADERS.version]: BTAUTH_VERSION,
    [BTAUTH_HEADERS.hotkey]: hotkey.address,
    [BTAUTH_HEADERS.nonce]: nonce,
    ...(signedFor === undefined ? {} : { [BTAUTH_HEADERS.receiver]: signedFor }),
    [BTAUTH_HEADERS.signature]: hotkey.sign({ kind: "request", body: request }),
  };
}

function httpUrl(url: string | URL): URL {
  const address = URL.canParse(String(url)) ? new URL(url) : null;
  if (address !== null && (address.protocol === "http:" || address.protocol === "https:")) return address;
  throw new Failure(
    "network-bad-address",
    `"${String(url).slice(0, 200)}" is not the address of a network. It has to start with http:// or https://.`,
  );
}

function notAnswered(address: URL, error: unknown, timeoutMs: number): Failure {
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError") {
    return new Failure(
      "network-timeout",
      `The network at ${address.origin} did not answer within ${timeoutMs / 1000} s. It is tried again later; nothing is lost.`,
      { cause: error },
    );
  }
  if (name === "AbortError") {
    return new Failure("request-stopped", "The request was stopped before the network answered.", {
      cause: error,
    });
  }
  return new Failure(
    "network-unreachable",
    `The network at ${address.origin} cannot be reached (${reasonOf(error)}). Check the address and your connection; nothing is lost.`,
    { cause: error },
  );
}

async function refusal(response: Response, address: URL): Promise<Failure> {
  const text = await response.text().catch(() => "");
  const said = failureSchema.safeParse(parsed(text));
  const date = Date.parse(response.headers.get("date") ?? "");
  if (said.success) {
    const serverTime = Number.isNaN(date) ? null : date;
    return new RefusedByNetwork(response.status, said.data.code, said.data.message, serverTime);
  }
  return new Failure(
    "network-bad-answer",
    `The network at ${address.origin} answered ${address.pathname} with HTTP ${response.status} and no reason. Check that the address is that of a Train at Home network.`,
  );
}

async function readJson(response: Response, address: URL, timeoutMs: number): Promise<unknown> {
  if (Number(response.headers.get("content-length") ?? 0) > ANSWER_LIMIT_BYTES) return undefined;
  try {
    return parsed(await response.text());
  } catch (error) {
    throw notAnswered(address, error, timeoutMs);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
