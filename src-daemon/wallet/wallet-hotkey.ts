import { inspect } from "node:util";
import { sign } from "@scure/sr25519";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { KeyPair } from "./wallet-key-file.ts";

/** What the rest of the daemon needs of a hotkey. */
export interface Hotkey {
  readonly address: Ss58Address;
  /** 0x-hex sr25519 signature over the UTF-8 text, context `substrate`. Differs each time. */
  signText(text: string): string;
}

/** A hotkey that was read from a wallet. */
export interface WalletHotkey extends Hotkey {
  readonly path: string;
  /** Made just now: there was none. */
  readonly created: boolean;
  /** Sentences for the owner, such as permissions that had to be tightened. */
  readonly warnings: readonly string[];
}

/**
 * SECURITY: the secret stands in a private field, which no log, `JSON.stringify`, `util.inspect`,
 * structured clone or IPC message can reach. There is no getter for it.
 */
class SecretHotkey implements WalletHotkey {
  readonly address: Ss58Address;
  readonly path: string;
  readonly created: boolean;
  readonly warnings: readonly string[];
  readonly #secretKey: Uint8Array;

  constructor(pair: KeyPair, about: Pick<WalletHotkey, "path" | "created" | "warnings">) {
    this.address = pair.address;
    this.path = about.path;
    this.created = about.created;
    this.warnings = about.warnings;
    this.#secretKey = pair.secretKey;
    Object.freeze(this);
  }

  signText(text: string): string {
    const signature = sign(this.#secretKey, new TextEncoder().encode(text));
    return `0x${Buffer.from(signature).toString("hex")}`;
  }

  toJSON(): { address: Ss58Address } {
    return { address: this.address };
  }

  [inspect.custom](): string {
    return `Hotkey(${this.address})`;
  }
}

export function walletHotkey(
  pair: KeyPair,
  about: Pick<WalletHotkey, "path" | "created" | "warnings">,
): WalletHotkey {
  return new SecretHotkey(pair, about);
}
