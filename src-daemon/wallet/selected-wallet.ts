import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";
import type { WalletPlace } from "./wallet-names.ts";

/** `<data folder>/wallet.json`: which hotkey this computer works with. Without it, one is made on first use. */
const selection = z.strictObject({
  root: z.string().min(1),
  wallet: z.string().min(1),
  hotkey: z.string().min(1),
});

export interface SelectedWallet extends WalletPlace {
  /** Named by the owner: it is not made anew when it is not there. */
  readonly isChosen: boolean;
}

/** As at a start; null: as it was. A wallet named alone means its default hotkey. */
export interface NamedHotkey {
  readonly wallet: string | null;
  readonly hotkey: string | null;
}

const FILE_NAME = "wallet.json";
const WALLETS_FOLDER = "wallets";
export const DEFAULT_NAMES = { wallet: "default", hotkey: "default" };

/** @throws Failure `wallet-selection-broken`: to work with another key than the chosen one would be worse */
export function selectedWallet(home: string): SelectedWallet {
  const path = join(home, FILE_NAME);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      return { root: join(home, WALLETS_FOLDER), ...DEFAULT_NAMES, isChosen: false };
    throw broken(path);
  }
  try {
    return { ...selection.parse(JSON.parse(text)), isChosen: true };
  } catch {
    throw broken(path);
  }
}

/** Where the hotkey that its owner names stands, among the wallets of the one that is chosen. */
export function namedWallet(home: string, { wallet, hotkey }: NamedHotkey): SelectedWallet {
  const chosen = selectedWallet(home);
  return {
    root: chosen.root,
    wallet: wallet ?? chosen.wallet,
    hotkey: hotkey ?? (wallet === null ? chosen.hotkey : DEFAULT_NAMES.hotkey),
    isChosen: true,
  };
}

export function selectWallet(home: string, place: WalletPlace): void {
  writePrivateFile(join(home, FILE_NAME), `${JSON.stringify(selection.parse(place))}\n`);
}

function broken(path: string): Failure {
  return new Failure(
    "wallet-selection-broken",
    `${path} does not say which hotkey to work with. Choose it again with \`tah wallet use WALLET HOTKEY\`, or remove the file for the one of this data folder.`,
  );
}
