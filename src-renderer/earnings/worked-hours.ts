import type { ComputerHour } from "../../src-protocol/history.ts";
import { useMemo } from "react";
import { getBridge } from "../bridge/bridge.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import { barEdges, type EarnedHour, justEarned, type Range } from "./earned-bars.ts";
import { type Rows, useRows } from "../parts/rows-of.ts";

const ASK_EVERY_MS = 15_000;

/** What it sent, received and drew in a range. */
export function useComputerHours(range: Range): Rows<ComputerHour> {
  const connection = useDashboard(({ connection }) => connection);
  const now = useNow(60_000);
  const edges = barEdges(range, now);
  const from = edges[0]?.from ?? 0;
  const to = edges.at(-1)?.to ?? 0;
  const ask = async () => (await getBridge().call("history.computer", { from, to })).hours;
  return useRows(ask, `${connection} ${from} ${now}`, ASK_EVERY_MS);
}

/** What this computer did in a range, fresh while it works: its earnings agree with those of the state at once. */
export function useWorkedHours(range: Range): Rows<EarnedHour> {
  const connection = useDashboard(({ connection }) => connection);
  const earnings = useDashboard(({ state }) => state?.earnings ?? null);
  const now = useNow(60_000);
  const edges = barEdges(range, now);
  const from = edges[0]?.from ?? 0;
  const to = edges.at(-1)?.to ?? 0;
  const ask = async () => [await getBridge().call("history.hours", { from, to })];
  const { rows, failure } = useRows(ask, `${connection} ${from} ${earnings?.accruedRao}`, ASK_EVERY_MS);
  const [told] = rows ?? [];
  const hours = useMemo(
    () => (told === undefined ? null : [...told.hours, ...justEarned(told.inAllRao, earnings, now)]),
    [told, earnings, now],
  );
  return { rows: hours, failure };
}
