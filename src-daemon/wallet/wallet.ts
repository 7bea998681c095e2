import { join } from "node:path";
import type { Delegation, DelegationBody } from "../../src-protocol/delegation.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { unlockKeyFile } from "./key-lock.ts";
import type { Patience } from "./key-lock.ts";
import type { KeptKeys } from "./kept-keys.ts";
import { lockedForm } from "./locked-form.ts";
import { createKeyFile, readKeyFile, removeTemporaryKeys } from "./wallet-folder.ts";
import { walletHotkey } from "./wallet-hotkey.ts";
import type { Hotkey, WalletHotkey } from "./wallet-hotkey.ts";
import { decodeKeyFile, decodePublicKeyFile, encodeKeyFiles } from "./wallet-key-file.ts";
import { locateHotkey } from "./wallet-names.ts";
import type { WalletPlace } from "./wallet-names.ts";
import { newPhrase } from "./wallet-phrase.ts";

export { loggedHotkey } from "./wallet-hotkey.ts";
export type { Hotkey, WalletHotkey } from "./wallet-hotkey.ts";

export type { WalletPlace } from "./wallet-names.ts";

/**
 * The hotkey of this wallet, made on first use unless its owner has chosen it by name. A file that exists is only ever read: whatever is
 * wrong with it is a `Failure` (`wallet-corrupt`, `wallet-encrypted`, `wallet-key-mismatch`,
 * `wallet-no-secret`, `wallet-unreadable`), and it stays as it is.
 */
export async function openOrCreateHotkey(
  place: WalletPlace & { readonly isChosen?: boolean },
  password: PasswordSource = noPassword,
  kept: KeptKeys | null = null,
  patience: Patience = {},
): Promise<WalletHotkey> {
  const { folder, path } = locateHotkey(place);
  const found = await openHotkey(path, folder, { password, kept, patience });
  if (found !== null) return found;
  if (place.isChosen === true)
    throw new Failure(
      "wallet-missing",
      `The hotkey that was chosen, ${path}, is not there (a disk that is not connected?). No other was made in its place: bring it back, or choose one with \`tah wallet use\`.`,
    );
  const files = encodeKeyFiles(newPhrase());
  const secret = new TextEncoder().encode(files.secret);
  // The keychain keeps it from its first moment on, where there is one.
  const content = kept === null || kept.missing !== null ? secret : await kept.lock(path, secret);
  const created = await createKeyFile(path, folder, content);
  secret.fill(0);
  // When another process was quicker, its key is the wallet's key.
  const hotkey = await openHotkey(path, folder, { password: noPassword, kept, patience }, created);
  if (hotkey === null) {
    throw new Failure(
      "wallet-unreadable",
      `The key file ${path} vanished right after it was made. Check whether another program clears that folder.`,
    );
  }
  if (created) await createKeyFile(`${path}pub.txt`, folder, files.public);
  return hotkey;
}

/** The hotkey in a file of before, where it is still the same and needs nobody's password; null: it is not. */
export async function openFormerHotkey(
  path: string,
  address: Ss58Address,
  kept: KeptKeys | null = null,
): Promise<WalletHotkey | null> {
  try {
    const file = await readKeyFile(path, { secret: true });
    if (file === null) return null;
    const bytes = (await kept?.unlock({ bytes: file.bytes, path })) ?? file.bytes;
    if (lockedForm(bytes) !== null) return null;
    const pair = decodeKeyFile(bytes, path);
    bytes.fill(0);
    return pair.address === address ? walletHotkey(pair, { path, created: false, warnings: [] }) : null;
  } catch {
    return null;
  }
}

/** Where the money goes: the wallet's coldkey when its public file is there, else the hotkey itself. */
export async function payoutAddress(
  place: Pick<WalletPlace, "root" | "wallet">,
  hotkey: Pick<Hotkey, "address">,
): Promise<Ss58Address> {
  const path = join(locateHotkey({ ...place, hotkey: "default" }).folder, "coldkeypub.txt");
  const file = await readKeyFile(path, { secret: false });
  return file === null ? hotkey.address : decodePublicKeyFile(file.bytes, path);
}

const DAY_MS = 86_400_000;
/**
 * Computers' clocks differ, the worst by a wrong time zone: a delegation made now has to hold where it
 * is still earlier, so that work goes on while the owner sets the clock.
 */
const CLOCK_TOLERANCE_MS = 20 * 3_600_000;

/** Lets a worker's session key act for the hotkey on one network; `now` is Unix milliseconds. */
export function delegate(
  hotkey: Hotkey,
  {
    network,
    sessionKey,
    now,
    days = 7,
  }: { network: string; sessionKey: SessionKey; now: number; days?: number },
): Delegation {
  const body: DelegationBody = {
    network,
    hotkey: hotkey.address,
    sessionKey,
    notBefore: Math.max(0, Math.floor(now) - CLOCK_TOLERANCE_MS),
    notAfter: Math.floor(now + days * DAY_MS),
  };
  return { body, signature: hotkey.sign({ kind: "delegation", body }) };
}

/** Asked only when the file is locked; null: there is nobody to ask. */
export type PasswordSource = (path: string) => Promise<string | null>;

const noPassword: PasswordSource = () => Promise.resolve(null);

async function openHotkey(
  path: string,
  folder: string,
  {
    password,
    kept,
    patience,
  }: { readonly password: PasswordSource; readonly kept: KeptKeys | null; readonly patience: Patience },
  created = false,
): Promise<WalletHotkey | null> {
  const file = await readKeyFile(path, { secret: true });
  if (file === null) return null;
  const read = { bytes: file.bytes, path };
  let bytes = (await kept?.unlock(read)) ?? file.bytes;
  if (lockedForm(bytes) !== null) {
    const given = await password(path);
    if (given !== null) bytes = await unlockKeyFile(read, given, patience);
  }
  const pair = decodeKeyFile(bytes, path);
  file.bytes.fill(0);
  bytes.fill(0);
  await removeTemporaryKeys(folder);
  return walletHotkey(pair, { path, created, warnings: file.warnings });
}
