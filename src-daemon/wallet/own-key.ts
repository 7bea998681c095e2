import type { KeyAtRest } from "../../src-protocol/keychain.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { keepKey, keyAtRest } from "./key-at-rest.ts";
import type { KeptKeys } from "./kept-keys.ts";
import { namedWallet, selectWallet, selectedWallet } from "./selected-wallet.ts";
import type { NamedHotkey, SelectedWallet } from "./selected-wallet.ts";
import type { SignatureLog } from "./signature-log.ts";
import { loggedHotkey, openOrCreateHotkey, payoutAddress } from "./wallet.ts";
import type { Hotkey, PasswordSource } from "./wallet.ts";

interface Opened {
  readonly hotkey: Hotkey;
  readonly path: string;
  readonly payoutColdkey: Ss58Address;
  readonly warnings: readonly string[];
  readonly created: boolean;
}

/**
 * The hotkey that this computer works with on every network, and the address that it is paid to. It
 * changes when its owner says so, and not when a file does.
 */
export class OwnKey {
  readonly #home: string;
  readonly #signatures: SignatureLog;
  readonly #kept: KeptKeys;
  #opened: Opened;

  /**
   * The chosen hotkey of a data folder; made on first use where none was chosen. One that is `named` is the chosen
   * one from then on.
   *
   * @throws as `openOrCreateHotkey`, and then nothing changes
   */
  static async open(
    home: string,
    signatures: SignatureLog,
    password: PasswordSource,
    kept: KeptKeys,
    named: NamedHotkey | null = null,
  ): Promise<OwnKey> {
    const place = named === null ? selectedWallet(home) : namedWallet(home, named);
    const first = await opened(place, { signatures, password, kept });
    const { root, wallet, hotkey } = place;
    if (named !== null) selectWallet(home, { root, wallet, hotkey });
    return new OwnKey(home, signatures, kept, first);
  }

  private constructor(home: string, signatures: SignatureLog, kept: KeptKeys, first: Opened) {
    this.#home = home;
    this.#signatures = signatures;
    this.#kept = kept;
    this.#opened = first;
  }

  get hotkey(): Hotkey {
    return this.#opened.hotkey;
  }

  /** Of its file. */
  get path(): string {
    return this.#opened.path;
  }

  get payoutColdkey(): Ss58Address {
    return this.#opened.payoutColdkey;
  }

  /** Sentences for the owner, such as permissions that had to be tightened. */
  get warnings(): readonly string[] {
    return this.#opened.warnings;
  }

  /** Made just now: there was none. */
  get created(): boolean {
    return this.#opened.created;
  }

  /** How its file lies there, for its owner. */
  atRest(): Promise<KeyAtRest> {
    return keyAtRest(this.path, this.#kept);
  }

  /** Has the system's keychain keep its file, or nobody any more. @throws as `keepKey` */
  keep(how: "keychain" | "open"): Promise<void> {
    const { address } = this.hotkey;
    return keepKey(how, { path: this.path, address }, this.#kept);
  }

  /** What opens a key's file instead of a password; null: nothing does. @throws as `KeptKeys.passwordOf` */
  passwordOf(path: string): string | null {
    return this.#kept.passwordOf(path);
  }

  /** Whether it can be worked with; it is not used yet. @throws as `openOrCreateHotkey` */
  async tryOut(
    place: Pick<SelectedWallet, "root" | "wallet" | "hotkey">,
    password: string | null,
  ): Promise<void> {
    await openOrCreateHotkey({ ...place, isChosen: true }, () => Promise.resolve(password), this.#kept);
  }

  /** What was chosen counts from now on. @throws as `openOrCreateHotkey`, and then nothing changes */
  async reload(password: string | null): Promise<void> {
    const place = selectedWallet(this.#home);
    this.#opened = await opened(place, {
      signatures: this.#signatures,
      password: () => Promise.resolve(password),
      kept: this.#kept,
    });
  }

  /** The wallet's payout address alone, for the hotkey that is open. */
  async reloadPayout(): Promise<void> {
    const payoutColdkey = await payoutAddress(selectedWallet(this.#home), this.hotkey);
    this.#opened = { ...this.#opened, payoutColdkey };
  }
}

async function opened(
  place: SelectedWallet,
  {
    signatures,
    password,
    kept,
  }: { readonly signatures: SignatureLog; readonly password: PasswordSource; readonly kept: KeptKeys },
): Promise<Opened> {
  const own = await openOrCreateHotkey(place, password, kept);
  const { path, warnings, created } = own;
  const payoutColdkey = await payoutAddress(place, own);
  return { hotkey: loggedHotkey(own, signatures), path, payoutColdkey, warnings, created };
}
