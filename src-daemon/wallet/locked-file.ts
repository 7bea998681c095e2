import { createDecipheriv, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";
import sodium from "libsodium-wrappers-sumo";
import { Failure } from "../../src-protocol/failure.ts";
import { NACL_MARK, lockedForm } from "./locked-form.ts";

/**
 * Of the three forms only NaCl's is written. Deriving a key takes seconds and, for NaCl, 512 MiB: run this
 * on a thread of its own (key-lock.ts).
 */

/** What it costs to try one password. */
export interface KeyCost {
  readonly passes: number;
  readonly memoryBytes: number;
}

/** Fixed in btwallet, so that one password gives one key in every wallet. */
const NACL_SALT = Buffer.from("137183dff15a09bc9c90b5518739e9b1", "hex");
/**
 * SECURITY: what every key file is written with. No option, file, message or environment reaches it: only a test that
 * is about something else passes a smaller one, as a function's argument.
 */
export const BTWALLET_COST: KeyCost = { passes: 8, memoryBytes: 512 * 1024 * 1024 };
const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const MAC_BYTES = 16;

const ANSIBLE_ROUNDS = 10_000;
const FERNET_ROUNDS = 10_000_000;
const FERNET_SALT = "Iguesscyborgslikemyselfhaveatendencytobeparanoidaboutourorigins";

/** A password, or what it was derived to before (`naclKey`). */
export type Unlocking = string | Uint8Array;

/** The file's content in NaCl's form: `$NACL`, nonce (24), MAC (16), ciphertext. */
export async function lock(
  content: Uint8Array,
  unlocking: Unlocking,
  cost: KeyCost = BTWALLET_COST,
  nonce: Uint8Array = randomBytes(NONCE_BYTES),
): Promise<Uint8Array> {
  const key = await keyOf(unlocking, cost);
  try {
    return Buffer.concat([Buffer.from(NACL_MARK), nonce, sodium.crypto_secretbox_easy(content, nonce, key)]);
  } finally {
    if (key !== unlocking) sodium.memzero(key);
  }
}

/** @throws Failure `wallet-wrong-password`, or `wallet-corrupt` when the file is cut short */
export async function unlock(
  bytes: Uint8Array,
  unlocking: Unlocking,
  path: string,
  cost: KeyCost = BTWALLET_COST,
): Promise<Uint8Array> {
  const form = lockedForm(bytes);
  if (form === null) return bytes;
  if (form === "nacl") return unlockNacl(bytes, unlocking, path, cost);
  // The older forms are derived in other ways.
  if (typeof unlocking !== "string") throw wrongPassword(path);
  return form === "ansible" ? unlockAnsible(bytes, unlocking, path) : unlockFernet(bytes, unlocking, path);
}

async function keyOf(unlocking: Unlocking, cost: KeyCost): Promise<Uint8Array> {
  if (typeof unlocking === "string") return naclKey(unlocking, cost);
  await sodium.ready;
  return unlocking;
}

/** Takes seconds and 512 MiB. */
export async function naclKey(password: string, cost: KeyCost = BTWALLET_COST): Promise<Uint8Array> {
  await sodium.ready;
  return sodium.crypto_pwhash(
    KEY_BYTES,
    password,
    NACL_SALT,
    cost.passes,
    cost.memoryBytes,
    sodium.crypto_pwhash_ALG_ARGON2I13,
  );
}

async function unlockNacl(
  bytes: Uint8Array,
  unlocking: Unlocking,
  path: string,
  cost: KeyCost,
): Promise<Uint8Array> {
  const body = bytes.subarray(NACL_MARK.length);
  if (body.length < NONCE_BYTES + MAC_BYTES) throw cutShort(path);
  const key = await keyOf(unlocking, cost);
  try {
    return sodium.crypto_secretbox_open_easy(body.subarray(NONCE_BYTES), body.subarray(0, NONCE_BYTES), key);
  } catch {
    throw wrongPassword(path);
  } finally {
    if (key !== unlocking) sodium.memzero(key);
  }
}

/** `$ANSIBLE_VAULT;1.1;AES256`, then hex of three lines of hex: salt, HMAC-SHA256, AES-256-CTR ciphertext. */
function unlockAnsible(bytes: Uint8Array, password: string, path: string): Uint8Array {
  const [, ...lines] = Buffer.from(bytes).toString("latin1").split(/\r?\n/);
  const inner = Buffer.from(lines.join("").trim(), "hex").toString("latin1").split("\n");
  const [salt, mac, cipher] = inner.map((line) => Buffer.from(line, "hex"));
  if (salt === undefined || mac === undefined || cipher === undefined || cipher.length === 0)
    throw cutShort(path);
  const keys = pbkdf2Sync(password, salt, ANSIBLE_ROUNDS, 80, "sha256");
  const expected = createHmac("sha256", keys.subarray(32, 64)).update(cipher).digest();
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) throw wrongPassword(path);
  const aes = createDecipheriv("aes-256-ctr", keys.subarray(0, 32), keys.subarray(64, 80));
  const padded = Buffer.concat([aes.update(cipher), aes.final()]);
  const padding = padded.at(-1) ?? 0;
  if (padding < 1 || padding > 16 || padding > padded.length) throw cutShort(path);
  return padded.subarray(0, -padding);
}

/** Version 0x80, time (8), IV (16), AES-128-CBC ciphertext, HMAC-SHA256 (32), in URL-safe base64. */
function unlockFernet(bytes: Uint8Array, password: string, path: string): Uint8Array {
  const token = Buffer.from(Buffer.from(bytes).toString("latin1").trim(), "base64url");
  if (token.length < 1 + 8 + 16 + 16 + 32 || token[0] !== 0x80) throw cutShort(path);
  const key = pbkdf2Sync(password, FERNET_SALT, FERNET_ROUNDS, 32, "sha256");
  const expected = createHmac("sha256", key.subarray(0, 16)).update(token.subarray(0, -32)).digest();
  if (!timingSafeEqual(token.subarray(-32), expected)) throw wrongPassword(path);
  const aes = createDecipheriv("aes-128-cbc", key.subarray(16), token.subarray(9, 25));
  try {
    return Buffer.concat([aes.update(token.subarray(25, -32)), aes.final()]);
  } catch {
    throw cutShort(path);
  }
}

function wrongPassword(path: string): Failure {
  return new Failure(
    "wallet-wrong-password",
    `The password does not open ${path}. The file was left untouched: check capitals and keyboard, and try again.`,
  );
}

function cutShort(path: string): Failure {
  return new Failure(
    "wallet-corrupt",
    `The key file ${path} is locked and cut short. It was left untouched: restore it from a backup.`,
  );
}
