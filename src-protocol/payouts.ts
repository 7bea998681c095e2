import { say } from "./say.ts";
import { z } from "zod";
import { sr25519Signature, ss58Address } from "./keys.ts";
import { raoText } from "./units.ts";

/** What a network pays on a real chain. One that pays nothing there counts test units. */
export const networkPay = z.strictObject({
  asset: z.enum(["tao", "alpha"]),
  /** Of the alpha; with TAO it is 0. */
  netuid: z.int().min(0).max(65_535),
});
export type NetworkPay = z.infer<typeof networkPay>;

/** `GET /payouts` of the operator's desk: accepted claims that are not paid yet, oldest first. */
export const duePayout = z.strictObject({
  claimId: z.string().max(64),
  hotkey: ss58Address,
  payoutColdkey: ss58Address,
  amountRao: raoText,
  /** As its hotkey has signed it. */
  text: z.string().max(4096),
  signature: sr25519Signature,
  at: z.int().nonnegative(),
  /** Why it waits; null: it has not been tried, or is on its way. */
  held: z.string().nullable(),
});
export type DuePayout = z.infer<typeof duePayout>;

/** One try to pay a claim. */
export const payoutAttempt = z.strictObject({
  claimId: z.string().max(64),
  at: z.int().nonnegative(),
  /** Null: nothing was signed. */
  extrinsic: z.string().nullable(),
  outcome: z.enum(["paid", "waits"]),
  /** Why it waits. */
  detail: z.string().nullable(),
  /** This claim's part of what the chain took from the payer; null: not known. */
  feeRao: raoText.nullable(),
});
export type PayoutAttempt = z.infer<typeof payoutAttempt>;

export const payoutsAnswer = z.strictObject({
  /** Null: test units, which are paid in the network's own book. */
  pays: networkPay.nullable(),
  due: z.array(duePayout),
  /** The last ones, newest first. */
  attempts: z.array(payoutAttempt),
  /** What the chain took from the payer for all tries, those that failed among them, as far as it is known. */
  feesRao: raoText,
});
export type PayoutsAnswer = z.infer<typeof payoutsAnswer>;

/** `POST /payouts/paid`: it has arrived, and that is final. */
export const paidReport = z.strictObject({
  claimId: z.string().max(64),
  block: z.int().nonnegative(),
  blockHash: z.string().max(66),
  extrinsic: z.string().max(66),
  creditedRao: raoText,
  /** This claim's part of the transaction's fee; null: the chain does not say. */
  feeRao: raoText.nullable(),
});
export type PaidReport = z.infer<typeof paidReport>;

/** `POST /payouts/held`: why it waits. It is tried again. */
export const heldReport = z.strictObject({
  claimId: z.string().max(64),
  reason: z.string().max(500),
  /** Null: it was not tried. */
  attempt: z
    .strictObject({
      extrinsic: z.string().max(66).nullable(),
      /** This claim's part of a fee that was taken all the same; null: none was, or it is not known. */
      feeRao: raoText.nullable(),
    })
    .nullable(),
});
export type HeldReport = z.infer<typeof heldReport>;
export const reportAnswer = z.strictObject({ claimId: z.string() });

/** "TAO", "alpha of subnet 9". */
export function payText(pays: NetworkPay): string {
  return pays.asset === "tao" ? "TAO" : say("alpha of subnet {netuid}", { netuid: pays.netuid });
}
