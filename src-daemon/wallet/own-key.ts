import type { Ss58Address } from "../../src-protocol/keys.ts";
import { selectedWallet } from "./selected-wallet.ts";
import type { SelectedWallet } from "./selected-wallet.ts";
import type { SignatureLog } from "./signature-log.ts";
import { loggedHotkey, openOrCreateHotkey, payoutAddress } from "./wallet.ts";
import type { Hotkey, PasswordSource } from "./wallet.ts";

interface Opened {
  readonly hotkey: Hotkey;
  readonly path: string;
  readonly payoutColdkey: Ss58Address;
  readonly warnings: readonly string[];
}

/**
 * The hotkey that this computer works with on every network, and the address that it is paid to. It
 * changes when its owner says so, and not when a file does.
 */
export class OwnKey {
  readonly #home: string;
  readonly #signatures: SignatureLog;
  #opened: Opened;

  /** The chosen hotkey of a data folder; made on first use where none was chosen. @throws as `openOrCreateHotkey` */
  static async open(home: string, signatures: SignatureLog, password: PasswordSource): Promise<OwnKey> {
    return new OwnKey(home, signatures, await opened(selectedWallet(home), signatures, password));
  }

  private constructor(home: string, signatures: SignatureLog, first: Opened) {
    this.#home = home;
    this.#signatures = signatures;
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

  /** Whether it can be worked with; it is not used yet. @throws as `openOrCreateHotkey` */
  async tryOut(
    place: Pick<SelectedWallet, "root" | "wallet" | "hotkey">,
    password: string | null,
  ): Promise<void> {
    await openOrCreateHotkey({ ...place, isChosen: true }, () => Promise.resolve(password));
  }

  /** What was chosen counts from now on. @throws as `openOrCreateHotkey`, and then nothing changes */
  async reload(password: string | null): Promise<void> {
    const place = selectedWallet(this.#home);
    this.#opened = await opened(place, this.#signatures, () => Promise.resolve(password));
  }

  /** The wallet's payout address alone, for the hotkey that is open. */
  async reloadPayout(): Promise<void> {
    const payoutColdkey = await payoutAddress(selectedWallet(this.#home), this.hotkey);
    this.#opened = { ...this.#opened, payoutColdkey };
  }
}

async function opened(
  place: SelectedWallet,
  signatures: SignatureLog,
  password: PasswordSource,
): Promise<Opened> {
  const own = await openOrCreateHotkey(place, password);
  const { path, warnings } = own;
  const payoutColdkey = await payoutAddress(place, own);
  return { hotkey: loggedHotkey(own, signatures), path, payoutColdkey, warnings };
}
