import { z } from "zod";
import { raoText } from "../../src-protocol/units.ts";

/** What the chain's thread tells the daemon. */
export const chainEvent = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("head"), block: z.int().nonnegative() }),
  /** Null: this chain keeps no such balance, or none that fits. */
  z.strictObject({ type: z.literal("balance"), rao: raoText.nullable() }),
  z.strictObject({ type: z.literal("lost"), reason: z.string().max(300) }),
]);
export type ChainEvent = z.infer<typeof chainEvent>;
