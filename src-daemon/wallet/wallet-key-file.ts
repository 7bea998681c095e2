import * as schnorrkel from "@scure/sr25519";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { BITTENSOR_PREFIX, decodeAnySs58, decodeSs58, encodeSs58 } from "../../src-protocol/ss58.ts";
import { lockedForm } from "./locked-form.ts";
import { phraseToSeed } from "./wallet-phrase.ts";

/**
 * The content of btwallet's key files: one JSON object. Old Python wallets wrote `null` where newer
 * ones leave a field out, and hex stands with and without 0x. What is not needed may be odd: the tools
 * read such a file, and so do we.
 */
const text = z.string().nullish().catch(null);
const hexText = (bytes: number) => {
  const form = new RegExp(`^(?:0x)?[0-9a-fA-F]{${bytes * 2}}$`);
  return text.transform((value) => (typeof value === "string" && form.test(value) ? bare(value) : null));
};
const keyFile = z.looseObject({
  accountId: hexText(32),
  publicKey: hexText(32),
  privateKey: text,
  secretPhrase: text,
  secretSeed: text,
  ss58Address: text,
  /** 1: sr25519, 0: ed25519, as bittensor-wallet 4.1 and later write it. Another type than a number counts as absent. */
  cryptoType: z.number().nullish().catch(null),
});
type KeyFile = z.infer<typeof keyFile>;

const SR25519 = 1;
const ED25519 = 0;
const SEED_BYTES = 32;

export interface KeyPair {
  readonly address: Ss58Address;
  readonly publicKey: Uint8Array;
  /** ed25519-expanded form (scalar·8 ‖ nonce), as `@scure/sr25519` takes it. */
  readonly secretKey: Uint8Array;
}

/** What a key is made from; a key from elsewhere has no phrase. */
export type KeySecret =
  | { readonly type: "phrase"; readonly phrase: string }
  | { readonly type: "seed"; readonly seed: Uint8Array }
  | { readonly type: "pair"; readonly pair: KeyPair };

/** The two files of a fresh key: the secret one and the public one beside it. */
export function encodeKeyFiles(phrase: string): { secret: string; public: string } {
  return encodeKey({ type: "phrase", phrase });
}

/** The same of a key from elsewhere. Without `cryptoType`: readers 2.0.3 to 4.0.1 cannot open a file that has it. */
export function encodeKey(from: KeySecret): { secret: string; public: string; address: Ss58Address } {
  const seed = from.type === "pair" ? null : from.type === "seed" ? from.seed : phraseToSeed(from.phrase);
  if (from.type === "phrase" && seed === null) throw badPhrase();
  const pair =
    from.type === "pair"
      ? from.pair
      : keyPairFromSecret(schnorrkel.secretFromSeed(seed ?? new Uint8Array(SEED_BYTES)));
  const publicFields = {
    accountId: hex(pair.publicKey),
    publicKey: hex(pair.publicKey),
    ss58Address: pair.address,
  };
  return {
    secret: JSON.stringify({
      ...publicFields,
      privateKey: hex(toBittensorSecret(pair.secretKey)),
      ...(from.type === "phrase" ? { secretPhrase: from.phrase } : {}),
      ...(seed === null ? {} : { secretSeed: hex(seed) }),
    }),
    public: JSON.stringify(publicFields),
    address: pair.address,
  };
}

/** The phrase that a key file holds, or null: a key may have been made from a seed or a private key. */
export function phraseInKeyFile(bytes: Uint8Array, path: string): string | null {
  return parseKeyFile(bytes, path).secretPhrase ?? null;
}

