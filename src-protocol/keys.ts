import { z } from "zod";

const hex = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `${bytes} bytes of lower-case hex`);

/** SHA-256 of some bytes, 64 lower-case hex digits. */
export const sha256Hex = hex(32);

/** The ed25519 public key a worker makes at start; it is also the node's id while it runs. */
export const sessionKey = hex(32).brand<"SessionKey">();
export type SessionKey = z.infer<typeof sessionKey>;

/** An ed25519 signature. */
export const ed25519Signature = hex(64);

/** An sr25519 signature, 0x-prefixed as Bittensor's requests carry it; `btcli wallet sign` prints it bare. */
export const sr25519Signature = z.string().regex(/^0x[0-9a-f]{128}$/, "0x and 64 bytes of hex");

/** An account address in SS58 (prefix 42). The checksum is verified where signatures are. */
export const ss58Address = z
  .string()
  .regex(/^5[1-9A-HJ-NP-Za-km-z]{46,47}$/, "an SS58 address with prefix 42")
  .brand<"Ss58">();
export type Ss58Address = z.infer<typeof ss58Address>;
