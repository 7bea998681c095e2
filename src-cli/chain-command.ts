import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { actionText, alphaOf, assetText, chainAction, signerOf } from "../src-protocol/chain-action.ts";
import type { ChainAction } from "../src-protocol/chain-action.ts";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { formatTao } from "../src-protocol/units.ts";
import type { WalletRequest } from "../src-protocol/wallet-ipc.ts";
import { askChain } from "./chain-process.ts";
import { addressOf, genesisOf, raoOf, urlOf } from "./chain-words.ts";
import { accountText, actedText, neuronText, subnetText } from "./chain-text.ts";
import { terminalQuestion } from "./networks.ts";
import { secretAtTerminal, secretFile } from "./secret-question.ts";
import { askWallet } from "./wallet-process.ts";

/** As Bittensor's own tools have it. */
const DEFAULT_TOLERANCE = 5;

interface NodeWords {
  readonly chain: string;
  readonly genesis?: string;
  readonly json?: true;
}

interface ActWords extends NodeWords {
  readonly wallet: string;
  readonly hotkey: string;
  readonly wallets?: string;
  readonly passwordFile?: string;
  readonly yes?: true;
  readonly home?: string;
}

interface PriceWords extends ActWords {
  readonly slippage: number;
  readonly anyPrice?: true;
}

/** `tah chain …`: what a real chain says, and what is done there by its owner's hand. */
export function addChainCommands(program: Command, say: (text: string) => void): void {
  const chain = program
    .command("chain")
    .description("look at a real chain; pay, stake, register and serve there, within a limit of the day")
    .helpCommand(false);
  addReading(chain, say);
  addActing(chain, say);
  chain
    .command("limit")
    .description("how much may be moved from here in 24 hours (1 of each kind until you say otherwise)")
    .argument("<amount>", "for example 5; 0 moves nothing")
    .option("--alpha <netuid>", "of this subnet's alpha (default: TAO)", netuidWord)
    .option("--home <folder>", "data folder (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .action(async (amount: string, words: { alpha?: number; home?: string; json?: true }) => {
      const rao = amount === "0" ? 0n : raoOf(amount);
      const asset = words.alpha === undefined ? "tao" : alphaOf(words.alpha);
      const answer = await askWallet({
        type: "limit",
        home: homeOf(words.home),
        asset,
        raoPerDay: String(rao),
      });
      if (answer.type !== "limited") throw new Failure("wallet-ended", "The limit was not set.");
      say(
        words.json === true
          ? JSON.stringify(answer)
          : `At most ${formatTao(BigInt(answer.raoPerDay))} ${assetText(answer.asset)} are moved from here in 24 hours.`,
      );
    });
}

function addReading(chain: Command, say: (text: string) => void): void {
  const told = (words: NodeWords, value: object, text: string): void =>
    say(words.json === true ? JSON.stringify(value) : text);
  node(
    chain
      .command("price")
      .description("what alpha and a place cost in a subnet, and when its epoch ends")
      .argument("<netuid>", "number of the subnet", netuidWord),
  ).action(async (netuid: number, words: NodeWords) => {
    const answer = await askChain({ type: "subnet", ...readFrom(words), netuid });
    if (answer.type === "subnet") told(words, answer.subnet, subnetText(answer.subnet));
  });
  node(
    chain
      .command("emission")
      .description("a hotkey's place in a subnet: emission, stake, address")
      .argument("<netuid>", "number of the subnet", netuidWord)
      .argument("<hotkey>", "its address: it begins with 5"),
  ).action(async (netuid: number, hotkey: string, words: NodeWords) => {
    const answer = await askChain({
      type: "neuron",
      ...readFrom(words),
      netuid,
      hotkey: addressOf(hotkey),
    });
    if (answer.type === "neuron") told(words, answer.neuron, neuronText(answer.neuron));
  });
  node(
    chain
      .command("balance")
      .description("an address's TAO, and its stake by hotkey and subnet")
      .argument("<address>", "it begins with 5"),
  ).action(async (address: string, words: NodeWords) => {
    const answer = await askChain({ type: "account", ...readFrom(words), address: addressOf(address) });
    if (answer.type === "account") told(words, answer.account, accountText(answer.account));
  });
}

