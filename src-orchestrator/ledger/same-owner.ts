import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { Store } from "../stores/store.ts";
import { bindingOf } from "./bindings.ts";

export interface SameOwner {
  /** To which all of them are paid. */
  readonly payoutColdkey: Ss58Address;
  readonly others: readonly Ss58Address[];
}

/**
 * Other hotkeys of the owner of this one, at most `limit`; null: nobody has signed for this one.
 *
 * SECURITY: an owner is who has signed for both with the payout address's own key: by a consent that holds now. A
 * hotkey that merely names somebody's address, or was bound to it on the network's own computer, is told of nobody.
 */
export function sameOwner(store: Store, hotkey: Ss58Address, limit: number): SameOwner | null {
  const binding = bindingOf(store, hotkey);
  if (binding === null || binding.text === null) return null;
  const { payoutColdkey } = binding;
  const others = store
    .all(
      `SELECT h.address FROM hotkeys h JOIN bindings b ON b.hotkey = h.number
       WHERE h.payoutColdkey = :payoutColdkey AND h.address <> :hotkey AND b.text IS NOT NULL
         AND b.generation = (SELECT max(generation) FROM bindings WHERE hotkey = h.number)
       ORDER BY h.number LIMIT :limit`,
      { payoutColdkey, hotkey, limit },
    )
    .map(({ address }) => ss58Address.parse(address));
  return { payoutColdkey, others };
}
