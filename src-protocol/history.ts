import { z } from "zod";
import { nodePhase } from "./node-phase.ts";
import { reasonCode } from "./policy.ts";
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

/** What this computer sent, received and drew in an hour, for all networks. Kept on this computer, never sent. */
export const computerHour = z.strictObject({
  /** Begin of the hour, Unix milliseconds. */
  at: z.int().nonnegative(),
  /** Over the computer's line; what stays in the computer does not count. */
  sentBytes: z.int().nonnegative(),
  receivedBytes: z.int().nonnegative(),
  /** Drawn while it worked, by what `measured` names; null: nothing here tells it. */
  wattHours: z.number().nonnegative().nullable(),
  /** Milliseconds of the hour that this was measured over. */
  measuredMs: z.int().nonnegative(),
  /** As "the processor alone". */
  measured: z.string().max(120).nullable(),
});
export type ComputerHour = z.infer<typeof computerHour>;

/** From one state to the next, and why. Kept on this computer, never sent. */
export const stateChange = z.strictObject({
  /** Unix milliseconds. */
  at: z.int().nonnegative(),
  /** `off`: Train at Home did not run; null: it was not heard of again, as after a kill or a power cut. */
  from: z.enum(["run", "pause", "off"]).nullable(),
  to: z.enum(["run", "pause", "off"]),
  /** What this computer's worker did from then on. */
  phase: nodePhase,
  /** All that applied, most important first. */
  reasons: z.array(reasonCode),
  /** Whose manual pause or start holds since then, as `cli` or `agent Helper`; null: nobody's. */
  who: z.string().max(80).nullable(),
});
export type StateChange = z.infer<typeof stateChange>;

export const HOUR_MS = 3_600_000;
/** So far back it can be asked for at once. */
export const LONGEST_HISTORY_MS = 400 * 24 * HOUR_MS;