function addActing(chain: Command, say: (text: string) => void): void {
  const NETUID = ["<netuid>", "number of the subnet", netuidWord] as const;
  const HOTKEY = ["<hotkey>", "address of the hotkey: it begins with 5"] as const;
  acting(
    chain
      .command("pay")
      .description("send TAO from a coldkey that is on this computer, and wait until it is final")
      .argument("<address>", "who gets it: it begins with 5")
      .argument("<tao>", "how much, for example 0.25"),
  ).action((address: string, tao: string, words: ActWords) =>
    perform({ kind: "transfer", to: addressOf(address), amountRao: String(raoOf(tao)) }, words, say),
  );
  priced(
    chain
      .command("stake")
      .description("make alpha of TAO, at a hotkey of a subnet")
      .argument(...NETUID)
      .argument(...HOTKEY)
      .argument("<tao>", "how much TAO, for example 0.25"),
  ).action((netuid: number, hotkey: string, tao: string, words: PriceWords) =>
    perform(
      {
        kind: "stake",
        netuid,
        hotkey: addressOf(hotkey),
        amountRao: String(raoOf(tao)),
        toleranceBps: toleranceOf(words),
      },
      words,
      say,
    ),
  );
  priced(
    chain
      .command("unstake")
      .description("make TAO of alpha that is staked at a hotkey")
      .argument(...NETUID)
      .argument(...HOTKEY)
      .argument("<alpha>", "how much alpha, for example 0.25"),
  ).action((netuid: number, hotkey: string, alpha: string, words: PriceWords) =>
    perform(
      {
        kind: "unstake",
        netuid,
        hotkey: addressOf(hotkey),
        amountRao: String(raoOf(alpha)),
        toleranceBps: toleranceOf(words),
      },
      words,
      say,
    ),
  );
  acting(
    chain
      .command("pay-alpha")
      .description("give alpha to another coldkey; it stays staked at the same hotkey")
      .argument("<address>", "the coldkey that gets it")
      .argument(...NETUID)
      .argument(...HOTKEY)
      .argument("<alpha>", "how much alpha, for example 0.25"),
  ).action((address: string, netuid: number, hotkey: string, alpha: string, words: ActWords) =>
    perform(
      {
        kind: "transfer-stake",
        to: addressOf(address),
        netuid,
        hotkey: addressOf(hotkey),
        amountRao: String(raoOf(alpha)),
      },
      words,
      say,
    ),
  );
  acting(
    chain
      .command("register")
      .description("burn TAO for a hotkey's place in a subnet")
      .argument(...NETUID)
      .argument(...HOTKEY)
      .requiredOption("--most <tao>", "burn no more than this"),
  ).action((netuid: number, hotkey: string, words: ActWords & { most: string }) =>
    perform(
      { kind: "register", netuid, hotkey: addressOf(hotkey), mostRao: String(raoOf(words.most)) },
      words,
      say,
    ),
  );
  acting(
    chain
      .command("axon")
      .description("tell a subnet where your hotkey is served, for example 203.0.113.7:8091")
      .argument(...NETUID)
      .argument("<address>", "IP address and port"),
  ).action((netuid: number, address: string, words: ActWords) =>
    perform({ kind: "axon", netuid, ...placeOf(address) }, words, say),
  );
  acting(
    chain
      .command("weights")
      .description("set a validator's weights, for example 0=1 7=0.5")
      .argument(...NETUID)
      .argument("<uid=weight...>", "each a uid of the subnet and its share of the highest")
      .option("--version-key <number>", "as the subnet wants it", wholeWord, 0),
  ).action((netuid: number, pairs: readonly string[], words: ActWords & { versionKey: number }) =>
    perform(
      { kind: "weights", netuid, weights: pairs.map(weightOf), versionKey: words.versionKey },
      words,
      say,
    ),
  );
}

