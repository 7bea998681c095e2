import { join } from "node:path";
import type { Delegation, DelegationBody } from "../../src-protocol/delegation.ts";
import { delegationText } from "../../src-protocol/delegation.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import { createKeyFile, readKeyFile, removeTemporaryKeys } from "./wallet-folder.ts";
import { walletHotkey } from "./wallet-hotkey.ts";
import type { Hotkey, WalletHotkey } from "./wallet-hotkey.ts";
import { decodeKeyFile, decodePublicKeyFile, encodeKeyFiles } from "./wallet-key-file.ts";
import { newPhrase } from "./wallet-phrase.ts";

export type { Hotkey, WalletHotkey } from "./wallet-hotkey.ts";

/** Where a hotkey stands in Bittensor's own layout: `<root>/<wallet>/hotkeys/<hotkey>`. */
export interface WalletPlace {
  readonly root: string;
  readonly wallet: string;
  readonly hotkey: string;
}

/**
 * The hotkey of this wallet, made on first use. A file that exists is only ever read: whatever is
 * wrong with it is a `Failure` (`wallet-corrupt`, `wallet-encrypted`, `wallet-key-mismatch`,
 * `wallet-no-secret`, `wallet-unreadable`), and it stays as it is.
 */
export async function openOrCreateHotkey(place: WalletPlace): Promise<WalletHotkey> {
  const { folder, path } = locate(place);
  const found = await openHotkey(path, folder, false);
  if (found !== null) return found;
  const files = encodeKeyFiles(newPhrase());
  const created = await createKeyFile(path, folder, files.secret);
  // When another process was quicker, its key is the wallet's key.
  const hotkey = await openHotkey(path, folder, created);
  if (hotkey === null) {
    throw new Failure(
      "wallet-unreadable",
      `The key file ${path} vanished right after it was made. Check whether another program clears that folder.`,
    );
  }
  if (created) await createKeyFile(`${path}pub.txt`, folder, files.public);
  return hotkey;
}

/** Where the money goes: the wallet's coldkey when its public file is there, else the hotkey itself. */
export async function payoutAddress(
  place: Pick<WalletPlace, "root" | "wallet">,
  hotkey: Pick<Hotkey, "address">,
): Promise<Ss58Address> {
  const path = join(locate({ ...place, hotkey: "default" }).folder, "coldkeypub.txt");
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
  return { body, signature: hotkey.signText(delegationText(body)) };
}

async function openHotkey(path: string, folder: string, created: boolean): Promise<WalletHotkey | null> {
  const file = await readKeyFile(path, { secret: true });
  if (file === null) return null;
  const pair = decodeKeyFile(file.bytes, path);
  await removeTemporaryKeys(folder);
  return walletHotkey(pair, { path, created, warnings: file.warnings });
}

/** Names come from settings: they may name a file in the wallets' folder and nothing outside it. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

function locate({ root, wallet, hotkey }: WalletPlace): { folder: string; path: string } {
  for (const name of [wallet, hotkey]) {
    if (!NAME.test(name) || name.endsWith("pub.txt")) {
      throw new Failure(
        "wallet-bad-name",
        `"${name.slice(0, 80)}" cannot be the name of a wallet or hotkey. Use up to 64 letters, digits, "-", "_" and ".", not ending in "pub.txt".`,
      );
    }
  }
  const folder = join(root, wallet);
  return { folder, path: join(folder, "hotkeys", hotkey) };
}
