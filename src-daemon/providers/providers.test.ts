import { describe, expect, it } from "vitest";
import type {
  ExecutionProvider,
  ProbedMachine,
  ProviderOutcome,
  ProvidersFile,
} from "../../src-protocol/providers.ts";
import type { Probed } from "./providers-probe.ts";
import { Providers } from "./providers.ts";

const machine: ProbedMachine = {
  onnxruntime: "1.30.0",
  platform: "linux x64",
  system: "6.1",
  processor: "A processor",
  graphics: ["card 0x10de 0x2684"],
  threads: 2,
};
const right = (gflops: number): ProviderOutcome => ({ kind: "right", error: 1e-7, gflops });

/** Probes that answer what a test says, when it says so. */
function bench(options: { machine?: ProbedMachine | null; kept?: ProvidersFile | null } = {}) {
  const asked: { provider: ExecutionProvider; signal: AbortSignal; answer(probed: Probed): void }[] = [];
  const told: ExecutionProvider[] = [];
  const notes: string[] = [];
  let file = options.kept ?? null;
  const providers = new Providers({
    machine: options.machine === undefined ? machine : options.machine,
    read: () => file,
    write: (next) => void (file = next),
    probe(provider, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Probed>();
      signal.addEventListener("abort", () => reject(signal.reason));
      asked.push({ provider, signal, answer: resolve });
      return promise;
    },
    onProvider: (provider) => void told.push(provider),
    onNote: (text) => void notes.push(text),
    onFault: (error) => void notes.push(String(error)),
    now: () => 1000,
  });
  const answer = async (
    outcome: ProviderOutcome,
    bundled: string[] | null = ["cpu", "webgpu"],
  ): Promise<void> => {
    asked.at(-1)?.answer({ outcome, bundled });
    await new Promise(setImmediate);
  };
  return { providers, asked, told, notes, answer, file: () => file };
}

async function tested(outcome: ProviderOutcome) {
  const found = bench();
  found.providers.working(true);
  await found.answer(right(100));
  await found.answer(outcome);
  return found;
}

describe("what this computer trains with", () => {
  it("is found out anew at the next start where the processor's own test did not end well", async () => {
    const { providers, answer, file } = bench();
    providers.working(true);
    await answer({ kind: "crash", ending: "signal-SIGKILL", during: "test" }, null);
    expect(providers.report()).toMatchObject({ phase: "tested", provider: "cpu" });
    expect(file()).toBeNull();
  });

  it("is the processor at once, and the graphics card once it was found right and faster", async () => {
    const { providers, asked, told, notes, answer, file } = bench();
    providers.working(true);
    expect(providers.report()).toMatchObject({ phase: "testing", provider: "cpu", choice: null });
    await answer(right(100));
    expect(providers.report().results).toEqual([{ provider: "cpu", outcome: right(100) }]);
    await answer(right(500));
    expect(asked.map(({ provider }) => provider)).toEqual(["cpu", "webgpu"]);
    expect(providers.report()).toMatchObject({ phase: "tested", provider: "webgpu", at: 1000 });
    expect(told).toEqual(["cpu", "webgpu"]);
    expect(notes).toEqual(["The graphics card (WebGPU) is used: it is 5.0 times as fast as the processor."]);
    expect(file()?.results.map(({ provider, outcome }) => [provider, outcome.kind])).toEqual([
      ["cpu", "right"],
      ["webgpu", "right"],
      ["cuda", "absent"],
      ["coreml", "absent"],
      ["dml", "absent"],
    ]);
  });

  it("is known at the next start without a test, but not on another machine", async () => {
    const { file } = await tested(right(500));
    const next = bench({ kept: file() });
    next.providers.working(true);
    expect([next.providers.provider, next.asked.length, next.notes]).toEqual(["webgpu", 0, []]);

    const other = bench({ kept: file(), machine: { ...machine, graphics: [] } });
    other.providers.working(true);
    expect([other.providers.provider, other.asked.length]).toEqual(["cpu", 1]);
  });

  it("is tested only while training may run: a pause ends the test, and it begins anew afterwards", async () => {
    const { providers, asked, answer } = bench();
    expect(providers.report().phase).toBe("waiting");
    providers.working(true);
    providers.working(false);
    expect(asked[0]?.signal.aborted).toBe(true);
    expect(providers.report().phase).toBe("waiting");
    expect(() => providers.again()).toThrow(expect.objectContaining({ code: "providers-paused" }));
    await new Promise(setImmediate);
    providers.working(true);
    expect(asked).toHaveLength(2);
    await answer(right(100), ["cpu"]);
    expect(providers.report()).toMatchObject({ phase: "tested", provider: "cpu" });
  });

  it("is the processor while it is tested again", async () => {
    const { providers, told, answer } = await tested(right(500));
    providers.again();
    expect([providers.provider, told.at(-1)]).toEqual(["cpu", "cpu"]);
    await answer(right(100));
    await answer({ kind: "wrong", what: "gradients", tensor: "x", error: 0.3 });
    expect([providers.provider, told.at(-1)]).toEqual(["cpu", "cpu"]);
    expect(providers.report().choice?.text).toBe(
      "The graphics card (WebGPU) was left aside: it gave wrong gradients (error 0.3). The processor is used instead.",
    );
  });

  it("keeps what it knew when a test on request is cut short", async () => {
    const { providers, told } = await tested(right(500));
    providers.again();
    providers.working(false);
    providers.working(true);
    expect(told.at(-1)).toBe("webgpu");
    expect(providers.report()).toMatchObject({ phase: "tested", provider: "webgpu" });
  });

  it("says nothing to the owner where there is only the processor", async () => {
    const { notes } = await tested({ kind: "refused", detail: "no graphics card that it can use was found" });
    expect(notes).toEqual([]);
  });

  it("is the processor after training has failed twice with the graphics card, also at later starts", async () => {
    const { providers, told, notes, file } = await tested(right(500));
    providers.trainingFailed("webgpu", "signal-SIGSEGV");
    expect(providers.provider).toBe("webgpu");
    providers.trainingFailed("webgpu", "signal-SIGSEGV");
    expect([providers.provider, told.at(-1)]).toEqual(["cpu", "cpu"]);
    expect(notes.at(-1)).toMatch(/training with it failed more than once \(signal-SIGSEGV\)\. The processor/);
    expect(bench({ kept: file() }).providers.provider).toBe("cpu");
  });

  it("tests nothing when the daemon was started without the test", () => {
    const { providers, asked } = bench({ machine: null });
    providers.working(true);
    expect([providers.report().phase, providers.provider, asked.length]).toEqual(["off", "cpu", 0]);
    expect(() => providers.again()).toThrow(expect.objectContaining({ code: "providers-off" }));
  });
});
