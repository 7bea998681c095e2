import { lstat, readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { signerOf } from "../../src-protocol/chain-action.ts";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { BITTENSOR_PREFIX, decodeAnySs58, encodeSs58 } from "../../src-protocol/ss58.ts";
import type {
  KeySource,
  ListedKey,
  ListedWallet,
  WalletAnswer,
  WalletRequest,
} from "../../src-protocol/wallet-ipc.ts";
import { lockKeyFile, openPolkadotJson, toPolkadotJson, unlockKeyFile } from "./key-lock.ts";
import type { Patience } from "./key-lock.ts";
import { lockedForm } from "./locked-form.ts";
import { isPolkadotJson } from "./polkadot-json.ts";
import { parseConsentText } from "../../src-protocol/payout-consent.ts";
import { SignatureLog } from "./signature-log.ts";
import { SpendLimits } from "./spend-limits.ts";
import { chainSigner, loggedHotkey, walletHotkey } from "./wallet-hotkey.ts";
import { selectedWallet, selectWallet } from "./selected-wallet.ts";
import { createKeyFile, readKeyFile } from "./wallet-folder.ts";
import {
  badPhrase,
  decodeKeyFile,
  decodePublicKeyFile,
  encodeKey,
  encodePublicKeyFile,
  phraseInKeyFile,
} from "./wallet-key-file.ts";
import type { KeyPair, KeySecret } from "./wallet-key-file.ts";
import { isHotkeyName, locateColdkey, locateHotkey, PUBLIC_ENDING } from "./wallet-names.ts";
import { newPhrase, phraseToSeed } from "./wallet-phrase.ts";

/**
 * Wallets in Bittensor's layout: listed, made, taken in, given out. A file that exists is never
 * replaced.
 *
 * @throws Failure of names, files, phrases and passwords
 */
export async function answerWallet(request: WalletRequest, patience: Patience = {}): Promise<WalletAnswer> {
  switch (request.type) {
    case "list":
      return {
        type: "list",
        root: request.root,
        wallets: await listWallets(request.root),
        inUse: locateHotkey(selectedWallet(request.home)).path,
      };
    case "create": {
      const phrase = newPhrase(request.words);
      const key = await writeKey(request, { type: "phrase", phrase }, request.password, patience);
      return { type: "key", key, phrase };
    }
    case "import": {
      const secret = await secretFrom(request.from, patience);
      const key = await writeKey(request, secret, request.password, patience);
      return { type: "key", key, phrase: null };
    }
    case "export":
      return exportKey(request, patience);
    case "payout":
      return setPayout(request);
    case "consent":
      return signConsent(request, patience);
    case "act": {
      const { actOnChain } = await import("./wallet-act.ts");
      return actOnChain(request, chainSigner(await openSigner(request, patience)));
    }
    case "limit": {
      const limits = new SpendLimits(request.home, Date.now);
      const { asset } = request;
      limits.setPerDay(asset, BigInt(request.raoPerDay));
      return { type: "limited", asset, raoPerDay: String(limits.perDay(asset)) };
    }
    case "use":
      return use(request);
  }
}

type KeyPlace = { readonly root: string; readonly wallet: string; readonly hotkey: string | null };

function locate({ root, wallet, hotkey }: KeyPlace): { folder: string; path: string } {
  return hotkey === null ? locateColdkey({ root, wallet }) : locateHotkey({ root, wallet, hotkey });
}

async function listWallets(root: string): Promise<ListedWallet[]> {
  const names = await readdir(root, { withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw new Failure("wallet-unreadable", `The folder of wallets ${root} cannot be read.`);
  });
  const wallets: ListedWallet[] = [];
  for (const { name } of names.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!isHotkeyName(name) || !(await isFolder(join(root, name)))) continue;
    const { folder, path } = locateColdkey({ root, wallet: name });
    const hotkeys: ListedKey[] = [];
    for (const hotkey of (await readdir(join(folder, "hotkeys")).catch(() => [])).toSorted()) {
      if (isHotkeyName(hotkey)) hotkeys.push(await listed(hotkey, join(folder, "hotkeys", hotkey)));
    }
    const coldkey =
      (await isThere(path)) || (await isThere(path + PUBLIC_ENDING)) ? await listed("coldkey", path) : null;
    if (coldkey !== null || hotkeys.length > 0) wallets.push({ name, coldkey, hotkeys });
  }
  return wallets;
}

