import type { InferenceSession } from "onnxruntime-node";
import { expect, it } from "vitest";
import type { StageInfo } from "./compute-call.ts";
import { loadRuntime } from "./sessions.ts";
import { stageMemory } from "../stage/stage-memory.ts";
import { StageTensors } from "./stage-tensors.ts";

const info = {
  parameters: [{ name: "w", shape: [2], size: 2, decay: false }],
  parameterCount: 2,
  uses: [],
} as unknown as StageInfo;

it("what a run that failed half-way has added is forgotten with the rest", async () => {
  const tensors = new StageTensors(await loadRuntime(), info, stageMemory(info), []);
  const broken = {
    inputNames: ["w", "g_w"],
    outputNames: ["d_w"],
    run: async ({ g_w }: Record<string, { data: Float32Array }>) => {
      g_w?.data.fill(5);
      throw new Error("out of memory");
    },
  };
  await expect(tensors.run(broken as unknown as InferenceSession, {})).rejects.toThrow("out of memory");
  tensors.dropGradients();
  expect(await tensors.gradient(0)).toEqual(new Float32Array(2));
});
