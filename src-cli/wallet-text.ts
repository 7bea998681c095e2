import type { ListedKey, ListedWallet } from "../src-protocol/wallet-ipc.ts";

/** What `tah wallet` prints for a person. */

export function walletsText(root: string, wallets: readonly ListedWallet[], inUse: string | null): string {
  if (wallets.length === 0)
    return `No wallets in ${root}. \`tah wallet create\` makes one; --wallets names another folder, such as ~/.bittensor/wallets.`;
  const lines = [root];
  for (const { name, coldkey, hotkeys } of wallets) {
    lines.push(`  ${name}`);
    if (coldkey === null) lines.push("    no coldkey: what a hotkey earns is paid to itself");
    else lines.push(`    coldkey   ${keyText(coldkey)}`);
    for (const hotkey of hotkeys)
      lines.push(
        `    hotkey    ${hotkey.name}  ${keyText(hotkey)}${hotkey.path === inUse ? "  ← in use" : ""}`,
      );
  }
  return lines.join("\n");
}

function keyText({ address, holds, problem }: ListedKey): string {
  if (problem !== null) return problem;
  const about = { secret: "", locked: "  (under a password)", public: "  (address only)" }[holds];
  return `${address ?? "address unknown until it is opened"}${about}`;
}

/** Shown once, on the terminal and not in a pipe's way. */
export function phraseText(phrase: string): string {
  const words = phrase.split(" ");
  const rows: string[] = [];
  for (let at = 0; at < words.length; at += 4)
    rows.push(
      `  ${words
        .slice(at, at + 4)
        .map((word, i) => `${String(at + i + 1).padStart(2)} ${word.padEnd(10)}`)
        .join(" ")
        .trimEnd()}`,
    );
  return [
    "The secret phrase. Write it on paper, now: whoever has it has the key, and nobody can give it to you again.",
    "",
    ...rows,
    "",
  ].join("\n");
}
