/** `btauth/1`, the request signing of Bittensor's SDK 11: method and target are bound in. */
export const BTAUTH_VERSION = "1";

export const BTAUTH_HEADERS = {
  version: "x-bittensor-version",
  hotkey: "x-bittensor-hotkey",
  receiver: "x-bittensor-receiver",
  nonce: "x-bittensor-nonce",
  /** Absent: sr25519. */
  crypto: "x-bittensor-crypto",
  signature: "x-bittensor-signature",
} as const;

export interface BtauthRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Of the exact bytes. */
  readonly bodySha256: string;
  /** Unix nanoseconds. */
  readonly nonce: string;
  readonly hotkey: string;
  /** Empty: it is for whoever gets it. */
  readonly receiver: string;
}

/** The exact text the hotkey signs. */
export function btauthText({ method, target, bodySha256, nonce, hotkey, receiver }: BtauthRequest): string {
  const lines = ["btauth/1", "sr25519", method.toUpperCase(), target, bodySha256, nonce, hotkey];
  return [...lines, receiver === "" ? "-" : receiver].join("\n");
}
