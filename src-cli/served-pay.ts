import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { alphaOf } from "../src-protocol/chain-action.ts";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { PayerPlan } from "../src-protocol/payer-ipc.ts";
import { addressOf, genesisOf, raoOf, urlOf } from "./chain-words.ts";
import { askWallet } from "./wallet-process.ts";

/** A payment's fee was seen to be 137,047 rao: of this it is 7 %. */
const LEAST_RAO = 2_000_000n;

/** What a served network pays on a real chain, and from where. */
export interface ServedPay {
  readonly payer: Omit<PayerPlan, "home" | "networkFolder">;
  /** For 10¹² counted operations. */
  readonly raoPerTeraflop: bigint;
  /** A day's limit that is to hold from now on; null: the one that is. */
  readonly limitRao: bigint | null;
}

export interface PayWords {
  readonly payFrom?: string;
  readonly payRate?: string;
  readonly payAlpha?: number;
  readonly payHotkey?: string;
  readonly payLimit?: string;
  readonly payLeast?: string;
  readonly chain: string;
  readonly genesis?: string;
  readonly wallets?: string;
  readonly passwordFile?: string;
}

export function payOptions(command: Command): Command {
  return command
    .option(
      "--pay-from <wallet>",
      "pay claims on a real chain, from this wallet's coldkey (default: test units)",
    )
    .option("--pay-rate <amount>", "with --pay-from: TAO (or alpha) for 10¹⁵ counted operations")
    .option("--pay-alpha <netuid>", "pay alpha of this subnet instead of TAO, with --pay-hotkey", netuidWord)
    .option("--pay-hotkey <address>", "where the alpha is staked that is paid from; it stays staked there")
    .option("--pay-limit <amount>", "pay at most so much in 24 hours from now on (1 until you say otherwise)")
    .option(
      "--pay-least <amount>",
      "pay an address when so much is due to it, of all its claims together (default: 0.002; 0 pays each at once)",
    )
    .option("--chain <node>", "of the pay: finney, test, local, or a node's address", "finney")
    .option(
      "--genesis <hash>",
      "of the chain that is meant: on any other nothing is paid (default: Finney's)",
    )
    .option("--wallets <folder>", "folder of wallets (default: `wallets` in the usual data folder)")
    .option("--password-file <file>", "the paying coldkey's password, from a file");
}

/** Null: it counts test units. @throws Failure `bad-option`, `bad-amount`, `bad-address` */
export function servedPay(words: PayWords): ServedPay | null {
  const { payFrom, payRate, payAlpha, payHotkey, payLimit, payLeast } = words;
  if (payFrom === undefined) {
    const orphan = [payRate, payAlpha, payHotkey, payLimit, payLeast].some((word) => word !== undefined);
    if (!orphan) return null;
    throw new Failure("bad-option", "--pay-… go with --pay-from, which names the wallet that pays.");
  }
  if (payRate === undefined)
    throw new Failure("bad-option", "--pay-from needs --pay-rate: how much is paid for 10¹⁵ operations.");
  if ((payAlpha === undefined) !== (payHotkey === undefined))
    throw new Failure("bad-option", "--pay-alpha and --pay-hotkey belong together: give both, or neither.");
  const raoPerTeraflop = raoOf(payRate) / 1000n;
  if (raoPerTeraflop === 0n)
    throw new Failure("bad-amount", "Less than 0.000001 for 10¹⁵ operations cannot be counted.");
  const usual = dataFolder(process.env, process.platform, homedir());
  return {
    payer: {
      root: words.wallets === undefined ? join(usual, "wallets") : resolve(words.wallets),
      wallet: payFrom,
      passwordFile: words.passwordFile === undefined ? null : resolve(words.passwordFile),
      url: urlOf(words.chain),
      genesis: genesisOf(words.genesis),
      pays: { asset: payAlpha === undefined ? "tao" : "alpha", netuid: payAlpha ?? 0 },
      hotkey: payHotkey === undefined ? null : addressOf(payHotkey),
      leastRao: String(payLeast === undefined ? LEAST_RAO : payLeast === "0" ? 0n : raoOf(payLeast)),
    },
    raoPerTeraflop,
    limitRao: payLimit === undefined ? null : raoOf(payLimit),
  };
}

/** In the served network's own folder, where its payer counts. */
export async function setPayLimit(home: string, { payer: { pays }, limitRao }: ServedPay): Promise<void> {
  if (limitRao === null) return;
  const asset = pays.asset === "tao" ? "tao" : alphaOf(pays.netuid);
  await askWallet({ type: "limit", home, asset, raoPerDay: String(limitRao) });
}

function netuidWord(text: string): number {
  const netuid = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (netuid <= 65_535) return netuid;
  throw new InvalidArgumentError("It is the number of a subnet.");
}
