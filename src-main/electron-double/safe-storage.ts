import { randomBytes } from "node:crypto";
import { needReady } from "./world.ts";

type Modelled =
  | "isAsyncEncryptionAvailable"
  | "getSelectedStorageBackend"
  | "encryptStringAsync"
  | "decryptStringAsync";

/**
 * `safeStorage`: a keychain that knows what it has sealed, and opens nothing else. Sealed bytes say nothing of
 * what is in them; before them stands how Chromium on Linux has encrypted them.
 */
export class SafeStorageDouble implements Pick<Electron.SafeStorage, Modelled> {
  /** Of Linux alone. */
  backend: ReturnType<Electron.SafeStorage["getSelectedStorageBackend"]> = "gnome_libsecret";
  available = true;
  /** The keyring runs; where it does not, Chromium uses a password that everybody knows. */
  running = true;
  #sealed = new Map<string, string>();

  async isAsyncEncryptionAvailable(): Promise<boolean> {
    needReady("safeStorage");
    return this.available;
  }

  getSelectedStorageBackend(): ReturnType<Electron.SafeStorage["getSelectedStorageBackend"]> {
    return this.backend;
  }

  async encryptStringAsync(text: string): Promise<Buffer> {
    needReady("safeStorage");
    if (!this.available) throw new Error("safeStorage is not available");
    const sealed = Buffer.concat([Buffer.from(this.running ? "v11" : "v10"), randomBytes(48)]);
    this.#sealed.set(sealed.toString("hex"), text);
    return sealed;
  }

  async decryptStringAsync(sealed: Buffer): Promise<Electron.DecryptStringAsyncReturnValue> {
    needReady("safeStorage");
    const result = this.available ? this.#sealed.get(sealed.toString("hex")) : undefined;
    if (result === undefined) throw new Error("Error while decrypting the ciphertext.");
    return { result, shouldReEncrypt: false };
  }

  // What happens to a keychain, for tests to bring about.

  /** Reset, or of another account: what was sealed is gone. */
  lose(): void {
    this.#sealed = new Map();
  }

  /** It waits for its owner's password, and nobody is there. */
  hang(): void {
    this.isAsyncEncryptionAvailable = () => new Promise(() => {});
  }
}
