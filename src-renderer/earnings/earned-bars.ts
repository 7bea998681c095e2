import { type ComputerHour, HOUR_MS, type WorkedHour } from "../../src-protocol/history.ts";
import type { Rules } from "../../src-protocol/policy.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import type { Asset } from "../parts/format.ts";

export type Range = "today" | "week" | "month" | "all";

type Electricity = NonNullable<Rules["electricity"]>;

/** An hour as it was told, or what was earned since: that has no work beside it yet. */
export type EarnedHour = WorkedHour & { readonly isSince?: true };

/** One bar: an hour, a day or a month on this computer's clock. */
export interface Bar {
  /** Unix milliseconds; `to` is not in it. */
  readonly from: number;
  readonly to: number;
  readonly earnedRao: bigint;
  readonly workedMs: number;
  readonly tokens: number;
  /** Of what was earned, that for which no work is counted yet. */
  readonly sinceRao: bigint;
}

export interface EarnedSum {
  readonly earnedRao: bigint;
  readonly workedMs: number;
  readonly tokens: number;
  /** For an hour of work; null until there was some. */
  readonly perHourRao: bigint | null;
}

const MONTHS_SHOWN = 12;
/** Less work than this says nothing about an hour. */
const LEAST_WORK_MS = 60_000;

/** Where the bars of a range begin and end, oldest first, the last one holding `now`. */
export function barEdges(range: Range, now: number): { from: number; to: number }[] {
  const day = new Date(now);
  day.setHours(0, 0, 0, 0);
  if (range === "today") {
    const end = startOfDay(day, 1);
    const edges = [];
    // A day has 23, 24 or 25 hours.
    for (let from = day.getTime(); from < end; from += HOUR_MS) edges.push({ from, to: from + HOUR_MS });
    return edges;
  }
  if (range === "all") {
    return Array.from({ length: MONTHS_SHOWN }, (_, index) => {
      const month = day.getMonth() - (MONTHS_SHOWN - 1) + index;
      return {
        from: new Date(day.getFullYear(), month, 1).getTime(),
        to: new Date(day.getFullYear(), month + 1, 1).getTime(),
      };
    });
  }
  const days = range === "week" ? 7 : 30;
  return Array.from({ length: days }, (_, index) => ({
    from: startOfDay(day, index - days + 1),
    to: startOfDay(day, index - days + 2),
  }));
}

export function barsOf(hours: readonly EarnedHour[], asset: Asset, range: Range, now: number): Bar[] {
  return barEdges(range, now).map(({ from, to }) => {
    const mine = hours.filter((hour) => hour.asset === asset && hour.at >= from && hour.at < to);
    const { earnedRao, workedMs, tokens } = sumOf(mine);
    const since = sumOf(mine.filter(({ isSince }) => isSince));
    return { from, to, earnedRao, workedMs, tokens, sinceRao: since.earnedRao };
  });
}

export function sumOf(hours: readonly (EarnedHour | Bar)[]): EarnedSum {
  let earnedRao = 0n;
  let sinceRao = 0n;
  let workedMs = 0;
  let tokens = 0;
  for (const hour of hours) {
    earnedRao += BigInt(hour.earnedRao);
    if ("sinceRao" in hour) sinceRao += hour.sinceRao;
    workedMs += hour.workedMs;
    tokens += hour.tokens;
  }
  const perHourRao =
    workedMs < LEAST_WORK_MS
      ? null
      : ((earnedRao - sinceRao) * BigInt(HOUR_MS)) / BigInt(Math.round(workedMs));
  return { earnedRao, workedMs, tokens, perHourRao };
}

/**
 * What was earned since hours were told, by the total that they have counted (`inAllRao`): hours are asked for
 * now and then, and the total beside them changes with every step.
 */
export function justEarned(
  inAllRao: string | null,
  earnings: Pick<DaemonState["earnings"], "asset" | "accruedRao" | "claimedRao"> | null,
  now: number,
): EarnedHour[] {
  if (inAllRao === null || earnings === null) return [];
  const earnedRao = BigInt(earnings.accruedRao) + BigInt(earnings.claimedRao) - BigInt(inAllRao);
  if (earnedRao <= 0n) return [];
  const { asset } = earnings;
  return [{ at: now, asset, earnedRao: earnedRao.toString(), workedMs: 0, tokens: 0, isSince: true }];
}

/** What spreadsheets take: a line a bar, amounts in whole units with nine digits. */
export function barsAsCsv(bars: readonly Bar[], exact: (rao: bigint) => string, unit: string): string {
  const lines = bars.map(
    ({ from, earnedRao, workedMs, tokens }) =>
      `${new Date(from).toISOString()},${exact(earnedRao)},${unit},${(workedMs / HOUR_MS).toFixed(3)},${tokens}`,
  );
  return `${["from,earned,unit,hours worked,tokens", ...lines].join("\r\n")}\r\n`;
}

/** What programs take. Hours of work, exact amounts as text. */
export function barsAsJson(bars: readonly Bar[], exact: (rao: bigint) => string, asset: Asset): string {
  return JSON.stringify(
    bars.map(({ from, to, earnedRao, workedMs, tokens }) => ({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      earned: exact(earnedRao),
      asset,
      hoursWorked: Number((workedMs / HOUR_MS).toFixed(3)),
      tokens,
    })),
    null,
    1,
  );
}

/** What the electricity for work costs, by the watts that its owner has entered, else as measured; null: nothing was. */
export function costOf(
  workedMs: number,
  { pricePerKwh, watts }: Electricity,
  computer: readonly Pick<ComputerHour, "wattHours">[] = [],
): number | null {
  if (watts !== null) return (workedMs / HOUR_MS) * (watts / 1000) * pricePerKwh;
  const measured = computer.flatMap(({ wattHours }) => (wattHours === null ? [] : [wattHours]));
  if (measured.length === 0) return null;
  return (measured.reduce((sum, wattHours) => sum + wattHours, 0) / 1000) * pricePerKwh;
}

function startOfDay(day: Date, offset: number): number {
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + offset).getTime();
}
