import { decimals } from "./amounts.ts";
import { phrase, say } from "./say.ts";
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
  files: phrase("Looking through the data"),
  data: phrase("Reading the data"),
  model: phrase("Loading the model"),
  checkpoint: phrase("Loading the checkpoint"),
  text: phrase("Loading the text"),
} as const;

/** "Loading the text: 12 of 240 MB, 2.0 MB/s, 2 minutes left." */
export function loadingText({ what, bytes, ofBytes, bytesPerSecond, secondsLeft }: LoadingProgress): string {
  const inMegabytes = (value: number): string => decimals(value / 1e6, ofBytes < 10e6 ? 1 : 0);
  const rate = bytesPerSecond === null ? "" : `, ${decimals(bytesPerSecond / 1e6, 1)} MB/s`;
  const left = secondsLeft === null ? "" : `, ${say("{time} left", { time: duration(secondsLeft) })}`;
  return say("{doing}: {bytes} of {total} MB{more}.", {
    doing: say(DOING[what]),
    bytes: inMegabytes(bytes),
    total: inMegabytes(ofBytes),
    more: `${rate}${left}`,
  });
}

function duration(seconds: number): string {
  if (seconds < 90) return say("{seconds} s", { seconds: Math.max(1, Math.round(seconds)) });
  if (seconds < 5_400) return say("{minutes} minutes", { minutes: Math.round(seconds / 60) });
  return say("{hours} hours", { hours: decimals(seconds / 3_600, 1) });
}
