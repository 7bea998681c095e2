import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";

/** Where a hotkey stands in Bittensor's own layout: `<root>/<wallet>/hotkeys/<hotkey>`. */
export interface WalletPlace {
  readonly root: string;
  readonly wallet: string;
  readonly hotkey: string;
}

/** The public half of a key beside it: `default` and `defaultpub.txt`, `coldkey` and `coldkeypub.txt`. */
export const PUBLIC_ENDING = "pub.txt";

/** Names come from settings: they may name a file in the wallets' folder and nothing outside it. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/** @throws Failure `wallet-bad-name` */
export function locateHotkey({ root, wallet, hotkey }: WalletPlace): { folder: string; path: string } {
  const { folder } = locateColdkey({ root, wallet });
  return { folder, path: join(folder, "hotkeys", named(hotkey)) };
}

/** @throws Failure `wallet-bad-name` */
export function locateColdkey({ root, wallet }: Pick<WalletPlace, "root" | "wallet">): {
  folder: string;
  path: string;
} {
  const folder = join(root, named(wallet));
  return { folder, path: join(folder, "coldkey") };
}

/** Whether a file in a folder of hotkeys may be one: what other programs leave there is not. */
export function isHotkeyName(file: string): boolean {
  return NAME.test(file) && !file.endsWith(PUBLIC_ENDING) && !/\.(lock|md|json|tmp|bak)$/.test(file);
}

function named(name: string): string {
  if (NAME.test(name) && !name.endsWith(PUBLIC_ENDING)) return name;
  throw new Failure(
    "wallet-bad-name",
    `"${name.slice(0, 80)}" cannot be the name of a wallet or hotkey. Use up to 64 letters, digits, "-", "_" and ".", not ending in "pub.txt".`,
  );
}
