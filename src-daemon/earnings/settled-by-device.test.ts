import { expect, test } from "vitest";
import { hotkey } from "../../src-orchestrator/test-support/keys.test-support.ts";
import { windowStarts, windowsText } from "../../src-protocol/settled-pay.ts";
import { settledByDevice } from "./settled-by-device.ts";

const NOW = Date.parse("2026-11-28T10:00:00Z");
const HOUR_MS = 3_600_000;
const [OWN, BEFORE, OTHER] = [hotkey(0).address, hotkey(1).address, hotkey(2).address];
const starts = windowStarts("Europe/Berlin", NOW);

const device = (of: typeof OWN, ...rao: number[]) => ({
  hotkey: of,
  since: rao.map((creditedRao) => ({
    creditedRao: String(creditedRao),
    payments: creditedRao === 0 ? 0 : 1,
  })),
});

test("stretches of time are stated, and today begins at midnight of the owner's clocks", () => {
  expect(starts.map(({ window, from }) => [window, (NOW - from) / HOUR_MS])).toEqual([
    ["today", 11],
    ["last-7-days", 168],
    ["last-30-days", 720],
    ["ever", NOW / HOUR_MS],
  ]);
});

test("each computer is told once, by its own answer where it could ask, and all together are their sum", () => {
  const { devices, windows } = settledByDevice({
    own: OWN,
    before: [BEFORE],
    starts,
    answers: [
      // The network tells of the key of before only what went to the address that both share now.
      { devices: [device(OWN, 1, 2, 3, 4), device(BEFORE, 0, 0, 0, 1), device(OTHER, 0, 0, 5, 5)] },
      { devices: [device(BEFORE, 0, 0, 0, 10), device(OWN, 0, 0, 0, 0)] },
    ],
  });
  expect(devices.map(({ hotkey: of, is, windows: its }) => [of, is, its.at(-1)?.creditedRao])).toEqual([
    [OWN, "this", "4"],
    [BEFORE, "former", "10"],
    [OTHER, "other", "5"],
  ]);
  expect(windows.map(({ creditedRao, payments }) => [creditedRao, payments])).toEqual([
    ["1", 1],
    ["2", 1],
    ["8", 2],
    ["19", 3],
  ]);
  expect(windowsText(windows, "test")).toBe(
    "0.000000001 today, 0.000000002 in the last 7 days, 0.000000008 in the last 30 days, 0.000000019 ever (test units)",
  );
});
