import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { ss58Address } from "../src-protocol/keys.ts";
import { decodeSs58 } from "../src-protocol/ss58.ts";
import { formatTao } from "../src-protocol/units.ts";
import type { WalletRequest } from "../src-protocol/wallet-ipc.ts";
import { terminalQuestion } from "./networks.ts";
import { secretAtTerminal, secretFile } from "./secret-question.ts";
import { askWallet } from "./wallet-process.ts";

const FINNEY = {
  url: "wss://entrypoint-finney.opentensor.ai:443",
  genesis: "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03",
};

interface Words {
  readonly wallet: string;
  readonly wallets?: string;
  readonly passwordFile?: string;
  readonly chain: string;
  readonly genesis: string;
  readonly yes?: true;
  readonly home?: string;
  readonly json?: true;
}

/** `tah chain …`: what moves on a real chain, by its owner's hand. */
export function addChainCommands(program: Command, say: (text: string) => void): void {
  const chain = program
    .command("chain")
    .description("move TAO on a real chain, within a limit of the day")
    .helpCommand(false);
  chain
    .command("pay")
    .description("send TAO from a coldkey that is on this computer, and wait until it is final")
    .argument("<address>", "who gets it: it begins with 5")
    .argument("<tao>", "how much, for example 0.25")
    .requiredOption("--wallet <name>", "the wallet whose coldkey pays")
    .option("--wallets <folder>", "folder of wallets (default: `wallets` in the data folder)")
    .option("--password-file <file>", "the coldkey's password, from a file")
    .option("--chain <url>", "a node of the chain", FINNEY.url)
    .option("--genesis <hash>", "of the chain that is meant: on any other nothing is signed", FINNEY.genesis)
    .option("--yes", "send it without asking")
    .option("--home <folder>", "data folder (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .action(async (address: string, amount: string, words: Words) => {
      const to = ss58Address.safeParse(address);
      if (!to.success || decodeSs58(to.data) === null)
        throw new Failure(
          "bad-address",
          `"${address.slice(0, 60)}" is no address: a letter is missing or wrong.`,
        );
      const rao = raoOf(amount);
      const question = `Send ${formatTao(rao)} TAO to ${to.data}? It cannot be taken back.`;
      const isMeant = words.yes === true || (await terminalQuestion(question)?.()) === true;
      if (!isMeant)
        throw new Failure(
          "consent-needed",
          "Nothing was sent. Say --yes where there is no terminal to ask at.",
        );
      const home = homeOf(words.home);
      const request = (password: string | null): WalletRequest => ({
        type: "transfer",
        home,
        root: words.wallets === undefined ? join(home, "wallets") : resolve(words.wallets),
        wallet: words.wallet,
        url: words.chain,
        genesis: words.genesis.toLowerCase(),
        to: to.data,
        amountRao: String(rao),
        password,
      });
      const given = words.passwordFile === undefined ? null : secretFile(words.passwordFile);
      const answer = await askWallet(request(given)).catch(async (error: unknown) => {
        const asker = secretAtTerminal();
        if (!(error instanceof Failure && error.code === "wallet-encrypted") || asker === null) throw error;
        return askWallet(request(await asker("Its password: ")));
      });
      if (answer.type !== "transferred")
        throw new Failure("wallet-ended", "The process that holds the keys answered something else.");
      const { creditedRao, block, extrinsic } = answer;
      say(
        words.json === true
          ? JSON.stringify(answer)
          : `${formatTao(BigInt(creditedRao))} TAO arrived at ${answer.to} in block ${block}, which is final (${extrinsic}).`,
      );
    });
  chain
    .command("limit")
    .description("how much TAO may be sent from here in 24 hours (1 until you say otherwise)")
    .argument("<tao>", "for example 5; 0 sends nothing")
    .option("--home <folder>", "data folder (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .action(async (amount: string, words: { home?: string; json?: true }) => {
      const rao = amount === "0" ? 0n : raoOf(amount);
      const answer = await askWallet({ type: "limit", home: homeOf(words.home), taoRaoPerDay: String(rao) });
      if (answer.type !== "limited") throw new Failure("wallet-ended", "The limit was not set.");
      say(
        words.json === true
          ? JSON.stringify(answer)
          : `At most ${formatTao(BigInt(answer.taoRaoPerDay))} TAO are sent from here in 24 hours.`,
      );
    });
}

/** Whole rao: what has more than nine decimals is not rounded, but refused. */
function raoOf(text: string): bigint {
  const [, whole = "", fraction = ""] = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  const rao = whole === "" ? 0n : BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  if (rao > 0n) return rao;
  throw new Failure("bad-amount", `"${text.slice(0, 40)}" is no amount of TAO: say for example 0.25.`);
}

function homeOf(home: string | undefined): string {
  return resolve(home ?? dataFolder(process.env, process.platform, homedir()));
}
