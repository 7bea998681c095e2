import { Failure } from "../../src-protocol/failure.ts";
import { payText } from "../../src-protocol/payouts.ts";
import type { NetworkPay } from "../../src-protocol/payouts.ts";
import { orNull, textOf } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";

const TEST = "test 0";

/**
 * A book counts one thing for good. SECURITY: what was counted as test units, or as alpha of one subnet, must never
 * become money of another kind.
 *
 * @throws Failure `pay-changed`
 */
export async function keepPay(store: Store, pays: NetworkPay | null): Promise<void> {
  const wanted = pays === null ? TEST : `${pays.asset} ${pays.netuid}`;
  const kept = store.write(() => {
    const known =
      orNull(store.get("SELECT value FROM meta WHERE key = 'pays'")?.value, textOf) ??
      // From before this was written down: what is in it are test units.
      (hasRows(store) ? TEST : wanted);
    if (known !== wanted)
      throw new Failure(
        "pay-changed",
        `The book of this network counts ${nameOf(known)}, and cannot be made to count ${pays === null ? "test units" : payText(pays)}. Serve another network for that: name a folder that is new with --home.`,
      );
    store.run("INSERT OR REPLACE INTO meta VALUES ('pays', :wanted)", { wanted });
  });
  store.flush();
  await kept;
}

function hasRows(store: Store): boolean {
  return ["receipts", "statements", "claims"].some(
    (table) => store.get(`SELECT 1 FROM ${table} LIMIT 1`) !== null,
  );
}

function nameOf(kept: string): string {
  const [asset = "", netuid = ""] = kept.split(" ");
  if (asset === "test") return "test units";
  return asset === "tao" ? "TAO" : `alpha of subnet ${netuid}`;
}