/** Asks, signs, sends, and waits until it is final. */
async function perform(action: ChainAction, words: ActWords, say: (text: string) => void): Promise<void> {
  const read = chainAction.safeParse(action);
  if (!read.success) throw new Failure("bad-option", read.error.issues[0]?.message ?? "That cannot be done.");
  const what = actionText(read.data);
  const question = `${what.slice(0, 1).toUpperCase()}${what.slice(1)}. It cannot be taken back. Do it?`;
  const isMeant = words.yes === true || (await terminalQuestion(question)?.()) === true;
  if (!isMeant)
    throw new Failure(
      "consent-needed",
      "Nothing was signed. Say --yes where there is no terminal to ask at.",
    );
  const home = homeOf(words.home);
  const request = (password: string | null): WalletRequest => ({
    type: "act",
    home,
    root: words.wallets === undefined ? join(home, "wallets") : resolve(words.wallets),
    wallet: words.wallet,
    hotkey: words.hotkey,
    url: urlOf(words.chain),
    genesis: genesisOf(words.genesis),
    action: read.data,
    password,
  });
  const given = words.passwordFile === undefined ? null : secretFile(words.passwordFile);
  const answer = await askWallet(request(given)).catch(async (error: unknown) => {
    const asker = secretAtTerminal();
    if (!(error instanceof Failure && error.code === "wallet-encrypted") || asker === null) throw error;
    return askWallet(request(await asker(`The ${signerOf(read.data)}'s password: `)));
  });
  if (answer.type !== "acted")
    throw new Failure("wallet-ended", "The process that holds the keys answered something else.");
  say(words.json === true ? JSON.stringify(answer) : actedText(read.data, answer));
}

function node(command: Command): Command {
  return command
    .option("--chain <node>", "finney, test, local, or a node's address", "finney")
    .option("--genesis <hash>", "of the chain that is meant (default: Finney's, where something is signed)")
    .option("--json", "print JSON, for programs");
}

function acting(command: Command): Command {
  return node(command)
    .requiredOption("--wallet <name>", "the wallet whose key signs")
    .option("--hotkey <name>", "its hotkey, where a hotkey signs", "default")
    .option("--wallets <folder>", "folder of wallets (default: `wallets` in the data folder)")
    .option("--password-file <file>", "the key's password, from a file")
    .option("--yes", "do it without asking")
    .option("--home <folder>", "data folder (default: $TAH_HOME, else the usual place)");
}

function priced(command: Command): Command {
  return acting(command)
    .option(
      "--slippage <percent>",
      "not at all if the price has moved further than this",
      percentWord,
      DEFAULT_TOLERANCE,
    )
    .option("--any-price", "whatever the price is");
}

function toleranceOf({ slippage, anyPrice }: PriceWords): number | null {
  return anyPrice === true ? null : Math.round(slippage * 100);
}

function readFrom({ chain, genesis }: NodeWords): { url: string; genesis: string | null } {
  return {
    url: urlOf(chain),
    genesis: genesis === undefined && chain !== "finney" ? null : genesisOf(genesis),
  };
}

function placeOf(text: string): { ip: string; port: number } {
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const ip = bracketed ?? plain ?? "";
  if (isIP(ip) !== 0 && Number(port) >= 1 && Number(port) <= 65_535) return { ip, port: Number(port) };
  throw new Failure(
    "bad-address",
    `"${text.slice(0, 60)}" is no IP address with a port: say for example 203.0.113.7:8091 or [2001:db8::1]:8091.`,
  );
}

function weightOf(text: string): { uid: number; weight: number } {
  const [, uid = "", weight = ""] = /^(\d{1,5})=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (uid !== "") return { uid: Number(uid), weight: Number(weight) };
  throw new Failure("bad-option", `"${text.slice(0, 40)}" is no weight: say for example 7=0.5.`);
}

function netuidWord(text: string): number {
  const netuid = wholeWord(text);
  if (netuid <= 65_535) return netuid;
  throw new InvalidArgumentError("A subnet's number is at most 65535.");
}

function wholeWord(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number.");
}

function percentWord(text: string): number {
  const percent = Number(text);
  if (Number.isFinite(percent) && percent >= 0 && percent <= 50) return percent;
  throw new InvalidArgumentError("It is a number from 0 to 50.");
}

function homeOf(home: string | undefined): string {
  return resolve(home ?? dataFolder(process.env, process.platform, homedir()));
}