/** Reading a list must not fail because of one file: its row says what is wrong. */
async function listed(name: string, path: string): Promise<ListedKey> {
  try {
    const beside = await readKeyFile(path + PUBLIC_ENDING, { secret: false });
    const known = beside === null ? null : decodePublicKeyFile(beside.bytes, path + PUBLIC_ENDING);
    const file = await readKeyFile(path, { secret: false });
    if (file === null)
      return { name, path: path + PUBLIC_ENDING, address: known, holds: "public", problem: null };
    if (lockedForm(file.bytes) !== null)
      return { name, path, address: known, holds: "locked", problem: null };
    const { address } = decodeKeyFile(file.bytes, path);
    return { name, path, address, holds: "secret", problem: null };
  } catch (error) {
    return { name, path, address: null, holds: "secret", problem: failureBody(error).message };
  }
}

async function writeKey(
  place: KeyPlace,
  secret: KeySecret,
  password: string | null,
  patience: Patience,
): Promise<ListedKey> {
  const { folder, path } = locate(place);
  const name = place.hotkey ?? "coldkey";
  // Before the seconds that a password costs, and again when the file is given its name.
  if (await isThere(path)) throw isThereAlready(path);
  await keepPayoutAddress(place, path, secret);
  const files = encodeKey(secret);
  const content =
    password === null
      ? files.secret
      : await lockKeyFile(new TextEncoder().encode(files.secret), checkedPassword(password), patience);
  if (!(await createKeyFile(path, folder, content))) throw isThereAlready(path);
  await createKeyFile(path + PUBLIC_ENDING, folder, files.public);
  return {
    name,
    path,
    address: files.address,
    holds: password === null ? "secret" : "locked",
    problem: null,
  };
}

/** A coldkey beside a watch-only address has to be that address's: earnings go there. */
async function keepPayoutAddress({ hotkey }: KeyPlace, path: string, secret: KeySecret): Promise<void> {
  if (hotkey !== null) return;
  const file = await readKeyFile(path + PUBLIC_ENDING, { secret: false });
  if (file === null) return;
  const address = decodePublicKeyFile(file.bytes, path + PUBLIC_ENDING);
  if (address === encodeKey(secret).address) return;
  throw new Failure(
    "wallet-exists",
    `The wallet's payout address is ${address}, which this coldkey does not belong to. Give the coldkey another wallet's name, or change the address first with \`tah wallet payout\`.`,
  );
}

async function secretFrom(from: KeySource, patience: Patience): Promise<KeySecret> {
  if (from.type === "phrase") {
    const phrase = from.phrase.trim().toLowerCase().split(/\s+/).join(" ");
    if (phraseToSeed(phrase) === null) throw badPhrase();
    return { type: "phrase", phrase };
  }
  if (from.type === "seed") {
    const [, digits] = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(from.seed.trim()) ?? [];
    if (digits === undefined)
      throw new Failure(
        "wallet-bad-seed",
        "That is no seed: it is 32 bytes of hex, 64 digits with or without 0x.",
      );
    return { type: "seed", seed: Buffer.from(digits, "hex") };
  }
  const file = await keyFileOf(from);
  const json = parsed(file.bytes);
  if (isPolkadotJson(json)) {
    if (from.password === null) throw needsPassword(file.path);
    return { type: "pair", pair: await openPolkadotJson({ json, path: file.path }, from.password, patience) };
  }
  const bytes = await opened(file, from.password, patience);
  const phrase = phraseInKeyFile(bytes, file.path);
  const pair = decodeKeyFile(bytes, file.path);
  return phrase === null
    ? { type: "pair", pair }
    : { type: "phrase", phrase: phrase.trim().split(/\s+/).join(" ") };
}

