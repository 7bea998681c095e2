import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { MOST_DEVICES } from "../../src-protocol/settled-pay.ts";
import type { SettledAnswer } from "../../src-protocol/settled-pay.ts";
import { bigintOf, numberOf, orNull } from "../stores/store.ts";
import type { Store } from "../stores/store.ts";
import { bindingOf } from "./bindings.ts";

type Device = SettledAnswer["devices"][number];

/**
 * What payments have brought since each of these moments (Unix ms): of the hotkey that asks, and of the other
 * computers of its owner.
 *
 * SECURITY: an owner is who has signed for both with the payout address's own key, and of others is told only what
 * went to that address. A hotkey that merely names an address learns nothing of it.
 */
export function settledPay(store: Store, hotkey: Ss58Address, since: readonly number[]): SettledAnswer {
  const own = device(store, hotkey, null, since);
  const binding = bindingOf(store, hotkey);
  if (binding === null || binding.text === null) return { devices: [own] };
  const { payoutColdkey } = binding;
  const others = agreed(store, payoutColdkey).filter((other) => other !== hotkey);
  return {
    devices: [
      own,
      ...others.slice(0, MOST_DEVICES - 1).map((other) => device(store, other, payoutColdkey, since)),
    ],
  };
}

/** Hotkeys whose binding that holds now was signed by this address. */
function agreed(store: Store, payoutColdkey: Ss58Address): Ss58Address[] {
  return store
    .all(
      `SELECT h.address FROM hotkeys h JOIN bindings b ON b.hotkey = h.number
       WHERE h.payoutColdkey = :payoutColdkey AND b.text IS NOT NULL
         AND b.generation = (SELECT max(generation) FROM bindings WHERE hotkey = h.number)
       ORDER BY h.number LIMIT :limit`,
      { payoutColdkey, limit: MOST_DEVICES },
    )
    .map(({ address }) => ss58Address.parse(address));
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
