import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { API_FILE_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { KeySource, WalletAnswer, WalletRequest } from "../src-protocol/wallet-ipc.ts";
import { ApiClient } from "./api-client.ts";
import { refuseKept } from "./kept-in-keychain.ts";
import { terminalQuestion } from "./networks.ts";
import { newPassword, secretAtTerminal, secretFile } from "./secret-question.ts";
import { askWallet } from "./wallet-process.ts";
import { phraseText, walletsText } from "./wallet-text.ts";

/** The signature is not that address's. */
const EXIT_NOT_VALID = 3;
const WALLETS_FOLDER = "wallets";
const DEFAULT_NAME = "default";

interface Place {
  home?: string;
  wallets?: string;
  json?: true;
}

interface KeyWords extends Place {
  hotkey: string;
  coldkey?: true;
  password?: boolean;
  passwordFile?: string;
}

/** `tah wallet …`: keys in Bittensor's own files. They are read and written by a process of their own. */
export function addWalletCommands(program: Command, say: (text: string) => void): void {
  const wallet = program
    .command("wallet")
    .description("keys: list, create, import, export, choose; Bittensor's own files")
    .helpCommand(false);

  place(wallet.command("list").description("wallets, their keys, and which hotkey is in use")).action(
    async (words: Place) => {
      const { root, wallets, inUse } = await ask(
        { type: "list", root: rootOf(words), home: homeOf(words) },
        "list",
      );
      say(words.json === true ? JSON.stringify({ root, wallets, inUse }) : walletsText(root, wallets, inUse));
    },
  );

  key(
    wallet.command("create").description("make a new hotkey, or a coldkey, and show its secret phrase once"),
  )
    .option("--words <count>", "length of the phrase: 12, 15, 18, 21 or 24", wordCount, 12)
    .option("--yes", "do not ask whether the phrase was written down")
    .action(async (name: string, words: KeyWords & { words: 12 | 15 | 18 | 21 | 24; yes?: true }) => {
      const answer = await ask(
        { type: "create", ...keyOf(name, words), words: words.words, password: await newFilePassword(words) },
        "key",
      );
      if (words.json === true) return say(JSON.stringify(answer));
      say(`Made ${answer.key.path}`);
      say(`Address: ${answer.key.address ?? ""}`);
      process.stderr.write(`\n${phraseText(answer.phrase ?? "")}\n`);
      if (words.yes !== true) await confirmed(answer.phrase ?? "");
    });

  key(
    wallet
      .command("import")
      .description("take a key in: from a phrase, a seed, or a file of another program"),
  )
    .option("--phrase-file <file>", "the secret phrase; without one of these three it is asked for")
    .option("--seed-file <file>", "32 bytes in hex")
    .option("--file <file>", "a key file of Bittensor's tools, or an account exported by polkadot-js")
    .option("--file-password-file <file>", "the password of --file, if it is locked; else it is asked for")
    .action(async (name: string, words: KeyWords & ImportWords) => {
      const from = await sourceOf(words);
      const password = await newFilePassword(words);
      const answer = await askOpening(
        (opening) => ({
          type: "import",
          ...keyOf(name, words),
          from: from.type === "file" ? { ...from, password: opening } : from,
          password,
        }),
        "key",
        from.type === "file" ? from.password : null,
      );
      say(
        words.json === true
          ? JSON.stringify(answer.key)
          : `Took in ${answer.key.path}\nAddress: ${answer.key.address ?? ""}\nThe daemon works with it after \`tah wallet use ${name} ${words.hotkey}\`.`,
      );
    });

  key(wallet.command("export").description("show a key's secret phrase, or write it for another program"))
    .option("--in-use", "the hotkey that this computer works with, whatever its name")
    .option("--out <file>", "write the key there instead of showing its phrase")
    .option("--format <kind>", "with --out: bittensor, or polkadot (under a password)", format, "bittensor")
    .option("--out-password-file <file>", "the password of --out, from a file; else it is asked for")
    .option("--yes", "show the phrase without asking")
    .action(exportAction(say));

  place(
    wallet
      .command("payout")
      .description("the address that earnings go to, without its secret on this computer"),
  )
    .argument("<address>", "a coldkey's address: it begins with 5")
    .option("--wallet <name>", "of this wallet", DEFAULT_NAME)
    .option("--replace", "instead of the address that is there")
    .action(async (address: string, words: Place & { wallet: string; replace?: true }) => {
      const answer = await ask(
        {
          type: "payout",
          root: rootOf(words),
          wallet: words.wallet,
          address,
          replace: words.replace === true,
        },
        "written",
      );
      say(
        words.json === true
          ? JSON.stringify(answer)
          : `Earnings go to ${answer.address} from the next start on.`,
      );
    });

  place(
    wallet
      .command("use")
      .description("choose the hotkey that this computer works with, from the next start on"),
  )
    .argument("<wallet>")
    .argument("[hotkey]", "", DEFAULT_NAME)
    .action(async (name: string, hotkey: string, words: Place) => {
      const answer = await ask(
        { type: "use", home: homeOf(words), root: rootOf(words), wallet: name, hotkey },
        "used",
      );
      say(
        words.json === true
          ? JSON.stringify(answer)
          : `This computer works with ${answer.address ?? answer.path} from the next start on. What another hotkey has earned stays its own.`,
      );
    });

  place(
    wallet
      .command("keep")
      .description("how the hotkey in use is protected; with a word: from now on (while Train at Home runs)"),
  )
    .argument(
      "[how]",
      "keychain: by this system's keychain, which the app asks; open: by its file's mode alone",
      keeping,
    )
    .action(async (how: "keychain" | "open" | undefined, words: Place) => {
      const client = await ApiClient.connect(join(homeOf(words), API_FILE_NAME));
      try {
        const atRest =
          how === undefined
            ? (await client.call("wallet.list", {})).atRest
            : await client.call("wallet.keep", { how });
        say(words.json === true ? JSON.stringify(atRest) : atRest.text);
      } finally {
        client.close();
      }
    });

  wallet
    .command("verify")
    .description("whether a text was signed by an address, as `btcli wallet sign` and browser wallets sign")
    .requiredOption("--message <text>")
    .requiredOption("--signature <hex>", "with or without 0x")
    .requiredOption("--address <ss58>")
    .option("--json", "print JSON, for programs")
    .addHelpText("after", "\nExit code: 0 it is, 3 it is not, 2 wrong use.\n")
    .action(async (words: { message: string; signature: string; address: string; json?: true }) => {
      const { verifySr25519 } = await import("../src-protocol/sr25519.ts");
      const digits = words.signature.replaceAll(/\s/g, "").replace(/^0x/, "").toLowerCase();
      const valid = verifySr25519(words.address, words.message, `0x${digits}`);
      const text = valid ? "The signature is good." : "The signature is not that address's over this text.";
      say(words.json === true ? JSON.stringify({ valid, address: words.address }) : text);
      if (!valid) process.exitCode = EXIT_NOT_VALID;
    });
}

interface ImportWords {
  phraseFile?: string;
  seedFile?: string;
  file?: string;
  filePasswordFile?: string;
}

interface ExportWords {
  inUse?: true;
  out?: string;
  outPasswordFile?: string;
  format: "bittensor" | "polkadot";
  yes?: true;
}

function exportAction(say: (text: string) => void) {
  return async (name: string, words: KeyWords & ExportWords): Promise<void> => {
    const wanted = words.inUse === true ? await keyInUse(words) : keyOf(name, words);
    if (words.passwordFile === undefined) refuseKept(homeOf(words), wanted);
    const base = { type: "export" as const, ...wanted };
    const given = words.passwordFile === undefined ? null : secretFile(words.passwordFile);
    if (words.out === undefined) {
      const question = "Show the secret phrase on this screen? Nobody else should see it.";
      const isMeant = words.yes === true || (await terminalQuestion(question)?.()) === true;
      if (!isMeant)
        throw new Failure(
          "consent-needed",
          "Nothing was shown. Say --yes where there is no terminal to ask at.",
        );
      const answer = await askOpening(
        (password) => ({ ...base, password, to: { type: "phrase" } }),
        "key",
        given,
      );
      return say(words.json === true ? JSON.stringify(answer) : (answer.phrase ?? ""));
    }
    const path = resolve(words.out);
    const isLocked = words.format === "polkadot" || words.password === true;
    const newOne = isLocked ? await passwordOfExport(words) : null;
    const to =
      words.format === "polkadot"
        ? { type: "polkadot" as const, path, password: newOne ?? "" }
        : { type: "bittensor" as const, path, password: newOne };
    const answer = await askOpening((password) => ({ ...base, password, to }), "written", given);
    say(words.json === true ? JSON.stringify(answer) : `Wrote ${answer.address} to ${answer.path}`);
  };
}

/** By where its file lies: WALLETS/WALLET/hotkeys/HOTKEY. */
async function keyInUse(words: Place): Promise<{ root: string; wallet: string; hotkey: string }> {
  const { inUse } = await ask({ type: "list", root: rootOf(words), home: homeOf(words) }, "list");
  const wallet = dirname(dirname(inUse));
  return { root: dirname(wallet), wallet: basename(wallet), hotkey: basename(inUse) };
}

async function passwordOfExport({ outPasswordFile }: ExportWords): Promise<string> {
  if (outPasswordFile !== undefined) return secretFile(outPasswordFile);
  return newPassword(secretAtTerminal() ?? nobodyToAsk());
}

async function ask<Type extends WalletAnswer["type"]>(
  request: WalletRequest,
  type: Type,
): Promise<Extract<WalletAnswer, { type: Type }>> {
  const isShown = process.stderr.isTTY;
  const answer = await askWallet(request, (seconds) => {
    if (isShown) process.stderr.write(`\rWorking with the password … ${Math.round(seconds)} s \r`);
  });
  if (answer.type === type) return answer as Extract<WalletAnswer, { type: Type }>;
  throw new Failure("wallet-ended", "The process that holds the keys answered something else.");
}

async function sourceOf(words: ImportWords): Promise<KeySource> {
  const given = [words.phraseFile, words.seedFile, words.file].filter((file) => file !== undefined);
  if (given.length > 1)
    throw new Failure(
      "bad-option",
      "Give one of --phrase-file, --seed-file and --file: the key comes from one place.",
    );
  if (words.phraseFile !== undefined) return { type: "phrase", phrase: secretFile(words.phraseFile) };
  if (words.seedFile !== undefined) return { type: "seed", seed: secretFile(words.seedFile) };
  const asker = secretAtTerminal();
  if (words.file === undefined)
    return { type: "phrase", phrase: await (asker ?? nobodyToAsk())("Secret phrase: ") };
  const path = resolve(words.file);
  if (words.filePasswordFile !== undefined)
    return { type: "file", path, password: secretFile(words.filePasswordFile) };
  return { type: "file", path, password: null };
}

/** Asks with the password only when the file turns out to be under one. */
async function askOpening<Type extends WalletAnswer["type"]>(
  request: (password: string | null) => WalletRequest,
  type: Type,
  password: string | null,
): Promise<Extract<WalletAnswer, { type: Type }>> {
  try {
    return await ask(request(password), type);
  } catch (error) {
    const isLocked = error instanceof Failure && error.code === "wallet-encrypted";
    const asker = secretAtTerminal();
    if (!isLocked || asker === null) throw error;
    return ask(request(await asker("Its password: ")), type);
  }
}

/** A coldkey stands under a password unless its owner says otherwise; a hotkey the other way round: it works at night. */
async function newFilePassword(words: KeyWords): Promise<string | null> {
  if (words.passwordFile !== undefined) return secretFile(words.passwordFile);
  if (words.password === false) return null;
  if (words.password !== true && words.coldkey !== true) return null;
  return newPassword(secretAtTerminal() ?? nobodyToAsk());
}

function nobodyToAsk(): never {
  throw new Failure(
    "secret-needed",
    "A secret is needed and there is no terminal to ask at: put it into a file of your own and name that (--password-file, --phrase-file, --file-password-file), or say --no-password.",
  );
}

/** Two of its words, so that it was written down and not only looked at. */
async function confirmed(phrase: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return;
  const words = phrase.split(" ");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    for (const at of [2, words.length - 2])
      while ((await terminal.question(`Word ${at + 1} of your paper: `)).trim().toLowerCase() !== words[at])
        process.stderr.write("That is another word. Look at the paper, and at the list above.\n");
    process.stderr.write("It is written down. \n");
  } finally {
    terminal.close();
  }
}

