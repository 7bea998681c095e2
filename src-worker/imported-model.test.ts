import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RunSpec } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { TestOrchestrator } from "./control/orchestrator.test-support.ts";
import { WorkerProcess } from "./processes.test-support.ts";
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
let orchestrator: TestOrchestrator;
const workers: WorkerProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-imported-"));
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await orchestrator.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a model of somebody else's, whose embedding is also its output matrix", () => {
  it.each(["llama-tied", "gpt2-tied"])(
    "%s: three processes give the loss curve of one, from the weights in the file",
    async (name) => {
      const { spec, file } = runOf(name, 3);
      orchestrator = new TestOrchestrator(spec, corpus, STEPS);
      orchestrator.blobs.set(sha256(file), file);
      const url = await orchestrator.listen();
      for (const name of ["a", "b", "c"])
        workers.push(new WorkerProcess({ url, folder: join(folder, name) }));
      const alone = await trainSingle({ spec, corpus, file, steps: STEPS, threads: 1 });
      await orchestrator.until(() => orchestrator.losses.has(STEPS));
      expect(orchestrator.troubles).toEqual([]);
      for (const { step, loss } of alone)
        expect(Math.abs((orchestrator.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(
          1e-4,
        );
      expect(alone.at(-1)?.loss).toBeLessThan((alone[0]?.loss ?? 0) - 0.1);
    },
  );
});
