import { dirname } from "node:path";
import type { KeyAtRest } from "../../src-protocol/keychain.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { KeptKeys } from "./kept-keys.ts";
import { lockedForm } from "./locked-form.ts";
import { readKeyFile, replaceKeyFile } from "./wallet-folder.ts";
import { decodeKeyFile } from "./wallet-key-file.ts";

/** How a hotkey's file lies there, said as it is: whoever reads an open one works and claims in its name. */
export async function keyAtRest(path: string, kept: KeptKeys): Promise<KeyAtRest> {
  const { missing } = kept;
  const file = await readKeyFile(path, { secret: true });
  const is = (how: KeyAtRest["how"], text: string): KeyAtRest => ({ how, text, missing });
  if (file === null)
    return is("open", `Its file ${path} is not there any more: it works until Train at Home ends.`);
  const isLocked = lockedForm(file.bytes) !== null;
  if (isLocked && kept.has(path))
    return is(
      "keychain",
      `It is locked in ${path}, and this system's keychain keeps what opens it. Copy it before you remove the app or the account (Wallet, Save a copy): without the keychain nobody can open it.`,
    );
  if (isLocked) return is("password", `It lies under a password in ${path}.`);
  const instead =
    missing === null
      ? "`tah wallet keep keychain` has this system's keychain protect it."
      : `No keychain protects it: ${missing}. \`tah wallet create\` with --hotkey and --password-file makes one under a password.`;
  return is(
    "open",
    `It lies open in ${path}: only the file's mode (0600, this account alone) keeps it from others, and nothing from other programs of this account. ${instead}`,
  );
}

/**
 * Has the keychain keep a hotkey's file, or nobody any more (before the app is removed, or for a service). It stays the
 * same key, and its file is replaced only by one that was opened again.
 *
 * @throws Failure `keychain-none`, `keychain-lost`, `wallet-encrypted` where it has a password of its own
 */
export async function keepKey(
  how: "keychain" | "open",
  { path, address }: { readonly path: string; readonly address: Ss58Address },
  kept: KeptKeys,
): Promise<void> {
  const file = await readKeyFile(path, { secret: true });
  if (file === null) throw new Failure("wallet-missing", `There is no key file ${path} any more.`);
  const unlocked = await kept.unlock({ bytes: file.bytes, path });
  const isKept = unlocked !== null;
  if (isKept === (how === "keychain")) return;
  const content = unlocked ?? file.bytes;
  // SECURITY: never another key than the one that is open.
  const check = (bytes: Uint8Array): void => {
    if (decodeKeyFile(bytes, path).address === address) return;
    throw new Failure(
      "wallet-key-mismatch",
      `${path} holds another key than the one that works. Nothing was changed.`,
    );
  };
  check(content);
  const folder = dirname(dirname(path));
  if (how === "keychain") {
    const locked = await kept.lock(path, content);
    await replaceKeyFile(path, folder, locked, async (bytes) =>
      check((await kept.unlock({ bytes, path })) ?? new Uint8Array()),
    );
  } else {
    await replaceKeyFile(path, folder, content, async (bytes) => check(bytes));
    kept.forget(path);
  }
  content.fill(0);
}
