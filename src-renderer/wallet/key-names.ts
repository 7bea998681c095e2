import { say } from "../../src-protocol/say.ts";
import type { ListedWallet } from "../../src-protocol/wallet-ipc.ts";

/** The wallet and name of the hotkey whose file has this path; null: it is in another folder. */
export function keyAt(
  wallets: readonly ListedWallet[],
  path: string,
): { wallet: string; hotkey: string } | null {
  for (const { name, hotkeys } of wallets) {
    const found = hotkeys.find((key) => key.path === path);
    if (found !== undefined) return { wallet: name, hotkey: found.name };
  }
  return null;
}

/** A wallet's name that is not taken: `mine`, else `mine-2` and so on. */
export function freeName(wallets: readonly ListedWallet[], wanted: string): string {
  const taken = new Set(wallets.map(({ name }) => name));
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** Which of a phrase's words are asked for, counted from 0, so that it was written down and not only looked at. */
export function askedWords(phrase: string): readonly number[] {
  return [2, phrase.split(" ").length - 2];
}

/** What is wrong with a password and its repetition, as a sentence; null: nothing. */
export function passwordProblem(password: string, again: string): string | null {
  if (password === "") return say("Choose a password.");
  return password === again ? null : say("The two are not the same.");
}
