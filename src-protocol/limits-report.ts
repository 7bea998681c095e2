import { z } from "zod";

/** One limit: what is asked, what holds in fact, by what means, and what is used now. */
export const limitRow = z.strictObject({
  what: z.enum([
    "cores",
    "priority",
    "memory",
    "disk",
    "upload",
    "download",
    "monthly-data",
    "graphics-card",
    "power",
  ]),
  asked: z.string(),
  /** Null: it is not enforced here. */
  enforced: z.string().nullable(),
  /** The means; where it is not enforced: why. */
  by: z.string(),
  /** What is used now; null: that cannot be told here. */
  used: z.string().nullable(),
});
export type LimitRow = z.infer<typeof limitRow>;
export const limitsReport = z.strictObject({ limits: z.array(limitRow) });
export type LimitsReport = z.infer<typeof limitsReport>;
