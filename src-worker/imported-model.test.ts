import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { kernelsFor } from "../src-protocol/arithmetic.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { TestOrchestrator } from "./control/orchestrator.test-support.ts";
import { WorkerProcess } from "./processes.test-support.ts";
import { memoryCorpus } from "./corpus/corpus-reader.ts";
import { OfflineRun } from "./replay/offline-run.ts";
import { trainSingle } from "./replay/single.ts";
import { TINY_CORPUS, tinyRun } from "./tiny-run.test-support.ts";

const STEPS = 12;
/** The fixtures know 24 tokens, and 12 positions. */
const corpus = Uint8Array.from(TINY_CORPUS, (byte) => byte % 24);

function runOf(name: string, stages: number): { spec: RunSpec; file: Uint8Array } {
  const file = new Uint8Array(
    readFileSync(join(import.meta.dirname, "..", "src-engine", "fixtures", `${name}.onnx`)),
  );
  const [batch, sequence] = [2, 6];
  const spec = tinyRun({
    model: {
      kind: "onnx",
      file: { sha256: sha256(file), bytes: file.length },
      vocabulary: 24,
      tokens: "input",
      scores: "output",
      sizes: { batch, sequence },
      fixed: {},
    },
    stages,
    batch,
    sequence,
    corpus: { name: "tiny", sha256: sha256(corpus), bytes: corpus.length, tokenBytes: 1 },
  });
  return { spec, file };
}

let folder: string;
let orchestrator: TestOrchestrator | undefined;
const workers: WorkerProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-imported-"));
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await orchestrator?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a model of somebody else's, whose embedding is also its output matrix", () => {
  it.each(["llama-tied", "gpt2-tied"])(
    "%s: three processes give the loss curve of one, from the weights in the file",
    async (name) => {
      const { spec, file } = runOf(name, 3);
      const network = new TestOrchestrator(spec, corpus, STEPS);
      orchestrator = network;
      network.blobs.set(sha256(file), file);
      const url = await network.listen();
      for (const name of ["a", "b", "c"])
        workers.push(new WorkerProcess({ url, folder: join(folder, name) }));
      const alone = await trainSingle({ spec, corpus, file, steps: STEPS, threads: 1 });
      await network.until(() => network.losses.has(STEPS));
      expect(network.troubles).toEqual([]);
      for (const { step, loss } of alone)
        expect(Math.abs((network.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
      expect(alone.at(-1)?.loss).toBeLessThan((alone[0]?.loss ?? 0) - 0.1);
    },
  );
});

describe("a model of somebody else's in the class exact, whose embedding is also its output matrix", () => {
  /** Several micro-batches a step: each place where the matrix is read has a sum of its own over them. */
  function exactRunOf(name: string, stages: number): { spec: RunSpec; file: Uint8Array } {
    const { spec, file } = runOf(name, stages);
    const kernels = kernelsFor("exact", spec.model);
    return { spec: { ...spec, arithmetic: "exact", kernels, digestEverySteps: 1 }, file };
  }

  interface Trained {
    /** Of all parameters, after each step. */
    parameters: string[];
    /** Of each step's stages, by `stage/step`. */
    links: Map<string, string>;
  }

  async function trainedInStages(name: string, stages: number, steps: number): Promise<Trained> {
    const { spec, file } = exactRunOf(name, stages);
    const run = await OfflineRun.open({ spec, corpus: memoryCorpus(corpus), file, threads: 1, from: null });
    const trained: Trained = { parameters: [], links: new Map() };
    try {
      while (run.step < steps) {
        const { step, links } = await run.next();
        for (const [stage, link] of links.entries()) trained.links.set(`${stage}/${step}`, link);
        trained.parameters.push(parametersSha256(run.weights()));
      }
    } finally {
      await run.close();
    }
    return trained;
  }

  it.each(["gpt2-tied", "llama-tied"])(
    "%s has the same parameters in one process and in one, two and three stages, bit for bit",
    async (name) => {
      const { spec, file } = exactRunOf(name, 1);
      expect(spec.microBatches).toBeGreaterThanOrEqual(3);
      const alone: string[] = [];
      await trainSingle({
        spec,
        corpus,
        file,
        steps: 3,
        threads: 1,
        onStep: (_, weights) => alone.push(parametersSha256(weights())),
      });
      for (const stages of [1, 2, 3])
        expect((await trainedInStages(name, stages, 3)).parameters, `${stages} stages`).toEqual(alone);
    },
    120_000,
  );

  it("three processes say of every step what its stages give in one", async () => {
    const steps = 4;
    const { spec, file } = exactRunOf("gpt2-tied", 3);
    const network = new TestOrchestrator(spec, corpus, steps);
    orchestrator = network;
    network.blobs.set(sha256(file), file);
    const url = await network.listen();
    for (const name of ["a", "b", "c"]) workers.push(new WorkerProcess({ url, folder: join(folder, name) }));
    const { links } = await trainedInStages("gpt2-tied", 3, steps);
    await network.until(() => [...links.keys()].every((key) => network.links.has(key)));
    expect(network.troubles).toEqual([]);
    for (const [key, link] of links)
      expect(network.links.get(key), `stage and step ${key}`).toEqual(new Set([link]));
  }, 120_000);
});
