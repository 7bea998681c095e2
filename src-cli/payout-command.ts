import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { API_FILE_NAME, dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import { signatureIn } from "../src-protocol/payout-consent.ts";
import { decodeSs58 } from "../src-protocol/ss58.ts";
import { ApiClient } from "./api-client.ts";
import { secretAtTerminal, secretFile } from "./secret-question.ts";
import { askWallet } from "./wallet-process.ts";

interface Words {
  readonly home?: string;
  readonly json?: true;
  readonly out?: string;
  readonly text?: string;
  readonly signature?: string;
  readonly wallet?: string;
  readonly wallets?: string;
  readonly passwordFile?: string;
}

/** `tah payout`: a network pays this computer's hotkey to an address that has agreed to it. */
export function addPayoutCommand(program: Command, say: (text: string) => void): void {
  program
    .command("payout")
    .description(
      "have the active network pay to an address, by a text that its own key signs here or elsewhere",
    )
    .argument("<address>", "a coldkey's address: it begins with 5")
    .option("--wallet <name>", "sign here, with the coldkey of this wallet")
    .option("--wallets <folder>", "folder of wallets (default: `wallets` in the data folder)")
    .option("--password-file <file>", "its password, from a file")
    .option("--out <file>", "write the text there, to be signed elsewhere")
    .option("--text <file>", "the text that was signed")
    .option("--signature <file>", "what the signing tool printed: hex, or the JSON of `btcli wallet sign`")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .addHelpText(
      "after",
      `
Elsewhere, in two steps (the second within 24 hours):
  tah payout 5Abc… --out consent.txt
  btcli wallet sign --wallet-name NAME --message "$(cat consent.txt)" > signature.txt
  tah payout 5Abc… --text consent.txt --signature signature.txt
`,
    )
    .action(async (address: string, words: Words) => {
      const payoutColdkey = ss58Address.safeParse(address.trim());
      if (!payoutColdkey.success || decodeSs58(payoutColdkey.data) === null)
        throw new Failure(
          "bad-address",
          `"${address.slice(0, 60)}" is no address: a letter is missing or wrong.`,
        );
      const home = resolve(words.home ?? dataFolder(process.env, process.platform, homedir()));
      const client = await ApiClient.connect(join(home, API_FILE_NAME));
      try {
        if (words.signature !== undefined)
          return say(await bound(client, textFrom(words.text), signatureFrom(words.signature), words));
        const { text } = await client.call("payout.challenge", { payoutColdkey: payoutColdkey.data });
        if (words.wallet !== undefined)
          return say(await bound(client, text, await signedHere(text, home, words.wallet, words), words));
        if (words.out === undefined) return say(words.json === true ? JSON.stringify({ text }) : text);
        writeFileSync(resolve(words.out), text, { flag: "wx", mode: 0o600 });
        return say(
          words.json === true
            ? JSON.stringify({ text, path: resolve(words.out) })
            : `Wrote the text to ${resolve(words.out)}. Have ${payoutColdkey.data} sign exactly this text, then say --text and --signature.`,
        );
      } finally {
        client.close();
      }
    });
}

async function bound(client: ApiClient, text: string, signature: string, { json }: Words): Promise<string> {
  const answer = await client.call("payout.bind", { text, signature });
  return json === true
    ? JSON.stringify(answer)
    : `The network pays ${answer.hotkey} to ${answer.payoutColdkey} from now on (binding ${answer.generation}). What was claimed before goes where it was claimed to.`;
}

/** The coldkey's process signs what it reads to be a consent, and nothing else. */
async function signedHere(text: string, home: string, wallet: string, words: Words): Promise<string> {
  const root = words.wallets === undefined ? join(home, "wallets") : resolve(words.wallets);
  const request = (password: string | null) => ({
    type: "consent" as const,
    home,
    root,
    wallet,
    text,
    password,
  });
  const given = words.passwordFile === undefined ? null : secretFile(words.passwordFile);
  const answered = await askWallet(request(given)).catch(async (error: unknown) => {
    const asker = secretAtTerminal();
    if (!(error instanceof Failure && error.code === "wallet-encrypted") || asker === null) throw error;
    return askWallet(request(await asker("Its password: ")));
  });
  if (answered.type !== "signed")
    throw new Failure("wallet-ended", "The process that holds the keys answered something else.");
  return answered.signature;
}

function textFrom(path: string | undefined): string {
  if (path === undefined)
    throw new Failure("bad-option", "Say with --text which text was signed: the file that --out wrote.");
  // Editors and shells add a line end that was not signed.
  return readFileSync(resolve(path), "utf8").replace(/\r?\n$/, "");
}

function signatureFrom(path: string): string {
  const signature = signatureIn(readFileSync(resolve(path), "utf8"));
  if (signature !== null) return signature;
  throw new Failure(
    "signature-missing",
    `There is no signature in ${path}: 64 bytes of hex are looked for, alone or in the JSON of a signing tool.`,
  );
}
