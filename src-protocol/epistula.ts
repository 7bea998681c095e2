/**
 * Epistula v2, the request signing that Bittensor subnets use, with the two gaps of the reference
 * verifier closed: method, path and query are bound in, and future timestamps are refused.
 */
export const EPISTULA_VERSION = "2";
/** How far a request's timestamp may be from the verifier's clock, either way. */
export const EPISTULA_WINDOW_MS = 8_000;

export const EPISTULA_HEADERS = {
  version: "epistula-version",
  timestamp: "epistula-timestamp",
  uuid: "epistula-uuid",
  signedBy: "epistula-signed-by",
  signedFor: "epistula-signed-for",
  signature: "epistula-request-signature",
} as const;

/**
 * What `bodyHash` is the SHA-256 of: the request line, a newline, then the exact body bytes.
 * `target` is path and query as sent, e.g. `/v1/account/receipts?limit=5`.
 */
export function boundBody(method: string, target: string, body: Uint8Array): Uint8Array {
  const line = new TextEncoder().encode(`${method.toUpperCase()} ${target}\n`);
  const bound = new Uint8Array(line.length + body.length);
  bound.set(line);
  bound.set(body, line.length);
  return bound;
}

/** The exact text the hotkey signs. The last dot stays when `signedFor` is empty. */
export function epistulaText(bodyHash: string, uuid: string, timestampMs: number, signedFor: string): string {
  return `${bodyHash}.${uuid}.${timestampMs}.${signedFor}`;
}
