import { expect, test } from "vitest";
import { hoursText } from "./hours-text.ts";

const HOUR = 3_600_000;
const at = Date.parse("2026-11-28T22:00Z");

test("an hour is a line: what was worked, what went over the line, what was drawn and by what measure", () => {
  const worked = [
    { at, asset: "test" as const, earnedRao: "1500000000", workedMs: 55 * 60_000, tokens: 12_288 },
  ];
  const measured = "the processor alone";
  const computer = [
    {
      at,
      sentBytes: 12_300_000,
      receivedBytes: 4_000_000,
      wattHours: 41.26,
      measuredMs: 3_300_000,
      measured,
    },
    { at: at - HOUR, sentBytes: 1_000_000, receivedBytes: 0, wattHours: null, measuredMs: 0, measured: null },
  ];
  expect(hoursText(worked, computer, "UTC").split("\n")).toEqual([
    "2026-11-28 22:00  55 min worked, 12,288 tokens, 1.5 test units; 12.3 MB sent, 4.0 MB received, 41.3 Wh drawn (the processor alone)",
    "2026-11-28 21:00  1.0 MB sent, 0.0 MB received",
  ]);
  expect(hoursText([], [], "UTC")).toBe("Nothing was worked in that time.");
});
