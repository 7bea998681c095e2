import { expect, it } from "vitest";
import { testKey, testRun } from "../runs/fleet.test-support.ts";
import { microBatchMs } from "./lateness.ts";
import { applyToReplicas, replicaRun } from "./replica-machine.ts";
import type { ReplicaEvent, ReplicaMessage } from "./replica-run.ts";

const HEAD = testKey(1);
const TAIL = testKey(2);
const PASSES = 12;

/** A head and a tail that do one micro-batch after the other; `tailMs`: how long the tail takes for each. */
function paceOfTail(tailMs: (microBatch: number) => number): number | null {
  const spec = { ...testRun({ steps: null }), microBatches: PASSES, evaluateEverySteps: 10 ** 9 };
  let now = 0;
  let run = replicaRun({
    run: spec,
    signs: { network: "pace", runId: spec.runId, generation: 1 },
    step: 0,
    live: [[HEAD], [TAIL]],
    agreed: [null, null],
    evaluatedStep: 0,
    now,
  });
  const happens = (event: Omit<Extract<ReplicaEvent, { type: "begin" }>, "now">): void => {
    run = applyToReplicas({ ...event, now }, run).run;
  };
  const says = (key: typeof HEAD, message: ReplicaMessage): void => {
    run = applyToReplicas({ type: "message", key, message, now }, run).run;
  };
  happens({ type: "begin" });
  for (let microBatch = 0; microBatch < PASSES; microBatch++) {
    const of = { generation: 1, step: 0, microBatch } as const;
    says(HEAD, { type: "ask", generation: 1 });
    now += 1;
    says(HEAD, { type: "routed", ...of, to: TAIL });
    now += tailMs(microBatch);
    says(TAIL, { type: "counted", ...of, loss: 2 });
    now += 1;
    says(HEAD, { type: "counted", ...of, loss: null });
  }
  return microBatchMs(run, TAIL);
}

it("the pace of a replica is that of its passes, not of the first ones, when nothing is in any cache yet", () => {
  expect(paceOfTail(() => 50)).toBeCloseTo(50, 5);
  expect(paceOfTail((microBatch) => (microBatch < 2 ? 600 : 50))).toBeCloseTo(50, 5);
  const unsteady = paceOfTail((microBatch) => (microBatch % 2 === 0 ? 40 : 60)) ?? 0;
  expect(Math.abs(unsteady - 50)).toBeLessThan(3);
});
