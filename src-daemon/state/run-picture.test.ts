import { describe, expect, it } from "vitest";
import { ss58Address } from "../../src-protocol/keys.ts";
import { nodePicture } from "./run-picture.ts";

const hotkey = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const before = { phase: "starting", detail: "", stage: null, loading: null, hotkey } as const;
const running = { kind: "running", pid: 1 } as const;
const phase = {
  type: "phase",
  phase: "training",
  detail: "Training slice 2.",
  stage: 1,
  loading: null,
} as const;

describe("what my worker is doing", () => {
  it("is its own words while it may run", () => {
    expect(nodePicture(before, null, running, phase)).toEqual({
      phase: "training",
      detail: "Training slice 2.",
      stage: 1,
      loading: null,
      hotkey,
    });
  });

  it("is the pause and its reason, even while the process is still ending", () => {
    expect(nodePicture(before, "Waiting: you paused it.", { kind: "stopping", pid: 1 }, phase)).toMatchObject(
      {
        phase: "paused",
        detail: "Waiting: you paused it.",
        stage: null,
      },
    );
  });

  it("is a failure with its reason when it was put aside", () => {
    const crash = { at: 0, code: "no-memory", message: "Not enough memory." };
    expect(nodePicture(before, null, { kind: "aside", crash }, null)).toMatchObject({
      phase: "failed",
      detail: "Not enough memory.",
    });
  });
});
