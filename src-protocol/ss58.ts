import { blake2b } from "@noble/hashes/blake2.js";
import { ss58Address } from "./keys.ts";
import type { Ss58Address } from "./keys.ts";

/** SS58 of a 32-byte account, prefix 42: `base58(42 | account | first two bytes of the checksum)`. */
export const BITTENSOR_PREFIX = 42;
const ACCOUNT_BYTES = 32;
const CHECKSUM_BYTES = 2;
const TOTAL_BYTES = 1 + ACCOUNT_BYTES + CHECKSUM_BYTES;
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function encodeSs58(account: Uint8Array): Ss58Address {
  if (account.length !== ACCOUNT_BYTES) {
    throw new TypeError(`an account has ${ACCOUNT_BYTES} bytes, not ${account.length}`);
  }
  const bytes = Buffer.alloc(TOTAL_BYTES, BITTENSOR_PREFIX);
  bytes.set(account, 1);
  bytes.set(checksum(bytes.subarray(0, 1 + ACCOUNT_BYTES)), 1 + ACCOUNT_BYTES);
  let number = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  while (number > 0n) {
    text = ALPHABET.charAt(Number(number % 58n)) + text;
    number /= 58n;
  }
  return ss58Address.parse(text);
}

/** The account an address names, or null when its form, its prefix or its checksum is wrong. */
export function decodeSs58(address: string): Uint8Array | null {
  if (!ss58Address.safeParse(address).success) return null;
  const named = decodeAnySs58(address);
  return named?.prefix === BITTENSOR_PREFIX ? named.account : null;
}

/** Longer than any address of a 32-byte account: 2 bytes of prefix, and 2 of checksum. */
const LONGEST_TEXT = 50;

/** An address of any Substrate network, or null when its form or its checksum is wrong. */
export function decodeAnySs58(address: string): { prefix: number; account: Uint8Array } | null {
  if (address.length > LONGEST_TEXT || !/^[1-9A-HJ-NP-Za-km-z]+$/.test(address)) return null;
  let number = 0n;
  for (const letter of address) number = number * 58n + BigInt(ALPHABET.indexOf(letter));
  const [ones = ""] = /^1*/.exec(address) ?? [];
  const digits = number.toString(16);
  const hex = number === 0n ? "" : digits.padStart(digits.length + (digits.length % 2), "0");
  const bytes = Buffer.concat([Buffer.alloc(ones.length), Buffer.from(hex, "hex")]);
  const [first = 0, second = 0] = bytes;
  const prefixBytes = first < 64 ? 1 : 2;
  if (first >= 128 || bytes.length !== prefixBytes + ACCOUNT_BYTES + CHECKSUM_BYTES) return null;
  const end = prefixBytes + ACCOUNT_BYTES;
  if (!checksum(bytes.subarray(0, end)).equals(bytes.subarray(end))) return null;
  return {
    // Of two bytes: see the SS58 format's description in Substrate.
    prefix: first < 64 ? first : ((first & 63) << 2) | (second >> 6) | ((second & 63) << 8),
    account: new Uint8Array(bytes.subarray(prefixBytes, end)),
  };
}

/** Of prefix and account. */
function checksum(body: Uint8Array): Buffer {
  return Buffer.from(blake2b(Buffer.concat([Buffer.from("SS58PRE"), body]))).subarray(0, CHECKSUM_BYTES);
}