/** @throws Failure `wallet-bad-phrase`, which never has a part of the phrase in it */
export function badPhrase(): Failure {
  return new Failure(
    "wallet-bad-phrase",
    "That is no secret phrase: it has 12 to 24 English words of one list, and the last one checks the others. Look for a misspelt or swapped word.",
  );
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
  refuseOtherType(file, path);
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
  const named = typeof file.ss58Address === "string" ? decodeAnySs58(file.ss58Address) : null;
  if (named !== null && named.prefix !== BITTENSOR_PREFIX) {
    throw new Failure(
      "wallet-other-network",
      `${path} names an address of another network (${file.ss58Address}, prefix ${named.prefix}); Bittensor's have prefix ${BITTENSOR_PREFIX} and begin with 5. It was left untouched: put the address there as Bittensor's tools show it.`,
    );
  }
  const key = file.publicKey ?? file.accountId ?? null;
  const account = key === null ? (named?.account ?? null) : Buffer.from(key, "hex");
  if (account === null) {
    const what =
      typeof file.ss58Address === "string" ? "names an address with a wrong checksum" : "names no address";
    throw new Failure(
      "wallet-corrupt",
      `${path} ${what}. It was left untouched: restore it from its wallet.`,
    );
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

/** A public key file's bytes, as Bittensor's tools write and read it. */
export function encodePublicKeyFile(address: Ss58Address): string {
  const account = decodeSs58(address);
  if (account === null) throw new TypeError("not a Bittensor address");
  return JSON.stringify({ accountId: hex(account), publicKey: hex(account), ss58Address: address });
}

/** An ed25519 file is sound, and the tools would sign with another key than we would read in it. */
function refuseOtherType(file: KeyFile, path: string): void {
  const type = file.cryptoType ?? SR25519;
  // Without the field, a private key of half the length says the same.
  const isShort =
    typeof file.secretPhrase !== "string" &&
    typeof file.secretSeed !== "string" &&
    isHex(file.privateKey, 32);
  if (type === SR25519 && !isShort) return;
  const name = type === ED25519 || isShort ? "an ed25519 key" : `a key of an unknown type (${type})`;
  throw new Failure(
    "wallet-key-type",
    `The key file ${path} is sound, but it holds ${name}, and networks know their members by sr25519 keys. It was left untouched: name a hotkey of type sr25519 (Bittensor's default) instead.`,
  );
}

function refuseEncrypted(bytes: Uint8Array, path: string): void {
  if (lockedForm(bytes) === null) return;
  throw new Failure(
    "wallet-encrypted",
    `The hotkey file ${path} is locked with a password. It was left untouched: give the password (in a terminal when asked, or in a file with --wallet-password-file), or name another hotkey (--wallet, --hotkey, or \`tah wallet use\`).`,
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
  if (parsed.success && !Array.isArray(json)) return parsed.data;
  throw corrupt(path, "is not a key file");
}

function secretOf(file: KeyFile, path: string): KeyPair {
  if (typeof file.secretPhrase === "string") {
    const seed = phraseToSeed(file.secretPhrase);
    if (seed === null) throw corrupt(path, "holds a secret phrase with a wrong word or checksum");
    return keyPairFromSeed(seed);
  }
  if (typeof file.secretSeed === "string") {
    if (!isHex(file.secretSeed, 32)) throw corrupt(path, 'has a wrong field "secretSeed"');
    return keyPairFromSeed(Buffer.from(bare(file.secretSeed), "hex"));
  }
  if (typeof file.privateKey === "string") {
    if (!isHex(file.privateKey, 64)) throw corrupt(path, 'has a wrong field "privateKey"');
    const secret = fromBittensorSecret(Buffer.from(bare(file.privateKey), "hex"));
    if (secret === null) throw corrupt(path, "holds a private key that is not an sr25519 key");
    return keyPairFromSecret(secret);
  }
  throw new Failure(
    "wallet-no-secret",
    `The key file ${path} holds no secret (no phrase, seed or private key), so it cannot sign. It was left untouched: put the hotkey's own file there, or choose another hotkey name.`,
  );
}

/** The seed is wiped. */
function keyPairFromSeed(seed: Uint8Array): KeyPair {
  const pair = keyPairFromSecret(schnorrkel.secretFromSeed(seed));
  seed.fill(0);
  return pair;
}

/** The pair of a secret in `@scure/sr25519`'s form. */
export function keyPairFromSecret(secretKey: Uint8Array): KeyPair {
  const publicKey = schnorrkel.getPublicKey(secretKey);
  return { address: encodeSs58(publicKey), publicKey, secretKey };
}

function publicFieldsMatch(file: KeyFile, pair: Pick<KeyPair, "address" | "publicKey">): boolean {
  const expected = bare(hex(pair.publicKey));
  const named = [file.accountId, file.publicKey].filter((field) => typeof field === "string");
  if (!named.every((field) => field === expected)) return false;
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

/** The digits alone, in small letters. */
function bare(text: string): string {
  return text.replace(/^0x/, "").toLowerCase();
}

function isHex(text: string | null | undefined, bytes: number): boolean {
  return typeof text === "string" && new RegExp(`^(?:0x)?[0-9a-fA-F]{${bytes * 2}}$`).test(text);
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}
