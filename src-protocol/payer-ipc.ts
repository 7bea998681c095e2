import { z } from "zod";
import { ss58Address } from "./keys.ts";
import { networkPay } from "./payouts.ts";
import { raoText } from "./units.ts";

/** A served network ↔ the process that pays its claims, over Node's IPC channel. No secret travels here. */
export const payerPlan = z.strictObject({
  /** Data folder of the network: limits, the log of signatures, and what was signed and sent. */
  home: z.string(),
  /** Where `operator.json` lies. */
  networkFolder: z.string(),
  /** The coldkey that pays: a wallet of this name in this folder. */
  root: z.string(),
  wallet: z.string().min(1).max(64),
  /** Of the coldkey's file, where it is locked. */
  passwordFile: z.string().nullable(),
  url: z.string().max(500),
  genesis: z.string().regex(/^0x[0-9a-f]{64}$/, "0x and 64 digits of hex"),
  pays: networkPay,
  /** Where the alpha is staked that is paid from; null: it pays TAO. */
  hotkey: ss58Address.nullable(),
  /** An address is paid when so much is due to it, of all its claims together. */
  leastRao: raoText,
});
export type PayerPlan = z.infer<typeof payerPlan>;

export const toPayer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("start"), plan: payerPlan }),
  z.strictObject({ type: z.literal("stop"), reason: z.string() }),
  z.strictObject({ type: z.literal("ping") }),
]);
export type ToPayer = z.infer<typeof toPayer>;

export const fromPayer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("ready"), address: ss58Address }),
  /** Something that the operator should read; it goes on all the same. */
  z.strictObject({ type: z.literal("note"), text: z.string().max(600) }),
  z.strictObject({ type: z.literal("pong") }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type FromPayer = z.infer<typeof fromPayer>;
