import type { Ss58Address } from "../../src-protocol/keys.ts";
import { MOST_DEVICES } from "../../src-protocol/settled-pay.ts";
import type { SettledAnswer } from "../../src-protocol/settled-pay.ts";
import { bigintOf, numberOf, orNull } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { sameOwner } from "./same-owner.ts";

type Device = SettledAnswer["devices"][number];

/**
 * What payments have brought since each of these moments (Unix ms): of the hotkey that asks, and of the other
 * computers of its owner.
 *
 * SECURITY: of others (`sameOwner`) is told only what went to the address that has signed for both.
 */
export function settledPay(store: Store, hotkey: Ss58Address, since: readonly number[]): SettledAnswer {
  const own = device(store, hotkey, null, since);
  const owner = sameOwner(store, hotkey, MOST_DEVICES - 1);
  if (owner === null) return { devices: [own] };
  const { payoutColdkey, others } = owner;
  return { devices: [own, ...others.map((other) => device(store, other, payoutColdkey, since))] };
}

/** `to`: what went to this address alone; null: to any. */
function device(store: Store, hotkey: Ss58Address, to: Ss58Address | null, since: readonly number[]): Device {
  return {
    hotkey,
    since: since.map((from) => {
      const row = store.get(
        `SELECT sum(p.creditedRao) AS rao, count(*) AS payments FROM claims c JOIN hotkeys h ON h.number = c.hotkey
         JOIN payments p USING (claimId)
         WHERE h.address = :hotkey AND p.at >= :from AND (:to IS NULL OR c.payoutColdkey = :to)`,
        { hotkey, from, to },
      );
      return {
        creditedRao: String(orNull(row?.rao, bigintOf) ?? 0n),
        payments: orNull(row?.payments, numberOf) ?? 0,
      };
    }),
  };
}