function keyOf(wallet: string, words: KeyWords): { root: string; wallet: string; hotkey: string | null } {
  return { root: rootOf(words), wallet, hotkey: words.coldkey === true ? null : words.hotkey };
}

function homeOf({ home }: Place): string {
  return resolve(home ?? dataFolder(process.env, process.platform, homedir()));
}

function rootOf(words: Place): string {
  if (words.wallets === undefined) return join(homeOf(words), WALLETS_FOLDER);
  return resolve(words.wallets.replace(/^~(?=\/|$)/, homedir()));
}

function place(command: Command): Command {
  return command
    .option("--wallets <folder>", "folder of wallets (default: `wallets` in the data folder)")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs");
}

function key(command: Command): Command {
  return place(
    command
      .argument("[wallet]", "its name", DEFAULT_NAME)
      .option("--hotkey <name>", "the hotkey of this name", DEFAULT_NAME)
      .option("--coldkey", "the wallet's coldkey instead of a hotkey")
      .option("--password", "put the file under a password, which is asked for (a coldkey's default)")
      .option("--no-password", "without a password (a hotkey's default)")
      .option("--password-file <file>", "the password, from a file"),
  );
}

function wordCount(text: string): number {
  if (["12", "15", "18", "21", "24"].includes(text)) return Number(text);
  throw new InvalidArgumentError("A phrase has 12, 15, 18, 21 or 24 words.");
}

function keeping(text: string): "keychain" | "open" {
  if (text === "keychain" || text === "open") return text;
  throw new InvalidArgumentError("Say keychain or open.");
}

function format(text: string): string {
  if (text === "bittensor" || text === "polkadot") return text;
  throw new InvalidArgumentError("Say bittensor or polkadot.");
}
