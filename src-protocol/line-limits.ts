import { number } from "./amounts.ts";
import { say } from "./say.ts";
import { z } from "zod";

/** Below this a heartbeat would wait for a tensor; who wants less pauses. */
export const LEAST_MBIT = 0.5;
export const MOST_MBIT = 100_000;

const limit = z.number().min(LEAST_MBIT).max(MOST_MBIT).nullable();
const share = z.number().positive().max(MOST_MBIT).nullable();

/**
 * What the owner allows all workers of this computer together to send and to receive, in Mbit/s
 * (1e6 bits); null: no limit. Counted are the bytes of frames and files, over every kind of link.
 */
export const lineLimits = z.strictObject({ uploadMbit: limit, downloadMbit: limit });
export type LineLimits = z.infer<typeof lineLimits>;

/** Of that, what one worker may use just now. */
export const lineShare = z.strictObject({ uploadMbit: share, downloadMbit: share });

export const NO_LIMITS: LineLimits = { uploadMbit: null, downloadMbit: null };

/** Of a worker since it began; `held`: something had to wait since it told this last. */
export const lineUse = z.strictObject({
  sentBytes: z.int().nonnegative(),
  receivedBytes: z.int().nonnegative(),
  uploadHeld: z.boolean(),
  downloadHeld: z.boolean(),
});
export type LineUse = z.infer<typeof lineUse>;

/** What is asked, and what all workers of this computer used in the last ten seconds, in Mbit/s. */
export const trafficState = z.strictObject({
  limits: lineLimits,
  uploadMbit: z.number().nonnegative(),
  downloadMbit: z.number().nonnegative(),
});
export type TrafficState = z.infer<typeof trafficState>;

/** "5 Mbit/s", "no limit". */
export function limitText(mbit: number | null): string {
  return mbit === null ? say("no limit") : `${mbitText(mbit)} Mbit/s`;
}

/** "0.43", "12.5", "120". */
export function mbitText(mbit: number): string {
  return number(Number(mbit.toFixed(mbit < 1 ? 2 : mbit < 100 ? 1 : 0)));
}
