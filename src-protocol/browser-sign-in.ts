import { z } from "zod";
import { failureSchema } from "./failure.ts";

/**
 * How a browser shows the daemon that it was signed in, on `/rpc`:
 *
 *     daemon → page   challenge: a nonce
 *     page → daemon   hello: its key, and a signature over `browserProofText`; the token of a login address once
 *     daemon → page   welcome, or refused and the end
 *
 * SECURITY: no cookie and no secret that could be read or sent elsewhere: cookies go to every port of this
 * computer. The page's key (ECDSA, P-256) cannot be taken out of the browser, and the proof names the origin.
 */
export const browserHello = z.strictObject({
  type: z.literal("hello"),
  /** An uncompressed point, base64. */
  publicKey: z.string().regex(/^[A-Za-z0-9+/]{87}=$/),
  /** r and s, base64. */
  signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
  login: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
export type BrowserHello = z.infer<typeof browserHello>;

export const browserAnswer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("challenge"), nonce: z.string().regex(/^[0-9a-f]{64}$/) }),
  z.strictObject({ type: z.literal("welcome") }),
  z.strictObject({ type: z.literal("refused"), error: failureSchema }),
]);
export type BrowserAnswer = z.infer<typeof browserAnswer>;

export const BROWSER_KEY = { name: "ECDSA", namedCurve: "P-256" } as const;
export const BROWSER_SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;

/** `origin`: as the page's address has it, `http://127.0.0.1:4711`. */
export function browserProofText(origin: string, nonce: string): string {
  return `Train at Home browser v1\n${origin}\n${nonce}`;
}

/** What stands behind the `#` of a login address: it never reaches a server, a log or another page. */
export const LOGIN_MARK = "#login=";
