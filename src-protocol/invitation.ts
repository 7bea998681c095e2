import { z } from "zod";
import { decodeBase32, encodeBase32 } from "./base32.ts";
import { linkAddress } from "./control.ts";
import type { LinkAddress } from "./control.ts";
import { Failure } from "./failure.ts";
import { sha256Hex } from "./keys.ts";
import { sha256 } from "./signing.ts";

/**
 * An invitation: one line of text by which a computer finds a network and knows it again.
 *
 * `tah1` and then base32 of: key 32 bytes | expiry 6 (Unix seconds, 0: never) | 1 and a token of 16, or 0 |
 * name (length, UTF-8) | number of addresses | each a host (length, ASCII) and a port of 2 |
 * the first 4 bytes of the SHA-256 of everything before, prefix included. Big-endian.
 */
const PREFIX = "tah1";
export const INVITATION_LIMIT_CHARS = 1_024;
const KEY_BYTES = 32;
const TOKEN_BYTES = 16;
const EXPIRY_BYTES = 6;
const CHECKSUM_BYTES = 4;
export const MOST_ADDRESSES = 4;

/** What an invitation admits with; whoever holds it may come in. Never logged. */
export const invitationToken = z.string().regex(/^[0-9a-f]{32}$/, "16 bytes of lower-case hex");

/** How a computer comes into a network: who it must be, and what it is let in with. */
export const networkAccess = z.strictObject({
  /** SHA-256 of the network's TLS public key (its SubjectPublicKeyInfo). */
  keySha256: sha256Hex,
  /** Null: the network is open to anybody. */
  token: invitationToken.nullable(),
});
export type NetworkAccess = z.infer<typeof networkAccess>;

/** A host name or an IP address. */
export const invitationHost = z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, "a host name or an IP address");

export const invitation = z.strictObject({
  ...networkAccess.shape,
  /** Where its orchestrator answers, the best first. */
  addresses: z
    .array(linkAddress.extend({ host: invitationHost }))
    .min(1)
    .max(MOST_ADDRESSES),
  /** Unix seconds; null: it does not expire. */
  expiresAt: z
    .int()
    .positive()
    .max(2 ** 48 - 1)
    .nullable(),
  /** Short, for people. */
  name: z
    .string()
    .min(1)
    .max(40)
    .regex(/^\P{C}+$/u, "no control characters"),
});
export type Invitation = z.infer<typeof invitation>;

/** The id by which an invitation is listed and revoked; it does not give the token away. */
export function invitationId(token: string): string {
  return sha256(`Train at Home invitation v1\n${token}`).slice(0, 12);
}

/** Where the orchestrator answers, for a URL: an IPv6 address gets its brackets. */
export function addressUrl({ host, port }: LinkAddress): string {
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** @throws Failure invitation-too-long, and a ZodError for anything that is no invitation */
export function formatInvitation(value: Invitation): string {
  const { keySha256, token, addresses, expiresAt, name } = invitation.parse(value);
  const expiry = Buffer.alloc(EXPIRY_BYTES);
  expiry.writeUIntBE(expiresAt ?? 0, 0, EXPIRY_BYTES);
  const body = Buffer.concat([
    Buffer.from(keySha256, "hex"),
    expiry,
    token === null ? Buffer.of(0) : Buffer.from(`01${token}`, "hex"),
    counted(name),
    Buffer.of(addresses.length),
    ...addresses.flatMap(({ host, port }) => [counted(host), Buffer.of(port >> 8, port & 255)]),
  ]);
  const line = PREFIX + encodeBase32(Buffer.concat([body, checksum(body)]));
  if (line.length > INVITATION_LIMIT_CHARS)
    throw new Failure(
      "invitation-too-long",
      "The addresses and the name do not fit into one invitation. Give fewer or shorter addresses.",
    );
  return line;
}

/**
 * What a pasted text invites to, or why it does not: `invitation-malformed`, `invitation-checksum`,
 * `invitation-newer`, `invitation-expired`. Line breaks, blanks and capitals that mail and chat
 * programs put in do not matter.
 *
 * @param now Unix milliseconds
 */
export function parseInvitation(text: string, now: number): Invitation | Failure {
  // Bounded before anything is done with it: blanks may be as many again.
  if (text.length > 2 * INVITATION_LIMIT_CHARS) return malformed("it is far too long");
  const line = text.replaceAll(/[\s\u200b\ufeff]/g, "").toLowerCase();
  if (line.length > INVITATION_LIMIT_CHARS) return malformed("it is far too long");
  if (!/^tah\d/.test(line)) return malformed("it does not begin with tah1");
  if (!line.startsWith(PREFIX)) return newer();
  const bytes = decodeBase32(line.slice(PREFIX.length));
  if (bytes === null || bytes.length <= CHECKSUM_BYTES) return wrongChecksum();
  const body = Buffer.from(bytes.buffer, 0, bytes.length - CHECKSUM_BYTES);
  if (!checksum(body).equals(bytes.subarray(body.length))) return wrongChecksum();
  const parsed = invitation.safeParse(readBody(body));
  if (!parsed.success) return malformed("its parts do not fit together");
  const { expiresAt } = parsed.data;
  return expiresAt !== null && now >= expiresAt * 1000 ? expiredInvitation(expiresAt) : parsed.data;
}

/** Null when the lengths in it do not fit; the values are the schema's to judge. */
function readBody(body: Buffer): unknown {
  let at = 0;
  const take = (bytes: number): Buffer => {
    at += bytes;
    if (at > body.length) throw new RangeError("beyond the end");
    return body.subarray(at - bytes, at);
  };
  const byte = (): number => take(1).readUInt8();
  try {
    const keySha256 = take(KEY_BYTES).toString("hex");
    const expiry = take(EXPIRY_BYTES).readUIntBE(0, EXPIRY_BYTES);
    const hasToken = byte();
    if (hasToken > 1) return null;
    const token = hasToken === 1 ? take(TOKEN_BYTES).toString("hex") : null;
    const name = new TextDecoder("utf-8", { fatal: true }).decode(take(byte()));
    const addresses = Array.from({ length: byte() }, () => ({
      host: take(byte()).toString("latin1"),
      port: take(2).readUInt16BE(),
    }));
    if (at !== body.length) return null;
    return { keySha256, token, addresses, expiresAt: expiry === 0 ? null : expiry, name };
  } catch {
    return null;
  }
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function checksum(body: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.from(PREFIX), body]);
  return Buffer.from(sha256(bytes), "hex").subarray(0, CHECKSUM_BYTES);
}

function malformed(what: string): Failure {
  return new Failure(
    "invitation-malformed",
    `This is no invitation to a network: ${what}. Copy the whole line that the operator sent, from tah1 to its end.`,
  );
}

function wrongChecksum(): Failure {
  return new Failure(
    "invitation-checksum",
    "The invitation has a wrong letter, or a part of it is missing. Copy the whole line again, from tah1 to its end.",
  );
}

function newer(): Failure {
  return new Failure(
    "invitation-newer",
    "The invitation was written by a newer Train at Home. Update Train at Home on this computer, then paste it again.",
  );
}

export function expiredInvitation(expiresAt: number): Failure {
  const day = new Date(Math.min(expiresAt * 1000, 8.64e15)).toISOString().slice(0, 16).replace("T", " ");
  return new Failure(
    "invitation-expired",
    `The invitation was good until ${day} UTC, so it lets nobody in any more. Ask the operator for a new one.`,
  );
}
