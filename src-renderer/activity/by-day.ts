import { say } from "../../src-protocol/say.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { clock, wholeDate } from "../parts/format.ts";

type Entry = DaemonState["activity"][number];

export interface ActivityDay {
  /** "Today", "Yesterday", "Friday 27 November". */
  readonly day: string;
  readonly entries: readonly (Entry & { readonly clock: string })[];
}

/** Entries, newest first, under the day that they belong to on this computer's clock. */
export function byDay(activity: readonly Entry[], now: number): ActivityDay[] {
  const groups = Map.groupBy(activity, ({ at }) => dayText(at, now));
  return [...groups].map(([day, entries]) => ({
    day,
    entries: entries.map((entry) => ({
      ...entry,
      clock: `${clock(entry.at)}:${String(new Date(entry.at).getSeconds()).padStart(2, "0")}`,
    })),
  }));
}

export function dayText(at: number, now: number): string {
  const days = Math.round((startOfDay(now) - startOfDay(at)) / 86_400_000);
  if (days === 0) return say("Today");
  if (days === 1) return say("Yesterday");
  return wholeDate(at);
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
