import { z } from "zod";
import { weeklyWindow } from "./rules.ts";

/** Hours in which nobody is here, learned on this computer; they apply when the owner has said yes to them. */
export const sleepSuggestion = z.strictObject({
  /** Null: not enough was seen. */
  windows: z.array(weeklyWindow).nullable(),
  /** 0 to 1: how often nobody was here then, and over how many weeks and days. */
  confidence: z.number().min(0).max(1),
  /** The schedule of now says other hours. */
  differs: z.boolean(),
  text: z.string(),
});
export type SleepSuggestion = z.infer<typeof sleepSuggestion>;
