import { expect, it } from "vitest";
import { chooseRecompute, PROGRAM_BYTES, predictedBytes } from "./memory-budget.ts";

const memory = (peakBytes: number, keptBytes: number) => ({
  stateBytes: 0,
  runBytes: 0,
  peakBytes,
  keptBytes,
});
const stage = {
  index: 1,
  stages: 4,
  isTail: false,
  arithmetic: "fast" as const,
  replicaBytes: 0,
  memory: { full: memory(4e9, 1e7), selective: memory(4.5e9, 3e8) },
};

it("the products are kept where that leaves half of the memory free", () => {
  expect(predictedBytes(stage, "selective")).toBe(PROGRAM_BYTES + 4.5e9 + 3 * 3e8);
  expect(chooseRecompute(stage, 12e9)).toBe("selective");
  expect(chooseRecompute(stage, 10e9)).toBe("full");
});

it("a stage that does not fit is refused before any memory is taken", () => {
  expect(() => chooseRecompute(stage, 4e9)).toThrow(
    expect.objectContaining({
      code: "stage-too-large",
      message: expect.stringContaining("needs 4.2 GB while it is trained, and this computer has 4.0 GB free"),
    }),
  );
});

it("keeps to what the owner allows, and says so where the stage does not fit into it", () => {
  expect(chooseRecompute(stage, 1e12)).toBe("selective");
  expect(chooseRecompute(stage, 1e12, 4.3e9)).toBe("full");
  expect(() => chooseRecompute(stage, 1e12, 4e9)).toThrow(
    expect.objectContaining({
      code: "stage-too-large",
      message: expect.stringContaining("you allow its worker 4.0 GB. Allow more"),
    }),
  );
});

it("what it keeps as one of its stage's replicas is counted, before training takes it", () => {
  const shared = { ...stage, replicaBytes: 9 * 1e8 };
  expect(predictedBytes(shared, "full") - predictedBytes(stage, "full")).toBe(9e8);
  expect(chooseRecompute(stage, 4.5e9)).toBe("full");
  expect(() => chooseRecompute(shared, 1e12, 5e9)).toThrow(
    expect.objectContaining({
      code: "stage-too-large",
      message: expect.stringContaining(
        "needs 5.1 GB of memory while it is trained, and you allow its worker 5.0 GB",
      ),
    }),
  );
  expect(chooseRecompute(shared, 1e12, 5.1e9)).toBe("full");
});

it("in the class exact nothing is computed again to save memory, so there is room for all of it or none", () => {
  const exact = { ...stage, arithmetic: "exact" as const };
  expect(chooseRecompute(exact, 6e9)).toBe("selective");
  expect(chooseRecompute(stage, 5e9)).toBe("full");
  expect(() => chooseRecompute(exact, 5e9)).toThrow(
    /needs 5.5 GB while it is trained, and this computer has 5.0 GB/,
  );
});