async function keyFileOf(
  from: Extract<KeySource, { type: "file" | "content" }>,
): Promise<{ bytes: Uint8Array; path: string }> {
  if (from.type === "content")
    return { bytes: new TextEncoder().encode(from.content), path: "The file that was chosen" };
  const file = await readKeyFile(from.path, { secret: false });
  if (file === null) throw new Failure("wallet-missing", `There is no file ${from.path}.`);
  return { bytes: file.bytes, path: from.path };
}

async function exportKey(
  request: Extract<WalletRequest, { type: "export" }>,
  patience: Patience,
): Promise<WalletAnswer> {
  const { path } = locate(request);
  const file = await readKeyFile(path, { secret: true });
  if (file === null)
    throw new Failure(
      "wallet-missing",
      `There is no key file ${path}. \`tah wallet list\` shows those there are.`,
    );
  const bytes = await opened({ bytes: file.bytes, path }, request.password, patience);
  const pair = decodeKeyFile(bytes, path);
  const phrase = phraseInKeyFile(bytes, path);
  const { to } = request;
  if (to.type === "phrase") {
    if (phrase === null)
      throw new Failure(
        "wallet-no-phrase",
        `${path} was made without a phrase, so there is none to show. Export it as a file with --out.`,
      );
    const name = request.hotkey ?? "coldkey";
    return {
      type: "key",
      key: { name, path, address: pair.address, holds: "secret", problem: null },
      phrase,
    };
  }
  if (to.type === "content") {
    const content = await toPolkadotJson(pair, checkedPassword(to.password), nameOf(request), patience);
    return { type: "exported", content, address: pair.address };
  }
  const content = await exportedContent(to, request, pair, phrase, patience);
  if (!(await createKeyFile(to.path, join(to.path, ".."), content))) throw isThereAlready(to.path);
  return { type: "written", path: to.path, address: pair.address };
}

async function exportedContent(
  to: Extract<Extract<WalletRequest, { type: "export" }>["to"], { path: string }>,
  place: KeyPlace,
  pair: KeyPair,
  phrase: string | null,
  patience: Patience,
): Promise<string | Uint8Array> {
  if (to.type === "polkadot")
    return toPolkadotJson(pair, checkedPassword(to.password), nameOf(place), patience);
  const { secret } = encodeKey(phrase === null ? { type: "pair", pair } : { type: "phrase", phrase });
  return to.password === null
    ? secret
    : lockKeyFile(new TextEncoder().encode(secret), checkedPassword(to.password), patience);
}

/** As the account is called in the other program. */
function nameOf({ wallet, hotkey }: KeyPlace): string {
  return `${wallet}/${hotkey ?? "coldkey"}`;
}

/** SECURITY: a coldkey signs a consent to be paid, read and of its own address, and no other text. */
async function signConsent(
  request: Extract<WalletRequest, { type: "consent" }>,
  patience: Patience,
): Promise<WalletAnswer> {
  const { path } = locateColdkey(request);
  const body = parseConsentText(request.text);
  if (body === null)
    throw new Failure("consent-malformed", "This text is no consent to be paid, so nothing was signed.");
  const coldkey = walletHotkey(await openColdkey(request, patience), { path, created: false, warnings: [] });
  if (coldkey.address !== body.payoutColdkey)
    throw new Failure(
      "consent-other-address",
      `The text is for ${body.payoutColdkey}, and the coldkey of the wallet ${request.wallet} is ${coldkey.address}. Nothing was signed.`,
    );
  const log = new SignatureLog(join(request.home, "coldkey-signatures.jsonl"), Date.now);
  const signature = loggedHotkey(coldkey, log).sign({ kind: "consent", body });
  return { type: "signed", address: coldkey.address, signature };
}

async function openSigner(
  request: Extract<WalletRequest, { type: "act" }>,
  patience: Patience,
): Promise<KeyPair> {
  if (signerOf(request.action) === "coldkey") return openColdkey(request, patience);
  const { path } = locateHotkey(request);
  const file = await readKeyFile(path, { secret: true });
  if (file === null)
    throw new Failure(
      "wallet-missing",
      `There is no hotkey ${path}. \`tah wallet list\` shows those there are.`,
    );
  return decodeKeyFile(await opened({ bytes: file.bytes, path }, request.password, patience), path);
}

