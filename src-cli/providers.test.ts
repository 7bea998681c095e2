import { describe, expect, it } from "vitest";
import type { ProvidersReport } from "../src-protocol/providers.ts";
import { providersText, testedAgain } from "./providers.ts";

const tested: ProvidersReport = {
  phase: "tested",
  provider: "cpu",
  at: Date.UTC(2026, 0, 2, 12),
  machine: {
    onnxruntime: "1.30.0",
    platform: "linux x64",
    system: "6.1",
    processor: "A Processor",
    graphics: [],
    threads: 2,
  },
  results: [
    { provider: "cpu", outcome: { kind: "right", error: 0, gflops: 143.217 } },
    { provider: "webgpu", outcome: { kind: "wrong", what: "gradients", tensor: "m", error: 0.3 } },
  ],
  choice: {
    provider: "cpu",
    text: "The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3). The processor is used instead.",
    aside: [
      {
        provider: "webgpu",
        text: "The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3).",
      },
    ],
  },
};

describe("tah providers", () => {
  it("says what is used, and for each other why not", () => {
    const lines = providersText(tested).split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3). The processor is used instead.",
      "* cpu    143 GFLOP/s     The processor is used.",
      "  webgpu                 The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3).",
    ]);
    expect(lines[3]).toMatch(/^Tested 2 Jan 2026.* with ONNX Runtime 1\.30\.0 on A Processor, 2 threads\.$/);
  });

  it.each(["off", "waiting", "testing"] as const)("says in one sentence or two where it is: %s", (phase) => {
    expect(providersText({ ...tested, phase, results: [], choice: null })).toMatch(
      /[Tt]he processor is used/,
    );
  });

  /** A daemon that gives these reports, one after another. */
  function daemon(...reports: ProvidersReport[]) {
    const asked: string[] = [];
    const call = (method: string): Promise<ProvidersReport> => {
      asked.push(method);
      return Promise.resolve(reports[Math.min(asked.length, reports.length) - 1] ?? tested);
    };
    return { asked, client: { call } as unknown as Parameters<typeof testedAgain>[0] };
  }
  const testing: ProvidersReport = { ...tested, phase: "testing", at: null, choice: null };

  it("waits for the end of a test that was asked for", async () => {
    const again = { ...tested, at: (tested.at ?? 0) + 1 };
    const { asked, client } = daemon(tested, testing, testing, again);
    expect(await testedAgain(client, () => Promise.resolve())).toEqual(again);
    expect(asked).toEqual(["providers.get", "providers.test", "providers.get", "providers.get"]);
  });

  it.each([tested, { ...tested, phase: "waiting" as const, at: null, choice: null }])(
    "does not give an older result for that of a test that a pause cut short",
    async (before) => {
      const { client } = daemon(before, testing, before);
      await expect(testedAgain(client, () => Promise.resolve())).rejects.toThrow("cut short");
    },
  );
});
