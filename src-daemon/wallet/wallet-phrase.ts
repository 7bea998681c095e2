import { createHash, pbkdf2Sync, randomBytes } from "node:crypto";
// The word list alone: the package's entry point takes 30 MB or more of memory that a daemon at rest lacks.
import english from "@polkadot/util-crypto/cjs/mnemonic/wordlists/en";

/**
 * Secret phrases as Bittensor uses them: BIP-39 words, but the key comes from the words' entropy
 * (substrate-bip39), not from BIP-39's seed.
 */
const WORD_BITS = 11;
const words: readonly string[] = wordList(english);
const positions = new Map(words.map((word, position) => [word, position]));

/** Fresh words: 12, 15, 18, 21 or 24. */
export function newPhrase(count = 12): string {
  return phraseOf(randomBytes((count / 3) * 4));
}

/** The words of 16, 20, 24, 28 or 32 bytes of entropy. */
export function phraseOf(entropy: Uint8Array): string {
  const bits = bitsOf(entropy) + checksumOf(entropy);
  const phrase: string[] = [];
  for (let at = 0; at < bits.length; at += WORD_BITS) {
    phrase.push(words[Number.parseInt(bits.slice(at, at + WORD_BITS), 2)] ?? "");
  }
  return phrase.join(" ");
}

/** The 32-byte mini secret a phrase stands for; null when a word or the checksum is wrong. */
export function phraseToSeed(phrase: string): Uint8Array | null {
  const given = phrase.normalize("NFKD").trim().split(/\s+/);
  if (given.length < 12 || given.length > 24 || given.length % 3 !== 0) return null;
  let bits = "";
  for (const word of given) {
    const position = positions.get(word);
    if (position === undefined) return null;
    bits += position.toString(2).padStart(WORD_BITS, "0");
  }
  const entropyBits = (bits.length * 32) / 33;
  const entropy = Uint8Array.from({ length: entropyBits / 8 }, (_, index) =>
    Number.parseInt(bits.slice(index * 8, index * 8 + 8), 2),
  );
  if (bits.slice(entropyBits) !== checksumOf(entropy)) return null;
  return new Uint8Array(pbkdf2Sync(entropy, "mnemonic", 2048, 64, "sha512").subarray(0, 32));
}

function checksumOf(entropy: Uint8Array): string {
  return bitsOf(createHash("sha256").update(entropy).digest()).slice(0, entropy.length / 4);
}

function bitsOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
}

/** The file is CommonJS: Node hands over its `exports`, bundlers hand over the list itself. */
function wordList(imported: unknown): readonly string[] {
  const list: unknown = isExports(imported) ? imported.default : imported;
  if (!Array.isArray(list) || list.length !== 2048) throw new Error("the BIP-39 word list is not 2048 words");
  return list.map(String);
}

function isExports(value: unknown): value is { default: unknown } {
  return typeof value === "object" && value !== null && "default" in value;
}