export async function openColdkey(
  request: { readonly root: string; readonly wallet: string; readonly password: string | null },
  patience: Patience,
): Promise<KeyPair> {
  const { path } = locateColdkey(request);
  const file = await readKeyFile(path, { secret: true });
  if (file === null)
    throw new Failure(
      "wallet-missing",
      `There is no coldkey ${path} on this computer. A consent can be signed where it is: \`tah payout ADDRESS --out FILE\`.`,
    );
  return decodeKeyFile(await opened({ bytes: file.bytes, path }, request.password, patience), path);
}

async function setPayout(request: Extract<WalletRequest, { type: "payout" }>): Promise<WalletAnswer> {
  const address = payoutAddressOf(request.address);
  const { folder, path } = locateColdkey(request);
  const publicPath = path + PUBLIC_ENDING;
  const file = await readKeyFile(publicPath, { secret: false });
  if (file !== null) {
    const known = decodePublicKeyFile(file.bytes, publicPath);
    if (known === address) return { type: "written", path: publicPath, address };
    if (await isThere(path))
      throw new Failure(
        "wallet-exists",
        `This wallet has a coldkey of its own (${known}), which earnings go to. Use a wallet of another name for another address.`,
      );
    if (!request.replace)
      throw new Failure(
        "wallet-exists",
        `Earnings go to ${known} until now. Say --replace to have later ones go to ${address}; what is claimed already is not moved.`,
      );
    await rename(publicPath, `${publicPath}.before`);
  }
  await createKeyFile(publicPath, folder, encodePublicKeyFile(address));
  return { type: "written", path: publicPath, address };
}

/** @throws Failure `wallet-bad-address`, `wallet-other-network` */
function payoutAddressOf(text: string): Ss58Address {
  const named = decodeAnySs58(text.trim());
  if (named === null)
    throw new Failure(
      "wallet-bad-address",
      `"${text.trim().slice(0, 60)}" is no address: a letter is missing or wrong. Bittensor's begin with 5 and have 48 letters.`,
    );
  if (named.prefix === BITTENSOR_PREFIX) return encodeSs58(named.account);
  throw new Failure(
    "wallet-other-network",
    `That is an address of another network (prefix ${named.prefix}). The same account on Bittensor is ${encodeSs58(named.account)}: give that one if you mean it.`,
  );
}

async function use({
  home,
  root,
  wallet,
  hotkey,
}: Extract<WalletRequest, { type: "use" }>): Promise<WalletAnswer> {
  const { path } = locateHotkey({ root, wallet, hotkey });
  const row = await listed(hotkey, path);
  if (row.problem !== null) throw new Failure("wallet-corrupt", row.problem);
  if (row.holds === "public")
    throw new Failure(
      "wallet-missing",
      `There is no hotkey ${path}. \`tah wallet list\` shows those there are.`,
    );
  selectWallet(home, { root, wallet, hotkey });
  return { type: "used", path, address: row.address };
}

async function opened(
  file: { readonly bytes: Uint8Array; readonly path: string },
  password: string | null,
  patience: Patience,
): Promise<Uint8Array> {
  if (lockedForm(file.bytes) === null) return file.bytes;
  if (password === null) throw needsPassword(file.path);
  return unlockKeyFile(file, password, patience);
}

/** btwallet asks for as much, and one that is guessed opens every wallet that has it. */
const LEAST_PASSWORD = 8;

function checkedPassword(password: string): string {
  if (password.length >= LEAST_PASSWORD) return password;
  throw new Failure(
    "wallet-weak-password",
    `A password has at least ${LEAST_PASSWORD} letters. Nothing was written.`,
  );
}

function needsPassword(path: string): Failure {
  return new Failure(
    "wallet-encrypted",
    `${path} is locked with a password. Run this in a terminal to be asked for it, or put it into a file and name that with --password-file.`,
  );
}

function isThereAlready(path: string): Failure {
  return new Failure(
    "wallet-exists",
    `There is a key file ${path} already, and it stays as it is. Choose another name.`,
  );
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}
