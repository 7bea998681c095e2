import type { DaemonState } from "../../src-protocol/state.ts";

type Earnings = Pick<DaemonState["earnings"], "accruedRao" | "asset" | "later" | "former">;

export interface Claimable {
  readonly isAny: boolean;
  /** What the claim will be of; null: of several assets, so no one amount. */
  readonly rao: string | null;
}

/** What a claim takes now: all that is pending but what waits for its block, with that of keys of before whose files are here. */
export function claimable({ accruedRao, asset, later, former }: Earnings): Claimable {
  const own = BigInt(accruedRao) - BigInt(later?.amountRao ?? "0");
  const before = former.filter(({ isHere, accruedRao: rao }) => isHere && rao !== "0");
  const all = before.reduce((sum, { accruedRao: rao }) => sum + BigInt(rao), own > 0n ? own : 0n);
  const isOne = before.every((key) => key.asset === asset);
  return { isAny: all > 0n, rao: isOne && all > 0n ? all.toString() : null };
}
