import { z } from "zod";
import { ss58Address } from "./keys.ts";
import { formatTao, assetWord, raoText } from "./units.ts";
import { dayOf } from "./zone.ts";

/**
 * What has arrived, by computer and by stretch of time: of payments alone, by the moment at which the network has
 * booked them. Nothing that is pending, claimed or expected is in it.
 */

const DAY_MS = 86_400_000;
export const MOST_SINCE = 8;
/** Computers of one payout address that are told apart. */
export const MOST_DEVICES = 256;

const paidSince = z.strictObject({
  creditedRao: raoText,
  payments: z.int().nonnegative(),
});

/** `GET /v1/account/settled?since=A,B,…` (signed): for each moment (Unix ms), what has arrived from it on until now. */
export const settledAnswer = z.strictObject({
  /** The hotkey that asks first; then those whose payout address has agreed, by its own signature, to be the same. */
  devices: z
    .array(z.strictObject({ hotkey: ss58Address, since: z.array(paidSince).max(MOST_SINCE) }))
    .max(MOST_DEVICES),
});
export type SettledAnswer = z.infer<typeof settledAnswer>;

export const SETTLED_WINDOWS = ["today", "last-7-days", "last-30-days", "ever"] as const;
export type SettledWindow = (typeof SETTLED_WINDOWS)[number];

export const WINDOW_TEXT: Readonly<Record<SettledWindow, string>> = {
  today: "today",
  "last-7-days": "in the last 7 days",
  "last-30-days": "in the last 30 days",
  ever: "ever",
};

const paidIn = z.strictObject({
  window: z.enum(SETTLED_WINDOWS),
  /** Unix milliseconds; it ends at `asOf`. */
  from: z.int().nonnegative(),
  ...paidSince.shape,
});

/** `earnings.settled` of the daemon's local API. */
export const settledPay = z.strictObject({
  asset: z.enum(["test", "alpha", "tao"]),
  asOf: z.int().nonnegative(),
  /** All computers together. */
  windows: z.array(paidIn),
  devices: z.array(
    z.strictObject({
      hotkey: ss58Address,
      /** `former`: a key that this computer worked with before. `other`: another computer of the same payout address. */
      is: z.enum(["this", "former", "other"]),
      windows: z.array(paidIn),
    }),
  ),
});
export type SettledPay = z.infer<typeof settledPay>;

/** When each stretch begins on the clocks of a zone. */
export function windowStarts(zone: string, now: number): { window: SettledWindow; from: number }[] {
  const from: Readonly<Record<SettledWindow, number>> = {
    today: dayOf(zone, now),
    "last-7-days": now - 7 * DAY_MS,
    "last-30-days": now - 30 * DAY_MS,
    ever: 0,
  };
  return SETTLED_WINDOWS.map((window) => ({ window, from: Math.max(0, Math.floor(from[window])) }));
}

/** "0.5 TAO today, 1.2 TAO in the last 7 days, …" */
export function windowsText(windows: SettledPay["windows"], asset: SettledPay["asset"]): string {
  return windows
    .map(({ window, creditedRao }) => `${formatTao(BigInt(creditedRao), 9)} ${WINDOW_TEXT[window]}`)
    .join(", ")
    .concat(` (${assetWord(asset)})`);
}
