import { z } from "zod";
import { sessionKey, ss58Address } from "./keys.ts";
import { raoText } from "./units.ts";

/** Computers of one owner that are told apart. */
export const MOST_OWN_COMPUTERS = 256;

const connected = z.strictObject({
  sessionKey,
  /** Null: it waits for a slice. */
  stage: z.int().nonnegative().nullable(),
  /** It trains the slice; else it gets ready. */
  isLive: z.boolean(),
  /** Why others cannot dial it; empty: they can, or it is not known yet. */
  reach: z.string().max(400),
});

/** A hotkey, and the computers that work with it now. */
const computersOfKey = z.strictObject({
  hotkey: ss58Address,
  /** Credited and not claimed yet. */
  accruedRao: raoText,
  receipts: z.int().nonnegative(),
  computers: z.array(connected).max(MOST_OWN_COMPUTERS),
});
export type ComputersOfKey = z.infer<typeof computersOfKey>;

/**
 * `GET /v1/account/computers` (signed): of the hotkey that asks, first, and of those whose payout address has signed
 * that it is the same owner's.
 */
export const ownComputersAnswer = z.strictObject({ keys: z.array(computersOfKey).max(MOST_OWN_COMPUTERS) });
export type OwnComputersAnswer = z.infer<typeof ownComputersAnswer>;

/** `network.computers` of the daemon's local API: the owner's computers beside this one. */
export const otherComputers = z.strictObject({
  asset: z.enum(["test", "alpha", "tao"]),
  keys: z.array(
    z.strictObject({
      ...computersOfKey.shape,
      /** The key that this computer works with too: what it has earned is of both. */
      isShared: z.boolean(),
    }),
  ),
});
export type OtherComputers = z.infer<typeof otherComputers>;
