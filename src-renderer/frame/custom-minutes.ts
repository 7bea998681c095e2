import { say } from "../../src-protocol/say.ts";
const MOST_MINUTES = 7 * 24 * 60;

/** Minutes from the fields of the custom choice, or why they cannot be used. */
export function customMinutes(hours: string, minutes: string): number | string {
  const total = Number(hours || "0") * 60 + Number(minutes || "0");
  if (!Number.isInteger(total) || total < 1)
    return say("Give a time of at least one minute, in whole minutes.");
  if (total > MOST_MINUTES)
    return say("Seven days are the longest. For more, choose your own hours under Schedule.");
  return total;
}
