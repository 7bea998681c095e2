import { expect, test } from "vitest";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { history, storeRow } from "./run-store.ts";
import { Store } from "./store.ts";

test("the loss curve of a long run is thinned the further back it lies, and its end and held-out losses stay", async () => {
  const store = Store.open(temporaryFolder(), () => {});
  const step = 30_000;
  await store.write(() => {
    store.run(
      `WITH RECURSIVE steps(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM steps WHERE step < :last)
       INSERT INTO points SELECT 'r', step, step, 2.0, CASE WHEN step = 15 THEN 2.5 END, NULL FROM steps`,
      { last: step - 1 },
    );
    storeRow(store, "r", {
      kind: "point",
      point: { step, at: step, loss: 2, heldOutLoss: null, tokensPerSecond: null },
    });
  });
  const steps = history(store, "r", 0, 100_000).map((point) => point.step);
  expect(steps.filter((each) => each >= 20_000)).toHaveLength(10_001);
  expect(steps.filter((each) => each < 20_000 && each % 10 !== 0)).toEqual([15]);
  expect(steps.filter((each) => each < 20_000)).toHaveLength(2_000);
  expect(steps.at(-1)).toBe(step);
  store.close();
});
