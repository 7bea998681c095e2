import { describe, expect, it } from "vitest";
import { PROVIDERS } from "./providers.ts";
import type { ExecutionProvider, ProviderOutcome } from "./providers.ts";
import { chooseProvider, isNews } from "./provider-choice.ts";

const right = (gflops: number, error = 1e-7): ProviderOutcome => ({ kind: "right", error, gflops });
const results = (outcomes: Partial<Record<ExecutionProvider, ProviderOutcome>>) =>
  PROVIDERS.flatMap((provider) => {
    const outcome = outcomes[provider];
    return outcome === undefined ? [] : [{ provider, outcome }];
  });

/** Everything that may be wrong with a graphics card, and what its owner is told. */
const FAULTS: Record<string, { outcome: ProviderOutcome; text: string }> = {
  absent: { outcome: { kind: "absent" }, text: "The graphics card (WebGPU) is not in this version." },
  refused: {
    outcome: { kind: "refused", detail: "no graphics card that it can use was found" },
    text: "The graphics card (WebGPU) was left aside: no graphics card that it can use was found.",
  },
  "refused in words that would move a terminal's cursor": {
    outcome: { kind: "refused", detail: "it\u001b[2J\r\nfailed" },
    text: "The graphics card (WebGPU) was left aside: it [2J failed.",
  },
  "wrong beyond all measure": {
    outcome: { kind: "wrong", what: "results", tensor: "y", error: Number.MAX_VALUE },
    text: "The graphics card (WebGPU) was left aside: it gave wrong results (error over 100).",
  },
  crash: {
    outcome: { kind: "crash", ending: "signal-SIGSEGV", during: "test" },
    text: "The graphics card (WebGPU) was left aside: its driver ended the test's process (signal-SIGSEGV).",
  },
  "crash in training": {
    outcome: { kind: "crash", ending: "compute-failed", during: "training" },
    text: "The graphics card (WebGPU) was left aside: training with it failed more than once (compute-failed).",
  },
  hang: {
    outcome: { kind: "hang", seconds: 60 },
    text: "The graphics card (WebGPU) was left aside: it gave no answer in 60 seconds.",
  },
  wrong: {
    outcome: { kind: "wrong", what: "gradients", tensor: "blocks.0.norm1", error: 0.31 },
    text: "The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3).",
  },
  lies: {
    outcome: right(1e6, 0.02),
    text: "The graphics card (WebGPU) was left aside: it gave wrong results (error 0.02).",
  },
  nan: {
    outcome: { kind: "nan", what: "losses", tensor: "loss" },
    text: "The graphics card (WebGPU) was left aside: it gave losses that are not numbers.",
  },
  slower: {
    outcome: right(4.04),
    text: "The graphics card (WebGPU) was left aside: it is slower (4 GFLOP/s against 120 GFLOP/s).",
  },
};

describe("the choice of a provider", () => {
  it.each(Object.entries(FAULTS))(
    "is the processor beside a card with the fault: %s",
    (_, { outcome, text }) => {
      const found = results({ cpu: right(120), webgpu: outcome });
      const choice = chooseProvider(found);
      expect(choice.provider).toBe("cpu");
      expect(choice.aside).toEqual([{ provider: "webgpu", text }]);
      // What an owner should look into is said together with what is done about it.
      const said = found.some(isNews) ? `${text} The processor is used instead.` : "The processor is used: ";
      expect(choice.text.startsWith(said)).toBe(true);
    },
  );

  it("is the fastest that is right", () => {
    const choice = chooseProvider(
      results({ cpu: right(100), webgpu: right(530), cuda: right(900), dml: { kind: "absent" } }),
    );
    expect(choice.provider).toBe("cuda");
    expect(choice.text).toEqual(
      "The NVIDIA graphics card (CUDA) is used: it is 9.0 times as fast as the processor.",
    );
    expect(choice.aside.map(({ provider }) => provider)).toEqual(["cpu", "webgpu", "dml"]);
    expect(choice.aside[0]?.text).toBe(
      "The processor was left aside: it is slower (100 GFLOP/s against 900 GFLOP/s).",
    );
  });

  it("passes over a faster one that is wrong to a slower one that is right", () => {
    const wrong: ProviderOutcome = { kind: "wrong", what: "losses", tensor: "loss", error: 2e-4 };
    expect(chooseProvider(results({ cpu: right(100), webgpu: right(200), cuda: wrong })).provider).toBe(
      "webgpu",
    );
  });

  it.each<[string, ProviderOutcome]>([
    ["crashes", { kind: "crash", ending: "signal-SIGILL", during: "test" }],
    ["hangs", { kind: "hang", seconds: 60 }],
  ])("stays with the processor when its own test %s, as nothing was compared with it", (_, outcome) => {
    const choice = chooseProvider(results({ cpu: outcome, webgpu: right(500) }));
    expect(choice.provider).toBe("cpu");
    expect(choice.aside[0]?.text).toContain("nothing to compare it with");
  });

  it("is the processor where nothing is known", () => {
    expect(chooseProvider([])).toEqual({
      provider: "cpu",
      text: "The processor is used: there is nothing else here to train with.",
      aside: [],
    });
  });
});
