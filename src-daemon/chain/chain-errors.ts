import type { ApiPromise } from "@polkadot/api";

/** What module errors mean for a payment, by their names: their numbers differ between runtimes. */
const MEANINGS: Readonly<Record<string, string>> = {
  StakeUnavailable:
    "a part of this stake is locked (a lock or a registration's collateral), so it cannot be paid out now",
  CannotUnstakeLock: "this stake is locked for now",
  AccountRejectsLockedAlpha: "the receiver takes no locked stake: pay the free part, or have them allow it",
  LockHotkeyMismatch: "locked stake can go to a receiver with the same lock hotkey only",
  RootStakeLocked: "root stake was moved a short while ago and is held for now",
  NotEnoughStakeToWithdraw: "there is less stake than that",
  InsufficientBalance: "the balance is too low for the amount and the fees",
  TransferDisallowed: "this subnet does not allow transfers of stake",
  SlippageTooHigh: "the price moved too far",
  SubnetNotExists: "there is no such subnet",
};

/** Time helps: what was to be paid is held and tried again. */
const PASSING: ReadonlySet<string> = new Set([
  "StakeUnavailable",
  "CannotUnstakeLock",
  "RootStakeLocked",
  "SlippageTooHigh",
]);

interface DispatchErrorLike {
  readonly isModule: boolean;
  readonly asModule: Parameters<ApiPromise["registry"]["findMetaError"]>[0];
  toString(): string;
}

/** One sentence; the error's name is the node's own. */
export function explainChainError(
  registry: Pick<ApiPromise["registry"], "findMetaError">,
  error: DispatchErrorLike,
): string {
  if (!error.isModule) return `The chain did not do it, so nothing moved: ${error.toString().slice(0, 200)}.`;
  const { section, name } = registry.findMetaError(error.asModule);
  const meaning = MEANINGS[name];
  const then = PASSING.has(name) ? " Nothing is lost: try again later." : "";
  return `The chain did not do it, so nothing moved: ${meaning ?? "it has a reason of its own"} (${section}.${name}).${then}`;
}

export function isPassing(name: string): boolean {
  return PASSING.has(name);
}
