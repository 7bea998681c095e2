import { blake2b } from "@noble/hashes/blake2.js";
import { ss58Address } from "./keys.ts";
import type { Ss58Address } from "./keys.ts";

/** SS58 of a 32-byte account, prefix 42: `base58(42 | account | first two bytes of the checksum)`. */
const PREFIX = 42;
const ACCOUNT_BYTES = 32;
const CHECKSUM_BYTES = 2;
const TOTAL_BYTES = 1 + ACCOUNT_BYTES + CHECKSUM_BYTES;
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function encodeSs58(account: Uint8Array): Ss58Address {
  if (account.length !== ACCOUNT_BYTES) {
    throw new TypeError(`an account has ${ACCOUNT_BYTES} bytes, not ${account.length}`);
  }
  const bytes = Buffer.alloc(TOTAL_BYTES, PREFIX);
  bytes.set(account, 1);
  bytes.set(checksum(bytes), 1 + ACCOUNT_BYTES);
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
  let number = 0n;
  for (const letter of address) number = number * 58n + BigInt(ALPHABET.indexOf(letter));
  const hex = number.toString(16).padStart(TOTAL_BYTES * 2, "0");
  const bytes = Buffer.from(hex, "hex");
  if (bytes.length !== TOTAL_BYTES || bytes[0] !== PREFIX) return null;
  const expected = checksum(bytes);
  if (!expected.equals(bytes.subarray(1 + ACCOUNT_BYTES))) return null;
  return new Uint8Array(bytes.subarray(1, 1 + ACCOUNT_BYTES));
}

function checksum(bytes: Buffer): Buffer {
  const preimage = Buffer.concat([Buffer.from("SS58PRE"), bytes.subarray(0, 1 + ACCOUNT_BYTES)]);
  return Buffer.from(blake2b(preimage)).subarray(0, CHECKSUM_BYTES);
}
