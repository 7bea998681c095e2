import type { DaemonState } from "../../src-protocol/state.ts";
import { clock } from "../parts/format.ts";

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
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const date = new Date(at);
  const name = (part: Intl.DateTimeFormatOptions) => date.toLocaleString("en-US", part);
  return `${name({ weekday: "long" })} ${date.getDate()} ${name({ month: "long" })}`;
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
