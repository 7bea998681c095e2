import { isIPv4 } from "node:net";
import type { ApiPromise } from "@polkadot/api";
import type { SubmittableExtrinsic } from "@polkadot/api/types";
import { singlePayment } from "../../src-protocol/chain-action.ts";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { alphaPrice, subnetOf } from "./chain-reading.ts";

type Call = SubmittableExtrinsic<"promise">;

/** What Bittensor's tools tell of themselves with an axon; ours has no number there. */
const AXON_VERSION = 1;
const AXON_PROTOCOL = 4;
const MOST_WEIGHT = 65_535;

/**
 * The extrinsic's call for an action, as this chain has it: names and arguments are looked up in its metadata.
 *
 * @throws Failure `chain-call-missing`, `chain-price-unknown`, `chain-too-dear`, `chain-weights-sealed`, `bad-amount`: nothing was signed
 */
export async function callOf(api: ApiPromise, action: ChainAction): Promise<Call> {
  switch (action.kind) {
    case "transfer":
      return callNamed(api, "balances", "transferKeepAlive", [action.to, positive(action.amountRao)]);
    case "stake":
    case "unstake":
      return stakeCall(api, action);
    case "transfer-stake": {
      const { to, hotkey, netuid, amountRao } = action;
      return callNamed(api, "subtensorModule", "transferStake", [
        to,
        hotkey,
        netuid,
        netuid,
        positive(amountRao),
      ]);
    }
    case "pay-many": {
      // One that fails undoes no other: `batchAll` would, and `batch` leaves out all that come after it.
      const calls = await Promise.all(
        action.payments.map((payment) => callOf(api, singlePayment(action, payment))),
      );
      return callNamed(api, "utility", "forceBatch", [calls]);
    }
    case "register":
      return registerCall(api, action);
    case "axon": {
      const { netuid, ip, port } = action;
      const version = isIPv4(ip) ? 4 : 6;
      const words = [netuid, AXON_VERSION, ipNumber(ip), port, version, AXON_PROTOCOL, 0, 0];
      return callNamed(api, "subtensorModule", "serveAxon", words);
    }
    case "weights":
      return weightsCall(api, action);
  }
}

/** With a limit of the price where the chain has such a call; root has no price. */
async function stakeCall(
  api: ApiPromise,
  action: Extract<ChainAction, { kind: "stake" | "unstake" }>,
): Promise<Call> {
  const { kind, hotkey, netuid, toleranceBps } = action;
  const rao = positive(action.amountRao);
  const name = kind === "stake" ? "addStake" : "removeStake";
  if (toleranceBps === null || netuid === 0)
    return callNamed(api, "subtensorModule", name, [hotkey, netuid, rao]);
  const price = await alphaPrice(api, netuid);
  if (price === null)
    throw new Failure(
      "chain-price-unknown",
      `This chain does not tell the price of subnet ${netuid}'s alpha, so it cannot be held to a limit. Nothing was signed: --any-price does without.`,
    );
  const part = BigInt(kind === "stake" ? 10_000 + toleranceBps : 10_000 - toleranceBps);
  const limit = (price * part) / 10_000n;
  return callNamed(api, "subtensorModule", `${name}Limit`, [hotkey, netuid, rao, limit, false]);
}

/** SECURITY: the price is looked at before, and where the chain can, held to in the call itself. */
async function registerCall(
  api: ApiPromise,
  { hotkey, netuid, mostRao }: Extract<ChainAction, { kind: "register" }>,
): Promise<Call> {
  const { burnRao } = await subnetOf(api, netuid);
  const most = BigInt(mostRao);
  if (burnRao !== null && BigInt(burnRao) > most)
    throw new Failure(
      "chain-too-dear",
      `A place in subnet ${netuid} costs ${formatTao(BigInt(burnRao))} TAO now, and at most ${formatTao(most)} may be burned. Nothing was signed.`,
    );
  const limited = api.tx["subtensorModule"]?.["registerLimit"];
  if (limited !== undefined && limited.meta.args.length === 3) return limited(netuid, hotkey, most);
  return callNamed(api, "subtensorModule", "burnedRegister", [netuid, hotkey]);
}

async function weightsCall(
  api: ApiPromise,
  { netuid, weights, versionKey }: Extract<ChainAction, { kind: "weights" }>,
): Promise<Call> {
  const { sealsWeights } = await subnetOf(api, netuid);
  if (sealsWeights === true)
    throw new Failure(
      "chain-weights-sealed",
      `Subnet ${netuid} takes sealed weights only (commit and reveal), which this version does not make. Nothing was signed: its owner can change that.`,
    );
  const highest = Math.max(...weights.map(({ weight }) => weight));
  if (highest === 0)
    throw new Failure("bad-amount", "Weights that are all 0 say nothing. Nothing was signed.");
  if (new Set(weights.map(({ uid }) => uid)).size !== weights.length)
    throw new Failure("bad-amount", "One uid is named twice. Nothing was signed.");
  const shares = weights.map(({ weight }) => Math.round((weight / highest) * MOST_WEIGHT));
  const uids = weights.map(({ uid }) => uid);
  return callNamed(api, "subtensorModule", "setWeights", [netuid, uids, shares, versionKey]);
}

/** Whether this chain pays many in one transaction, each on its own. */
export function paysMany(api: ApiPromise): boolean {
  return api.tx["utility"]?.["forceBatch"]?.meta.args.length === 1;
}

function callNamed(api: ApiPromise, section: string, method: string, words: readonly unknown[]): Call {
  const call = api.tx[section]?.[method];
  // Another number of arguments is another call of the same name.
  if (call === undefined || call.meta.args.length !== words.length)
    throw new Failure(
      "chain-call-missing",
      `This chain has no ${section}.${method} of the kind that is used here. Nothing was signed.`,
    );
  return call(...words);
}

function positive(raoText: string): bigint {
  const rao = BigInt(raoText);
  if (rao <= 0n) throw new Failure("bad-amount", "Nothing or less cannot be moved. Nothing was signed.");
  return rao;
}

/** As Subtensor keeps it: the address as one number. */
export function ipNumber(ip: string): bigint {
  if (isIPv4(ip)) return ip.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = "", tail] = ip.split("::");
  const parts = (text: string): string[] =>
    text === ""
      ? []
      : text.split(":").flatMap((part) => {
          if (!part.includes(".")) return [part];
          const four = ipNumber(part);
          return [(four >> 16n).toString(16), (four & 0xffffn).toString(16)];
        });
  const [before, after] = [parts(head), parts(tail ?? "")];
  const between = tail === undefined ? [] : Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...between, ...after].reduce((sum, part) => sum * 65_536n + BigInt(`0x${part}`), 0n);
}
