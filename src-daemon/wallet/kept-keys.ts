import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { KEPT_KEYS_FILE, NO_KEYCHAIN, keptKeys } from "../../src-protocol/keychain.ts";
import type { HandedOver, NoKeychain } from "../../src-protocol/keychain.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";
import { lockedForm } from "./locked-form.ts";
import { deriveFileKey, lockKeyFile, unlockKeyFile } from "./key-lock.ts";
import type { Patience } from "./key-lock.ts";

type Kept = z.infer<typeof keptKeys>["keys"][number];

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Key files that are locked with the passphrase of the system's keychain: in Bittensor's own form, which takes seconds
 * and half a gigabyte to try a password. What the passphrase comes to is kept too, locked with the passphrase, which is
 * as hard to guess as a key: so a start takes no longer.
 */
export class KeptKeys {
  readonly #path: string;
  /** SECURITY: in a private field, which no log, inspection or message can reach. */
  readonly #passphrase: string | null;
  readonly #why: NoKeychain;
  readonly #patience: Patience;

  /** @param handed by who started the daemon */
  constructor(home: string, handed: HandedOver, patience: Patience = {}) {
    this.#patience = patience;
    this.#path = join(home, KEPT_KEYS_FILE);
    this.#passphrase = handed.keychain === "here" ? handed.passphrase : null;
    this.#why = handed.keychain === "here" ? "no-app" : handed.why;
  }

  /** A sentence's end that says why no key can be kept; null: one can. */
  get missing(): string | null {
    return this.#passphrase === null ? NO_KEYCHAIN[this.#why] : null;
  }

  /** Whether this file was locked with a passphrase of the keychain. */
  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** What opens it as a password would; null: it is none of the keychain's. @throws as `unlock` */
  passwordOf(path: string): string | null {
    const kept = this.#find(path);
    return kept === undefined ? null : this.#passphraseOf(kept);
  }

  /**
   * The content, locked; and noted before there is such a file: of one that nobody knows the password of, nothing is
   * left. @throws Failure `keychain-none`, of memory or the disk
   */
  async lock(path: string, content: Uint8Array): Promise<Uint8Array> {
    const passphrase = this.#passphrase;
    if (passphrase === null)
      throw new Failure(
        "keychain-none",
        `No keychain can keep the key: ${this.missing ?? ""}. Nothing was changed.`,
      );
    const key = await this.#derived(passphrase);
    const locked = await lockKeyFile(content, key);
    const kept: Kept = { path, id: idOf(passphrase), derived: sealed(key, passphrase) };
    key.fill(0);
    this.#write([...this.#all().filter((other) => other.path !== path), kept]);
    return locked;
  }

  /**
   * Null: the file is none of the keychain's, or another one was put in its place since.
   *
   * @throws Failure `keychain-needed`, `keychain-lost`, and as `unlockKeyFile`; the file stays as it is
   */
  async unlock(file: { readonly bytes: Uint8Array; readonly path: string }): Promise<Uint8Array | null> {
    const kept = this.#find(file.path);
    if (kept === undefined || lockedForm(file.bytes) === null) return null;
    const passphrase = this.#passphraseOf(kept);
    const key = opened(kept.derived, passphrase) ?? (await deriveFileKey(passphrase, this.#patience));
    try {
      return await unlockKeyFile(file, key);
    } catch (error) {
      if (error instanceof Failure && error.code === "wallet-wrong-password") return null;
      throw error;
    } finally {
      key.fill(0);
    }
  }

  /** It stands open from now on. */
  forget(path: string): void {
    if (this.has(path)) this.#write(this.#all().filter((other) => other.path !== path));
  }

  #passphraseOf({ path, id }: Kept): string {
    const passphrase = this.#passphrase;
    if (passphrase !== null && idOf(passphrase) === id) return passphrase;
    if (passphrase !== null || this.#why === "unreadable")
      throw new Failure(
        "keychain-lost",
        `The hotkey ${path} is locked with a passphrase that this system's keychain kept and does not give back any more (another account, a keychain that was reset, or a copy of the data folder from another computer). The file was left untouched: bring the keychain back, or take the key in again from its phrase or its copy with \`tah wallet import\`, and choose it with \`tah wallet use\`.`,
      );
    throw new Failure(
      "keychain-needed",
      `The hotkey ${path} is locked with a passphrase of this system's keychain, and ${NO_KEYCHAIN[this.#why]}. Open the Train at Home app. To do without it from then on, say \`tah wallet keep open\` while the app runs.`,
    );
  }

  /** What was derived before is taken: the passphrase stays the same for all keys. */
  async #derived(passphrase: string): Promise<Uint8Array> {
    const known = this.#all().find(({ id }) => id === idOf(passphrase));
    return (
      (known === undefined ? null : opened(known.derived, passphrase)) ??
      deriveFileKey(passphrase, this.#patience)
    );
  }

  #find(path: string): Kept | undefined {
    return this.#all().find((kept) => kept.path === path);
  }

  /** @throws Failure `keychain-lost`: without it nobody could say which password a file has */
  #all(): Kept[] {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw damaged(this.#path);
    }
    try {
      return keptKeys.parse(JSON.parse(text)).keys;
    } catch {
      throw damaged(this.#path);
    }
  }

  #write(keys: readonly Kept[]): void {
    writePrivateFile(this.#path, `${JSON.stringify({ keys })}\n`);
  }
}

/** Says which passphrase it is, and nothing of it: it has 256 random bits. */
function idOf(passphrase: string): string {
  return sha256(`train-at-home keychain passphrase\n${passphrase}`).slice(0, 32);
}

function wrappingKey(passphrase: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", passphrase, "", "train-at-home keychain key", 32));
}

function sealed(key: Uint8Array, passphrase: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, wrappingKey(passphrase), nonce);
  const text = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64");
}

/** Null: it is not what was written. */
function opened(text: string, passphrase: string): Uint8Array | null {
  const bytes = Buffer.from(text, "base64");
  try {
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const cipher = createDecipheriv(CIPHER, wrappingKey(passphrase), nonce);
    cipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([cipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), cipher.final()]);
  } catch {
    return null;
  }
}

function damaged(path: string): Failure {
  return new Failure(
    "keychain-lost",
    `${path}, which says what keys are locked with, cannot be read. It was left untouched: restore it from a backup, or move it away if no key of this computer is kept in the keychain.`,
  );
}
