import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { SafeStorage } from "electron";
import type { HandedOver } from "../src-protocol/keychain.ts";

export interface KeychainPorts {
  readonly safeStorage: Pick<
    SafeStorage,
    "isAsyncEncryptionAvailable" | "getSelectedStorageBackend" | "encryptStringAsync" | "decryptStringAsync"
  >;
  readonly platform: NodeJS.Platform;
  /** Of the sealed passphrase, in the app's own folder. */
  readonly file: string;
  /** `setTimeout`, or a test's clock. Returns how to cancel. */
  readonly after: (ms: number, action: () => void) => () => void;
}

const PASSPHRASE_BYTES = 32;
/** A keyring that is locked asks its owner, who may be away: the daemon has to start one day. */
const ASKED_FOR_MS = 120_000;
/** What Chromium writes before bytes that it has encrypted with a password that everybody knows (Linux). */
const NOT_SEALED = Buffer.from("v10");
const PLAIN_TEXT: HandedOver = { keychain: "none", why: "plain-text" };
const UNREADABLE: HandedOver = { keychain: "none", why: "unreadable" };

/**
 * The passphrase of the hotkey, sealed by the system's keychain (macOS), for this account (Windows), or by the desktop's
 * keyring (Linux). The shell makes it once, keeps the sealed bytes in a file, and never writes it down open.
 */
export class Keychain {
  readonly #ports: KeychainPorts;

  constructor(ports: KeychainPorts) {
    this.#ports = ports;
  }

  /** For a daemon that starts; never rejects. What is sealed already is never replaced: a key may be locked with it. */
  async handOver(): Promise<HandedOver> {
    const late = Promise.withResolvers<HandedOver>();
    const stopWaiting = this.#ports.after(ASKED_FOR_MS, () => late.resolve(UNREADABLE));
    try {
      return await Promise.race([this.#asked(), late.promise]);
    } catch {
      return UNREADABLE;
    } finally {
      stopWaiting();
    }
  }

  async #asked(): Promise<HandedOver> {
    const { safeStorage, platform, file } = this.#ports;
    // SECURITY: without a keyring Chromium encrypts with a password that everybody knows, and says so.
    if (platform === "linux" && safeStorage.getSelectedStorageBackend() === "basic_text") return PLAIN_TEXT;
    if (!(await safeStorage.isAsyncEncryptionAvailable())) return { keychain: "none", why: "unavailable" };
    const sealed = read(file);
    if (sealed === null) return this.#made();
    const { result } = await safeStorage.decryptStringAsync(sealed);
    return { keychain: "here", passphrase: result };
  }

  async #made(): Promise<HandedOver> {
    const { safeStorage, platform, file } = this.#ports;
    const passphrase = randomBytes(PASSPHRASE_BYTES).toString("base64url");
    const sealed = await safeStorage.encryptStringAsync(passphrase);
    // SECURITY: and where the keyring is named and does not run, it says nothing.
    if (platform === "linux" && sealed.subarray(0, NOT_SEALED.length).equals(NOT_SEALED)) return PLAIN_TEXT;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, sealed, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    return { keychain: "here", passphrase };
  }
}

/** Null: there is none yet. Throws when it cannot be read. */
function read(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
