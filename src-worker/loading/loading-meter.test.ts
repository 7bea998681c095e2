import { expect, it } from "vitest";
import { loadingText } from "../../src-protocol/loading.ts";
import { LoadingMeter } from "./loading-meter.ts";

it("says how fast it comes and when it will be here, once a second; what was here already does not count as speed", () => {
  const told: string[] = [];
  const totals: number[] = [];
  const meter = new LoadingMeter((progress, total) => {
    told.push(loadingText(progress));
    totals.push(total);
  });
  const MB = 1e6;
  for (let now = 0; now <= 20_000; now += 250) meter.count("model", 40 * MB + now * 2_000, 240 * MB, now);
  expect(told).toHaveLength(21);
  expect(told[0]).toBe("Loading the model: 40 of 240 MB.");
  expect(told.at(-1)).toBe("Loading the model: 80 of 240 MB, 2.0 MB/s, 80 s left.");
  meter.count("text", 1 * MB, 2 * MB, 21_000);
  expect(totals.at(-1)).toBe(81 * MB);
});
