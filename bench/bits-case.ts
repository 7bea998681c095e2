import { z } from "zod";
import { ARITHMETICS, kernels } from "../src-protocol/arithmetic.ts";

/** What a computer, or an emulated one, is given to compute: graphs as files, with their inputs. */
const feed = z.strictObject({
  name: z.string(),
  type: z.enum(["float32", "int32", "int64", "bool"]),
  shape: z.array(z.number()),
  /** The numbers; or drawn, uniform around 0, with the width `drawn`. */
  values: z.array(z.number()).optional(),
  drawn: z.number().optional(),
});
export type BitsFeed = z.infer<typeof feed>;

export const bitsCase = z.strictObject({
  name: z.string(),
  arithmetic: z.enum(ARITHMETICS),
  /** Of the optimiser, where it is not the class's own: that of models from elsewhere. */
  level: kernels.shape.level.optional(),
  file: z.string(),
  outputs: z.array(z.string()),
  feeds: z.array(feed),
});
export type BitsCase = z.infer<typeof bitsCase>;

/** `cases.json` in a folder of cases. */
export const bitsCases = z.strictObject({ cases: z.array(bitsCase) });

/** One line of a runner's output: the SHA-256 of each output, or why there is none. */
export const bitsResult = z.strictObject({
  name: z.string(),
  arithmetic: z.enum(ARITHMETICS),
  digests: z.array(z.string()),
  refused: z.string().optional(),
});
export type BitsResult = z.infer<typeof bitsResult>;
