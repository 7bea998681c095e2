import { expect, it } from "vitest";
import type { Watts } from "../evidence/watts-linux.ts";
import type { Drawn } from "./history-store.ts";
import { MEASURE_EVERY_MS, PowerMeter } from "./power-meter.ts";

function meter(watts: Watts) {
  const drawn: Drawn[] = [];
  let now = 0;
  let working = true;
  const meter = new PowerMeter({
    read: async () => watts,
    isWorking: () => working,
    steady: () => now,
    drew: (one) => drawn.push(one),
  });
  const look = (afterMs: number, isWorking = true): Promise<void> => {
    now += afterMs;
    working = isWorking;
    return meter.look();
  };
  return { look, drawn };
}

it("a minute of work at 50 W is 3000 J; waiting is not counted", async () => {
  const { look, drawn } = meter({ watts: 50, of: "the processor alone" });
  await look(0);
  await look(MEASURE_EVERY_MS);
  await look(MEASURE_EVERY_MS, false);
  await look(MEASURE_EVERY_MS);
  expect(drawn).toEqual([{ joules: 3000, ms: MEASURE_EVERY_MS, measured: "the processor alone" }]);
  await look(MEASURE_EVERY_MS);
  expect(drawn).toHaveLength(2);
});

it("the time that the computer slept is not counted, nor what no sensor tells", async () => {
  const asleep = meter({ watts: 50, of: "the processor alone" });
  await asleep.look(0);
  await asleep.look(8 * 3_600_000);
  expect(asleep.drawn).toEqual([]);
  const blind = meter({ why: "no sensor" });
  await blind.look(0);
  await blind.look(MEASURE_EVERY_MS);
  expect(blind.drawn).toEqual([]);
});
