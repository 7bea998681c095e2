import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KEPT_KEYS_FILE, keptKeys } from "../src-protocol/keychain.ts";
import { Failure } from "../src-protocol/failure.ts";

/** Of a hotkey that the system's keychain keeps its owner knows no password, so none is asked for. @throws Failure `wallet-in-keychain` */
export function refuseKept(
  home: string,
  {
    root,
    wallet,
    hotkey,
  }: { readonly root: string; readonly wallet: string; readonly hotkey: string | null },
): void {
  if (hotkey === null) return;
  const path = join(root, wallet, "hotkeys", hotkey);
  if (!keptPaths(home).includes(path)) return;
  throw new Failure(
    "wallet-in-keychain",
    `${path} is locked, and this system's keychain keeps what opens it. While the Train at Home app runs, the Wallet screen saves a copy under a password; \`tah wallet keep open\` takes it out of the keychain, and then it is exported as any other.`,
  );
}

function keptPaths(home: string): string[] {
  try {
    const file: unknown = JSON.parse(readFileSync(join(home, KEPT_KEYS_FILE), "utf8"));
    return keptKeys.parse(file).keys.map(({ path }) => path);
  } catch {
    return [];
  }
}
