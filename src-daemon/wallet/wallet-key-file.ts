import * as schnorrkel from "@scure/sr25519";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { decodeSs58, encodeSs58 } from "../../src-protocol/ss58.ts";
import { phraseToSeed } from "./wallet-phrase.ts";

/**
 * The content of btwallet's key files: one JSON object of strings. Old Python wallets wrote `null`
 * where newer ones leave a field out.
 */
const hexBytes = (bytes: number) => z.string().regex(new RegExp(`^0x[0-9a-fA-F]{${bytes * 2}}$`));
const keyFile = z.looseObject({
  accountId: hexBytes(32).nullish(),
  publicKey: hexBytes(32).nullish(),
  privateKey: hexBytes(64).nullish(),
  secretPhrase: z.string().nullish(),
  secretSeed: hexBytes(32).nullish(),
  ss58Address: z.string().nullish(),
});
type KeyFile = z.infer<typeof keyFile>;

export interface KeyPair {
  readonly address: Ss58Address;
  readonly publicKey: Uint8Array;
  /** ed25519-expanded form (scalar·8 ‖ nonce), as `@scure/sr25519` takes it. */
  readonly secretKey: Uint8Array;
}

/** The two files of a fresh key: the secret one and the public one beside it. */
export function encodeKeyFiles(phrase: string): { secret: string; public: string } {
  const seed = phraseToSeed(phrase);
  if (seed === null) throw new Error("a key was to be made from an invalid phrase");
  const pair = pairFromSecret(schnorrkel.secretFromSeed(seed));
  const publicFields = {
    accountId: hex(pair.publicKey),
    publicKey: hex(pair.publicKey),
    ss58Address: pair.address,
  };
  return {
    secret: JSON.stringify({
      ...publicFields,
      privateKey: hex(toBittensorSecret(pair.secretKey)),
      secretPhrase: phrase,
      secretSeed: hex(seed),
    }),
    public: JSON.stringify(publicFields),
  };
}

/**
 * The key in a file's bytes, its public half recomputed from the secret one. Fields are taken in
 * btwallet's order: phrase, seed, private key.
 *
 * SECURITY: no failure here may carry a part of the file, so neither the parser's message (it
 * quotes) nor a `cause` is passed on.
 */
export function decodeKeyFile(bytes: Uint8Array, path: string): KeyPair {
  refuseEncrypted(bytes, path);
  const file = parseKeyFile(bytes, path);
  const pair = secretOf(file, path);
  if (!publicFieldsMatch(file, pair)) {
    throw new Failure(
      "wallet-key-mismatch",
      `The key file ${path} names another address than its secret belongs to (${pair.address}). It was left untouched and is not used: restore it from a backup, or move it away to get a new key.`,
    );
  }
  return pair;
}

/** The address in a public key file such as `coldkeypub.txt`. */
export function decodePublicKeyFile(bytes: Uint8Array, path: string): Ss58Address {
  const file = parseKeyFile(bytes, path);
  const named = file.ss58Address ?? null;
  const key = file.publicKey ?? file.accountId ?? null;
  const account = key === null ? decodeSs58(named ?? "") : Buffer.from(key.slice(2), "hex");
  if (account === null) {
    throw corrupt(path, named === null ? "names no address" : "names an address with a wrong checksum");
  }
  const address = encodeSs58(account);
  if (!publicFieldsMatch(file, { address, publicKey: account })) {
    throw new Failure(
      "wallet-key-mismatch",
      `The fields of ${path} name different addresses, so it is not used. Restore the file from its wallet.`,
    );
  }
  return address;
}

function refuseEncrypted(bytes: Uint8Array, path: string): void {
  const start = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  if (!["$NACL", "$ANSIBLE_VAULT", "gAAAAA"].some((mark) => start.startsWith(mark))) return;
  throw new Failure(
    "wallet-encrypted",
    `The hotkey file ${path} is locked with a password, so it cannot sign by itself. It was left untouched: use a hotkey without a password (Bittensor's default), or another hotkey name.`,
  );
}

function parseKeyFile(bytes: Uint8Array, path: string): KeyFile {
  const text = Buffer.from(bytes).toString("utf8").trim();
  if (text === "") throw corrupt(path, "is empty");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw corrupt(path, "is not complete JSON");
  }
  const parsed = keyFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") ?? "";
  throw corrupt(path, field === "" ? "is not a key file" : `has a wrong field "${field}"`);
}

function secretOf(file: KeyFile, path: string): KeyPair {
  if (typeof file.secretPhrase === "string") {
    const seed = phraseToSeed(file.secretPhrase);
    if (seed === null) throw corrupt(path, "holds a secret phrase with a wrong word or checksum");
    return pairFromSecret(schnorrkel.secretFromSeed(seed));
  }
  if (typeof file.secretSeed === "string") {
    return pairFromSecret(schnorrkel.secretFromSeed(Buffer.from(file.secretSeed.slice(2), "hex")));
  }
  if (typeof file.privateKey === "string") {
    const secret = fromBittensorSecret(Buffer.from(file.privateKey.slice(2), "hex"));
    if (secret === null) throw corrupt(path, "holds a private key that is not an sr25519 key");
    return pairFromSecret(secret);
  }
  throw new Failure(
    "wallet-no-secret",
    `The key file ${path} holds no secret (no phrase, seed or private key), so it cannot sign. It was left untouched: put the hotkey's own file there, or choose another hotkey name.`,
  );
}

function pairFromSecret(secretKey: Uint8Array): KeyPair {
  const publicKey = schnorrkel.getPublicKey(secretKey);
  return { address: encodeSs58(publicKey), publicKey, secretKey };
}

function publicFieldsMatch(file: KeyFile, pair: Pick<KeyPair, "address" | "publicKey">): boolean {
  const expected = hex(pair.publicKey);
  const named = [file.accountId, file.publicKey].filter((field) => typeof field === "string");
  if (!named.every((field) => field.toLowerCase() === expected)) return false;
  return typeof file.ss58Address !== "string" || file.ss58Address === pair.address;
}

/** btwallet writes schnorrkel's canonical scalar; the expanded form is eight times it. The nonce is the same. */
function toBittensorSecret(expanded: Uint8Array): Uint8Array {
  return withScalar(expanded, (scalar) => scalar >> 3n) ?? new Uint8Array(64);
}

function fromBittensorSecret(canonical: Uint8Array): Uint8Array | null {
  return withScalar(canonical, (scalar) => scalar << 3n);
}

/** Null when the scalar is 0 or no longer fits 32 bytes. */
function withScalar(secret: Uint8Array, change: (scalar: bigint) => bigint): Uint8Array | null {
  const little = Buffer.from(secret.subarray(0, 32)).reverse().toString("hex");
  const changed = change(BigInt(`0x${little}`));
  if (changed === 0n || changed >= 1n << 256n) return null;
  const scalar = Buffer.from(changed.toString(16).padStart(64, "0"), "hex").reverse();
  return Uint8Array.from([...scalar, ...secret.subarray(32)]);
}

function corrupt(path: string, what: string): Failure {
  return new Failure(
    "wallet-corrupt",
    `The key file ${path} ${what}. It was left untouched and no new key was made in its place: restore it from a backup, or move it away to get a new key.`,
  );
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}
