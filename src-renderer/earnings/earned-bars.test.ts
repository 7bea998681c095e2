import { expect, test } from "vitest";
import type { WorkedHour } from "../../src-protocol/history.ts";
import { formatTao } from "../../src-protocol/units.ts";
import { barEdges, barsAsCsv, barsAsJson, barsOf, costOf, justEarned, sumOf } from "./earned-bars.ts";

const NOW = new Date(2026, 10, 23, 14, 5).getTime();
const hour = (at: Date, earned: number, minutes = 60, asset: WorkedHour["asset"] = "test"): WorkedHour => ({
  at: at.getTime(),
  asset,
  earnedRao: String(earned),
  workedMs: minutes * 60_000,
  tokens: 10,
});

test("today has an hour a bar, a week and a month a day, all a month", () => {
  expect(barEdges("today", NOW)).toHaveLength(24);
  expect(barEdges("week", NOW).map(({ from }) => new Date(from).getDate())).toEqual([
    17, 18, 19, 20, 21, 22, 23,
  ]);
  expect(barEdges("month", NOW)).toHaveLength(30);
  const months = barEdges("all", NOW);
  expect(new Date(months[0]?.from ?? 0)).toEqual(new Date(2025, 11, 1));
  for (const range of ["today", "week", "month", "all"] as const) {
    const edges = barEdges(range, NOW);
    expect(edges.slice(1).every(({ from }, index) => from === edges[index]?.to)).toBe(true);
    expect(edges.some((edge) => NOW >= edge.from && NOW < edge.to)).toBe(true);
  }
});

test("each hour is in one bar, and another asset in none", () => {
  const hours = [
    hour(new Date(2026, 10, 22, 23), 100),
    hour(new Date(2026, 10, 23, 0), 40, 30),
    hour(new Date(2026, 10, 23, 13), 60, 30),
    hour(new Date(2026, 10, 23, 13), 7, 30, "tao"),
  ];
  const today = sumOf(barsOf(hours, "test", "today", NOW));
  expect(today).toEqual({ earnedRao: 100n, workedMs: 3_600_000, tokens: 20, perHourRao: 100n });
  expect(barsOf(hours, "test", "week", NOW).map(({ earnedRao }) => earnedRao)).toEqual([
    0n,
    0n,
    0n,
    0n,
    0n,
    100n,
    100n,
  ]);
});

test("what an hour brings is not guessed from a few seconds", () => {
  expect(sumOf([hour(new Date(NOW), 1_000, 0.5)]).perHourRao).toBeNull();
});

test("what was earned since the hours were told counts at once, and not for an hour of work", () => {
  const earnings = { asset: "test", accruedRao: "30", claimedRao: "100" } as const;
  const since = justEarned("100", earnings, NOW);
  const hours = [hour(new Date(2026, 10, 23, 13), 100), ...since];
  const today = { earnedRao: 130n, workedMs: 3_600_000, tokens: 10, perHourRao: 100n };
  expect(sumOf(barsOf(hours, "test", "today", NOW))).toEqual(today);
  expect(barsOf(hours, "test", "today", NOW)[14]?.earnedRao).toBe(30n);
  // Another network, or an answer that is newer than the state.
  expect(justEarned(null, earnings, NOW)).toEqual([]);
  expect(justEarned("131", earnings, NOW)).toEqual([]);
});

test("a spreadsheet gets exact amounts", () => {
  const bars = barsOf([hour(new Date(2026, 10, 23, 0), 2_134_567, 90)], "test", "week", NOW);
  const lines = barsAsCsv(bars, formatTao, "test units").trimEnd().split("\r\n");
  expect(lines).toHaveLength(8);
  expect(lines.at(-1)).toMatch(/,0\.002134567,test units,1\.500,10$/);
});

test("programs are told the same as JSON, amounts exact", () => {
  const bars = barsOf([hour(new Date(2026, 10, 23, 9), 1_500_000_000, 30)], "test", "week", NOW);
  const told = JSON.parse(barsAsJson(bars, formatTao, "test")) as object[];
  expect(told).toHaveLength(7);
  expect(told.at(-1)).toMatchObject({ earned: "1.5", asset: "test", hoursWorked: 0.5, tokens: 10 });
});

test("electricity costs by the hours of work alone", () => {
  expect(costOf(2 * 3_600_000, { pricePerKwh: 0.4, watts: 100 })).toBeCloseTo(0.08);
  const measured = { pricePerKwh: 0.4, watts: null };
  expect(costOf(2 * 3_600_000, measured, [{ wattHours: 500 }, { wattHours: null }])).toBeCloseTo(0.2);
  expect(costOf(2 * 3_600_000, measured, [{ wattHours: null }])).toBeNull();
});
