import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import type { Store } from "../stores/store.ts";

/**
 * To whom a hotkey's work is paid: the payout address that is bound, else itself. Computers with the same one are of
 * one owner, for who may vouch for whom and for who is placed beside whom.
 *
 * SECURITY: an address that was not signed for counts, too, so this is told to nobody: see `sameOwner`.
 */
export function ownerOf(store: Store, hotkey: Ss58Address): Ss58Address {
  const row = store.get("SELECT payoutColdkey FROM hotkeys WHERE address = :hotkey", { hotkey });
  return ss58Address.parse(row?.payoutColdkey ?? hotkey);
}
