import { z } from "zod";

/**
 * How far a node has come: with its owner's data before there is a run (looking through its files, then
 * reading it), later with loading its stage; by file, in the order in which they are needed.
 */
export const loadingProgress = z.strictObject({
  what: z.enum(["files", "data", "model", "checkpoint", "text"]),
  bytes: z.int().nonnegative(),
  ofBytes: z.int().positive(),
  /** Over the last seconds; null: too early to say. */
  bytesPerSecond: z.number().nonnegative().nullable(),
  secondsLeft: z.number().nonnegative().nullable(),
});
export type LoadingProgress = z.infer<typeof loadingProgress>;

const DOING = {
  files: "Looking through the data",
  data: "Reading the data",
  model: "Loading the model",
  checkpoint: "Loading the checkpoint",
  text: "Loading the text",
} as const;

/** "Loading the text: 12 of 240 MB, 2.0 MB/s, 2 minutes left." */
export function loadingText({ what, bytes, ofBytes, bytesPerSecond, secondsLeft }: LoadingProgress): string {
  const inMegabytes = (value: number): string => (value / 1e6).toFixed(ofBytes < 10e6 ? 1 : 0);
  const rate = bytesPerSecond === null ? "" : `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
  const left = secondsLeft === null ? "" : `, ${duration(secondsLeft)} left`;
  return `${DOING[what]}: ${inMegabytes(bytes)} of ${inMegabytes(ofBytes)} MB${rate}${left}.`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} minutes`;
  return `${(seconds / 3_600).toFixed(1)} hours`;
}
