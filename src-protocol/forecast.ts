import { z } from "zod";
import { raoText } from "./units.ts";

/** Local, deletable, never sent: of one hour, how long somebody's presence was known, and how long nobody was there. */
export const presenceHour = z.strictObject({
  /** Begin of the hour, Unix milliseconds. */
  at: z.int().nonnegative(),
  awayMs: z.int().nonnegative(),
  seenMs: z.int().nonnegative(),
});
export type PresenceHour = z.infer<typeof presenceHour>;

/** When it will run, and what that brought so far: never more than is known. */
export const forecast = z.strictObject({
  from: z.int().nonnegative(),
  to: z.int().nonnegative(),
  /** When the rules allow it, as far as time alone decides. */
  hours: z.array(z.strictObject({ start: z.int(), end: z.int() })),
  allowedHours: z.number().nonnegative(),
  /** Of those, what is left after the hours in which somebody was here in the weeks before. */
  expectedHours: z.number().nonnegative(),
  /** Null: nothing was ever paid, so nobody knows. */
  pay: z
    .strictObject({
      asset: z.enum(["test", "alpha", "tao"]),
      /** For the expected hours, by the worst and the best paid claim. */
      lowRao: raoText,
      highRao: raoText,
      /** Paid claims that this rests on. */
      claims: z.int().positive(),
      workedHours: z.number().positive(),
    })
    .nullable(),
  /** Of the expected hours; null: its price was not entered, or nobody knows the watts. */
  electricity: z
    .strictObject({
      kWh: z.number(),
      cost: z.number(),
      watts: z.number().nonnegative(),
      /** By what the watts were measured; null: they were entered. */
      measured: z.string().max(120).nullable(),
    })
    .nullable(),
  /** All of it in sentences, with what it does not know. */
  text: z.string(),
});
export type Forecast = z.infer<typeof forecast>;
