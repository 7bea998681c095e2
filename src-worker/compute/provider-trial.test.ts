import { describe, expect, it } from "vitest";
import type { ComputeCalls, ComputeOptions } from "./compute-call.ts";
import { Compute } from "./compute.ts";
import { PROVIDERS } from "../../src-protocol/providers.ts";
import { compare, tryProvider } from "./provider-trial.ts";
import { loadRuntime } from "./sessions.ts";

/**
 * A provider that computes like the processor (it is the processor), but for what a test does to
 * its answers.
 */
function provider(
  spoil: (call: keyof ComputeCalls, answer: { output?: Float32Array | null; loss?: number }) => void,
) {
  return (options: ComputeOptions) => {
    const compute = new Compute({ ...options, executionProvider: "cpu" });
    const call = async (...request: Parameters<Compute["call"]>): Promise<unknown> => {
      const computed = await compute.call(...request);
      if (options.executionProvider !== "cpu" && computed.answer !== null)
        spoil(request[0], computed.answer as { output?: Float32Array | null; loss?: number });
      return computed;
    };
    return { call: call as Compute["call"], close: () => compute.close() };
  };
}

describe("a provider on trial", () => {
  it("is right when it computes what the processor does, and its speed is known", async () => {
    const outcome = await tryProvider(
      "webgpu",
      1,
      provider(() => {}),
    );
    expect(outcome).toEqual({ kind: "right", error: 0, gflops: expect.any(Number) });
  });

  it("is put aside for gradients that are a little off", async () => {
    const off = provider((call, { output }) => call === "backward" && output?.set([(output[0] ?? 0) + 0.01]));
    expect(await tryProvider("webgpu", 1, off)).toEqual({
      kind: "wrong",
      what: "gradients",
      tensor: "stage 1 dx",
      error: expect.any(Number),
    });
  });

  it("that this system does not have is refused in a sentence", async () => {
    const known = new Set((await loadRuntime()).listSupportedBackends().map(({ name }) => name));
    const missing = PROVIDERS.find((each) => !known.has(each)) ?? "coreml";
    const outcome = await tryProvider(missing, 1, (options) => new Compute(options));
    expect(outcome).toEqual({
      kind: "refused",
      detail: expect.stringMatching(/^it could not prepare a model \(/),
    });
  });
});

describe("results beside the processor's", () => {
  const gradients = (...values: number[]) =>
    ({ what: "gradients", tensor: "dx", values: Float32Array.from(values) }) as const;
  const loss = (value: number) =>
    ({ what: "losses", tensor: "loss", values: Float32Array.of(value) }) as const;
  const expected = [gradients(3, 4), loss(2)];

  it.each<[string, Parameters<typeof compare>[0], object]>([
    ["within the limit", [gradients(3, 4.0004), loss(2)], { kind: "right", error: expect.closeTo(8e-5, 6) }],
    ["outside it", [gradients(3, 4.001), loss(2)], { kind: "wrong", what: "gradients", tensor: "dx" }],
    [
      "the worst of all",
      [gradients(3, 5), loss(8)],
      { kind: "wrong", what: "losses", tensor: "loss", error: 3 },
    ],
    ["not a number", [gradients(3, Number.NaN), loss(2)], { kind: "nan", what: "gradients", tensor: "dx" }],
    [
      "infinite",
      [gradients(3, 4), loss(Number.POSITIVE_INFINITY)],
      { kind: "nan", what: "losses", tensor: "loss" },
    ],
    ["of another length", [gradients(3), loss(2)], { kind: "wrong", what: "gradients", tensor: "dx" }],
    ["missing", [], { kind: "refused" }],
  ])("are told apart: %s", (_, found, outcome) => {
    expect(compare(found, expected)).toMatchObject(outcome);
  });

  it("may be wrong where the processor's are zero", () => {
    expect(compare([gradients(0, 1)], [gradients(0, 0)])).toMatchObject({ kind: "wrong" });
    expect(compare([gradients(0, 0)], [gradients(0, 0)])).toEqual({ kind: "right", error: 0 });
  });
});
