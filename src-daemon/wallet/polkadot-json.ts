import { createRequire } from "node:module";
import type * as PolkadotKeyring from "@polkadot/keyring";
import type * as UtilCrypto from "@polkadot/util-crypto";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { keyPairFromSecret } from "./wallet-key-file.ts";
import type { KeyPair } from "./wallet-key-file.ts";

/**
 * An account as polkadot-js and browser wallets export it: PKCS #8 in XSalsa20-Poly1305, the key by
 * scrypt. `jsonDecrypt` takes scrypt's figures from its own list only, so a file cannot ask for all memory.
 */
const exported = z.looseObject({
  encoded: z.string().max(4096),
  encoding: z.looseObject({ content: z.tuple([z.literal("pkcs8"), z.string()]) }),
  address: z.string().optional(),
});

const HEADER = Buffer.from("3053020101300506032b657004220420", "hex");
const DIVIDER = Buffer.from("a123032100", "hex");
const SECRET_BYTES = 64;

export function isPolkadotJson(json: unknown): boolean {
  return exported.safeParse(json).success;
}

/** @throws Failure `wallet-key-type`, `wallet-wrong-password`, `wallet-corrupt`, `wallet-key-mismatch` */
export function decodePolkadotJson(json: unknown, password: string, path: string): KeyPair {
  const file = exported.parse(json);
  const type = file.encoding.content[1];
  if (type !== "sr25519")
    throw new Failure(
      "wallet-key-type",
      `${path} holds a key of type ${type.slice(0, 20)}, and networks know their members by sr25519 keys. Export an sr25519 account.`,
    );
  const plain = decrypted(file, password, path);
  const secret = plain.subarray(HEADER.length, HEADER.length + SECRET_BYTES);
  const middle = HEADER.length + SECRET_BYTES;
  const divider = plain.subarray(middle, middle + DIVIDER.length);
  const named = plain.subarray(middle + DIVIDER.length);
  if (!HEADER.equals(plain.subarray(0, HEADER.length)) || !DIVIDER.equals(divider))
    throw new Failure("wallet-corrupt", `${path} opens, but it holds no account in a form that is known.`);
  const pair = keyPairFromSecret(Uint8Array.from(secret));
  const isSame = Buffer.from(pair.publicKey).equals(named);
  plain.fill(0);
  if (isSame) return pair;
  throw new Failure(
    "wallet-key-mismatch",
    `${path} names another key than its secret belongs to, so it is not used. Export the account again.`,
  );
}

function decrypted(file: z.infer<typeof exported>, password: string, path: string): Buffer {
  // On first use, and on a thread that ends: the package takes 30 MB.
  const { jsonDecrypt } = createRequire(import.meta.url)("@polkadot/util-crypto") as typeof UtilCrypto;
  try {
    return Buffer.from(jsonDecrypt(file as unknown as Parameters<typeof jsonDecrypt>[0], password));
  } catch {
    throw new Failure(
      "wallet-wrong-password",
      `The password does not open ${path}. Check capitals and keyboard, and try again.`,
    );
  }
}

/** The account as polkadot-js takes it in, under this password. */
export function encodePolkadotJson(pair: KeyPair, password: string, name: string): string {
  const need = createRequire(import.meta.url);
  const { createPair } = need("@polkadot/keyring") as typeof PolkadotKeyring;
  const { secretKey, publicKey, address } = pair;
  const account = createPair({ toSS58: () => address, type: "sr25519" }, { secretKey, publicKey }, { name });
  return JSON.stringify(account.toJson(password));
}
