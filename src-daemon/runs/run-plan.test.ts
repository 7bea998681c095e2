import { describe, expect, it } from "vitest";
import { runSpec } from "../../src-protocol/model.ts";
import { planRun, threadsPerWorker } from "./run-plan.ts";

const corpus = { name: "Moby-Dick", sha256: "ab".repeat(32), bytes: 1_000_000 };
const request = { corpus, size: "default", steps: null, workers: 3 } as const;

describe("the embedded network's run", () => {
  it("is a valid run in three stages", () => {
    expect(runSpec.parse(planRun(request)).stages).toBe(3);
  });

  it("goes on under the same id when only its length changes", () => {
    expect(planRun({ ...request, steps: 60 }).runId).toBe(planRun(request).runId);
  });

  it("is another run for another text, model or number of stages", () => {
    const ids = [
      planRun(request),
      planRun({ ...request, corpus: { ...corpus, sha256: "cd".repeat(32) } }),
      planRun({ ...request, size: "tiny" }),
      planRun({ ...request, workers: 2 }),
    ].map(({ runId }) => runId);
    expect(new Set(ids).size).toBe(4);
  });

  it("deals its steps otherwise when it is told to, which is another run", () => {
    const usual = planRun(request);
    const { batch, microBatches } = usual;
    const dealt = planRun({ ...request, dealt: { batch: 64, microBatches: 128 } });
    expect(dealt).toMatchObject({ batch: 64, microBatches: 128 });
    expect(dealt.runId).not.toBe(usual.runId);
    expect(planRun({ ...request, dealt: { batch, microBatches } })).toEqual(usual);
  });

  it("has no more stages than there are blocks or workers", () => {
    expect([1, 2, 3, 9].map((workers) => planRun({ ...request, workers }).stages)).toEqual([1, 2, 3, 3]);
  });
});

it("gives every worker a core's worth of threads at least", () => {
  expect(threadsPerWorker(2, 3)).toBe(1);
  expect(threadsPerWorker(16, 3)).toBe(5);
});
