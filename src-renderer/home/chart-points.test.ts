import { expect, test } from "vitest";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { chartSummary, columns, lately, tableRows, thinned, withPoint } from "./chart-points.ts";

const point = (step: number, loss = 5 - step / 1000, heldOutLoss: number | null = null): HistoryPoint => ({
  step,
  at: step * 1000,
  loss,
  heldOutLoss,
  tokensPerSecond: 100,
});
const run = Array.from({ length: 1000 }, (_, index) => point(index + 1));

test("few points are drawn as they are", () => {
  expect(thinned(run.slice(0, 50), 50)).toHaveLength(50);
});

test("thinning keeps the first and the last point and every spike", () => {
  const spiky = run.map((one) => (one.step === 417 ? { ...one, loss: 9 } : one));
  const drawn = thinned(spiky, 100);
  expect(drawn.length).toBeLessThanOrEqual(100);
  expect(drawn[0]).toEqual(spiky[0]);
  expect(drawn.at(-1)).toEqual(spiky.at(-1));
  expect(drawn.some(({ loss }) => loss === 9)).toBe(true);
});

test("thinning keeps held-out points before others", () => {
  const drawn = thinned(
    run.map((one) => (one.step % 50 === 25 ? point(one.step, one.loss, 4) : one)),
    200,
  );
  expect(drawn.filter(({ heldOutLoss }) => heldOutLoss !== null)).toHaveLength(20);
});

test("a step done again after a recovery replaces the line from there on", () => {
  const again = withPoint([point(1), point(2), point(3)], point(2, 7), 10);
  expect(again.map(({ step, loss }) => [step, loss])).toEqual([
    [1, point(1).loss],
    [2, 7],
  ]);
});

test("a long run does not fill the memory", () => {
  expect(withPoint(run, point(1001), 1000).length).toBeLessThanOrEqual(501);
});

test("the last while is counted from the newest point, and is never empty", () => {
  expect(lately(run, 10_000).map(({ step }) => step)).toEqual([
    990, 991, 992, 993, 994, 995, 996, 997, 998, 999, 1000,
  ]);
  expect(lately(run, Infinity)).toBe(run);
  expect(lately([point(1)], 5)).toHaveLength(1);
  expect(lately([], 5)).toEqual([]);
});

test("the table is newest first", () => {
  const rows = tableRows(run, 60);
  expect(rows[0]?.step).toBe(1000);
  expect(rows.length).toBeLessThanOrEqual(60);
});

test("columns and the sentence say what is drawn", () => {
  const points = [point(1, 5.5, 5.6), point(2, 3.2)];
  expect(columns(points)).toEqual([
    [1, 2],
    [5.5, 3.2],
    [5.6, null],
  ]);
  expect(chartSummary(points)).toBe(
    "Training loss from 5.50 at step 1 to 3.20 at step 2. Held-out loss is 5.60.",
  );
  expect(chartSummary([])).toBe("No step is finished yet.");
});
