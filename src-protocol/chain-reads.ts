import { z } from "zod";
import { ss58Address } from "./keys.ts";
import { raoText } from "./units.ts";

/** `tah chain …` ↔ the process that reads a chain meanwhile, over Node's IPC channel. No key is near. */
const netuid = z.int().min(0).max(65_535);
const place = {
  url: z.string().max(500),
  /** Null: whichever chain it is. */
  genesis: z
    .string()
    .regex(/^0x[0-9a-f]{64}$/, "0x and 64 digits of hex")
    .nullable(),
};

export const chainQuestion = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("subnet"), ...place, netuid }),
  z.strictObject({ type: z.literal("neuron"), ...place, netuid, hotkey: ss58Address }),
  z.strictObject({ type: z.literal("account"), ...place, address: ss58Address }),
]);
export type ChainQuestion = z.infer<typeof chainQuestion>;

/** A value is null where this chain does not keep it, or not in a form that is known here. */
export const chainSubnet = z.strictObject({
  netuid,
  /** At this block. */
  block: z.int().nonnegative(),
  exists: z.boolean().nullable(),
  /** Blocks of an epoch, less one. */
  tempo: z.int().nonnegative().nullable(),
  blocksToEpoch: z.int().nonnegative().nullable(),
  /** Rao of TAO for one alpha. */
  priceRao: raoText.nullable(),
  /** What a place costs. */
  burnRao: raoText.nullable(),
  takesRegistrations: z.boolean().nullable(),
  sealsWeights: z.boolean().nullable(),
});
export type ChainSubnet = z.infer<typeof chainSubnet>;

export const chainNeuron = z.strictObject({
  netuid,
  block: z.int().nonnegative(),
  hotkey: ss58Address,
  /** The coldkey it belongs to; null: the chain does not know it. */
  owner: ss58Address.nullable(),
  /** Null: it has no place. */
  uid: z.int().nonnegative().nullable(),
  registeredAt: z.int().nonnegative().nullable(),
  /** Alpha of the last tempo. */
  emissionRao: raoText.nullable(),
  /** 0 to 1. */
  incentive: z.number().min(0).max(1).nullable(),
  dividends: z.number().min(0).max(1).nullable(),
  /** Alpha at this hotkey, of all coldkeys. */
  stakeRao: raoText.nullable(),
  axon: z.strictObject({ ip: z.string(), port: z.int() }).nullable(),
});
export type ChainNeuron = z.infer<typeof chainNeuron>;

export const chainAccount = z.strictObject({
  address: ss58Address,
  block: z.int().nonnegative(),
  freeRao: raoText.nullable(),
  /** Alpha of a coldkey by hotkey and subnet; null: this chain does not tell. */
  stakes: z.array(z.strictObject({ hotkey: ss58Address, netuid, rao: raoText })).nullable(),
});
export type ChainAccountRead = z.infer<typeof chainAccount>;

export const chainAnswer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("subnet"), subnet: chainSubnet }),
  z.strictObject({ type: z.literal("neuron"), neuron: chainNeuron }),
  z.strictObject({ type: z.literal("account"), account: chainAccount }),
]);
export type ChainAnswer = z.infer<typeof chainAnswer>;

export const chainMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("done"), answer: chainAnswer }),
  z.strictObject({ type: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type ChainMessage = z.infer<typeof chainMessage>;
