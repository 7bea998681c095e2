import { z } from "zod";
import { raoText } from "./units.ts";

/** What this computer did in an hour, for one network. Kept on this computer, never sent. */
export const workedHour = z.strictObject({
  /** Begin of the hour, Unix milliseconds. */
  at: z.int().nonnegative(),
  asset: z.enum(["test", "alpha", "tao"]),
  /** Credited in that hour; what was credited later counts where it was seen first. */
  earnedRao: raoText,
  /** Milliseconds in which this computer trained. */
  workedMs: z.int().nonnegative(),
  /** Tokens of the run in steps that were finished meanwhile. */
  tokens: z.int().nonnegative(),
});
export type WorkedHour = z.infer<typeof workedHour>;

export const HOUR_MS = 3_600_000;
/** So far back it can be asked for at once. */
export const LONGEST_HISTORY_MS = 400 * 24 * HOUR_MS;
