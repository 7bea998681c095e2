import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { stagesOf } from "../src-engine/stages.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { mustFitDisk, mustFitMemory } from "./training-room.ts";

const stages = stagesOf({ model: DEFAULT_MODEL, batch: 4, sequence: 128, stages: 3 }, null);

it("memory is counted for all processes of this computer, and too much of it is refused", () => {
  const peaks = stages.reduce((sum, { memory }) => sum + memory.full.peakBytes, 0);
  expect(mustFitMemory(stages, 0, "fast")).toBeGreaterThan(peaks);
  expect(mustFitMemory(stages, 1e6, "fast") - mustFitMemory(stages, 0, "fast")).toBe(13e6);
  expect(() => mustFitMemory(stages, 1e15, "fast")).toThrow(
    /^Training this model on this computer takes [\d.]+ TB of memory, and it may take [\d.]+ [MGT]B, three quarters/,
  );
});

it("disk that snapshots and checkpoints would fill is refused", () => {
  expect(() => mustFitDisk(tmpdir(), { parameters: 1, files: 1 })).not.toThrow();
  expect(() => mustFitDisk(tmpdir(), { parameters: 1e15, files: 0 })).toThrow(/TAH_HOME/);
});
