import type { ApiPromise } from "@polkadot/api";
import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { spendOf } from "../../src-protocol/chain-action.ts";
import { withChain } from "./chain-api.ts";
import type { ChainPlace } from "./chain-api.ts";
import { isPoolVerdict } from "./chain-errors.ts";
import { findSigned, sendSigned, signAction } from "./chain-sending.ts";
import type { ActionKey, ArrivedAction, SignedAction } from "./chain-sending.ts";

/**
 * Does one thing on a chain, and resolves when that is final.
 *
 * @throws Failure of `withChain`, `signAction` (nothing was signed) and `sendSigned`
 */
export function act(
  place: ChainPlace & { readonly genesis: string },
  action: ChainAction,
  key: ActionKey,
): Promise<ArrivedAction> {
  return withChain(place, async (api) => {
    const signed = await signAction(api, action, key);
    try {
      return await sendSigned(api, signed);
    } catch (error) {
      const spent = spendOf(action);
      if (spent !== null && (isPoolVerdict(error) || (await isOver(api, signed))))
        key.movedLess?.(signed, { rao: spent.rao, of: "all" });
      throw error;
    }
  });
}

/** Whether it did nothing, and never will. What cannot be asked is not known. */
async function isOver(api: ApiPromise, signed: SignedAction): Promise<boolean> {
  const { state } = await findSigned(api, signed).catch(() => ({ state: "unknown" }) as const);
  return state === "failed" || state === "gone";
}
