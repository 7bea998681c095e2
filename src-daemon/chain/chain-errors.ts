import type { ApiPromise } from "@polkadot/api";
import { Failure } from "../../src-protocol/failure.ts";
import { formatTao } from "../../src-protocol/units.ts";

/** What module errors mean, by their names: their numbers differ between runtimes. */
const MEANINGS: Readonly<Record<string, string>> = {
  StakeUnavailable:
    "a part of this stake is locked (a lock or a registration's collateral), so it cannot be moved now",
  CannotUnstakeLock: "this stake is locked for now",
  AccountRejectsLockedAlpha: "the receiver takes no locked stake: send the free part, or have them allow it",
  LockHotkeyMismatch: "locked stake can go to a receiver with the same lock hotkey only",
  RootStakeLocked: "root stake was moved a short while ago and is held for now",
  NotEnoughStakeToWithdraw: "there is less stake than that",
  NotEnoughBalanceToStake: "the balance is too low",
  InsufficientBalance: "the balance is too low for the amount and the fees",
  NotEnoughBalanceToPaySwapHotKey: "the balance is too low",
  TransferDisallowed: "this subnet does not allow transfers of stake",
  SlippageTooHigh: "the price moved further than was allowed",
  InsufficientLiquidity: "the subnet's pool is too small for that",
  AmountTooLow: "it is less than the chain moves at once",
  SubnetNotExists: "there is no such subnet",
  HotKeyAlreadyRegisteredInSubNet: "this hotkey has a place in the subnet already",
  HotKeyNotRegisteredInSubNet: "this hotkey has no place in the subnet: register it first",
  HotKeyAccountNotExists: "the chain does not know this hotkey: register it first",
  NonAssociatedColdKey: "this hotkey belongs to another coldkey",
  SubNetRegistrationDisabled: "the subnet takes no registrations now",
  TooManyRegistrationsThisBlock: "too many have registered in this block",
  TooManyRegistrationsThisInterval: "too many have registered in this interval",
  ServingRateLimitExceeded: "the address was told a short while ago",
  SettingWeightsTooFast: "weights were set a short while ago",
  NeuronNoValidatorPermit: "only a validator of the subnet may set weights of others",
  NotEnoughStakeToSetWeights: "weights need more stake",
  CommitRevealEnabled: "the subnet takes sealed weights only",
  SubtokenDisabled: "the subnet has not begun yet",
  RateLimitExceeded: "the chain wants a pause between two of these",
  StakingRateLimitExceeded: "the chain wants a pause between two of these",
  StakingOperationRateLimitExceeded: "the chain wants a pause between two of these",
};

/** Time helps: what was to be done is held and tried again. */
const PASSING: ReadonlySet<string> = new Set([
  "StakeUnavailable",
  "CannotUnstakeLock",
  "RootStakeLocked",
  "SlippageTooHigh",
  "InsufficientLiquidity",
  "TooManyRegistrationsThisBlock",
  "TooManyRegistrationsThisInterval",
  "ServingRateLimitExceeded",
  "SettingWeightsTooFast",
  "RateLimitExceeded",
  "StakingRateLimitExceeded",
  "StakingOperationRateLimitExceeded",
]);

/** What a node's pool says with a number only: `CustomTransactionError` of Subtensor. */
const POOL: Readonly<Record<number, string>> = {
  0: "ColdkeySwapAnnounced",
  1: "AmountTooLow",
  2: "InsufficientBalance",
  3: "SubnetNotExists",
  4: "HotKeyAccountNotExists",
  5: "NotEnoughStakeToWithdraw",
  6: "RateLimitExceeded",
  7: "InsufficientLiquidity",
  8: "SlippageTooHigh",
  9: "TransferDisallowed",
  10: "HotKeyNotRegisteredInSubNet",
  11: "InvalidIpAddress",
  12: "ServingRateLimitExceeded",
  13: "InvalidPort",
  14: "ZeroMaxAmount",
  19: "HotKeyNotRegisteredInSubNet",
  21: "ColdkeySwapDisputed",
  25: "NonAssociatedColdKey",
};

interface DispatchErrorLike {
  readonly isModule: boolean;
  readonly asModule: Parameters<ApiPromise["registry"]["findMetaError"]>[0];
  toString(): string;
}

/**
 * One sentence; the error's name is the node's own.
 *
 * @returns Failure `chain-held` where time helps, else `chain-refused`: nothing moved either way
 */
export function chainRefusal(
  registry: Pick<ApiPromise["registry"], "findMetaError">,
  error: DispatchErrorLike,
): Failure {
  if (!error.isModule)
    return new Failure(
      "chain-refused",
      `The chain did not do it, so nothing moved: ${printable(error.toString()).slice(0, 200)}.`,
    );
  const { section, name } = registry.findMetaError(error.asModule);
  return named(name, `${section}.${name}`);
}

/** The node did not even take it. @returns Failure `chain-held`, `chain-refused`: nothing moved */
export function poolRefusal(error: unknown): Failure {
  const said = error instanceof Error ? printable(error.message).slice(0, 300) : "";
  const [, custom] = /custom error: (\d+)/i.exec(said) ?? [];
  const known = custom === undefined ? undefined : POOL[Number(custom)];
  if (known !== undefined) return named(known, `${known}, ${custom}`, error);
  return new Failure("chain-refused", poolSentence(said), { cause: error });
}

/** It is in a block and did nothing, and the chain has taken its fee all the same. */
export class FailedInBlock extends Failure {
  /** Null: the chain does not say. */
  readonly feeRao: bigint | null;

  constructor({ code, message }: Failure, feeRao: bigint | null) {
    const fee = feeRao === null || feeRao === 0n ? "" : ` The fee was taken: ${formatTao(feeRao)} TAO.`;
    super(code, message + fee);
    this.feeRao = feeRao;
  }
}

/** Whether the pool called it invalid, so that it is in no block and in none to come. */
export function isPoolVerdict(error: unknown): boolean {
  return error instanceof Failure && error.cause instanceof Error && /^1010\b/.test(error.cause.message);
}

/** The account's number of this transaction was used: by itself, sent before, or by another one. */
export function isStale(error: unknown): boolean {
  return error instanceof Error && /outdated|stale/i.test(error.message);
}

/** The node has this very transaction already. */
export function isKnown(error: unknown): boolean {
  return error instanceof Error && /already imported|temporarily banned/i.test(error.message);
}

function poolSentence(said: string): string {
  if (/outdated|stale/i.test(said))
    return "The chain has seen a transaction of this key with the same number before, so nothing was sent twice. Wait a block, then look at the balance.";
  if (/pay some fees/i.test(said)) return "The balance does not cover the fees, so nothing was sent.";
  if (/bad signature/i.test(said))
    return "The chain does not take the signature: this version does not fit its runtime. Nothing moved: update Train at Home.";
  return `The chain refused it, so nothing moved: ${said}.`;
}

function named(name: string, told: string, cause?: unknown): Failure {
  const isPassing = PASSING.has(name);
  const then = isPassing ? " Nothing is lost: try again later." : "";
  return new Failure(
    isPassing ? "chain-held" : "chain-refused",
    `The chain did not do it, so nothing moved: ${MEANINGS[name] ?? "it has a reason of its own"} (${told}).${then}`,
    { cause },
  );
}

/** SECURITY: a node's words end up in terminals. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "");
}
