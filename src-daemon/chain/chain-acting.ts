import type { ChainAction } from "../../src-protocol/chain-action.ts";
import { withChain } from "./chain-api.ts";
import type { ChainPlace } from "./chain-api.ts";
import { sendSigned, signAction } from "./chain-sending.ts";
import type { ActionKey, ArrivedAction } from "./chain-sending.ts";

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
  return withChain(place, async (api) => sendSigned(api, await signAction(api, action, key)));
}
