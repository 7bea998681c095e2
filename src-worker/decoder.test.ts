import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { familyFolder, familySpec } from "../src-engine/families/folder.test-support.ts";
import { chunksDigest } from "../src-protocol/chunks.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { TestOrchestrator } from "./control/orchestrator.test-support.ts";
import { chunksOf } from "./loading/chunk-server.test-support.ts";
import { WorkerProcess } from "./processes.test-support.ts";
import { trainSingle } from "./replay/single.ts";
import { TINY_CORPUS, tinyRun } from "./tiny-run.test-support.ts";

const STEPS = 8;
/** The fixtures know 40 tokens. */
const corpus = Uint8Array.from(TINY_CORPUS, (byte) => byte % 40);

let folder: string;
let orchestrator: TestOrchestrator;
const workers: WorkerProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-decoder-"));
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await orchestrator.close();
  rmSync(folder, { recursive: true, force: true });
});

function runOf(name: string, change: object): { spec: RunSpec; paths: string[]; files: Uint8Array[] } {
  const paths = readdirSync(familyFolder(name))
    .filter((each) => each.endsWith(".safetensors"))
    .map((each) => join(familyFolder(name), each));
  const files = paths.map((path) => new Uint8Array(readFileSync(path)));
  const spec = tinyRun({
    model: {
      ...familySpec(name),
      ...change,
      files: files.map((bytes) => ({
        sha256: sha256(bytes),
        bytes: bytes.length,
        chunksSha256: chunksDigest(chunksOf(bytes).sha256),
      })),
    },
    stages: 3,
    batch: 2,
    sequence: 6,
    corpus: { name: "tiny", sha256: sha256(corpus), bytes: corpus.length, tokenBytes: 1 },
  });
  return { spec, paths, files };
}

describe("a model in four safetensors files, tied, with a frozen matrix", () => {
  it("three processes give the loss curve of one, from the weights in the files", async () => {
    const { spec, paths, files } = runOf("llama-3", { freeze: ["*.1.self_attn.o_proj.*"] });
    orchestrator = new TestOrchestrator(spec, corpus, STEPS);
    for (const bytes of files) orchestrator.blobs.set(sha256(bytes), bytes);
    const url = await orchestrator.listen();
    for (const name of ["a", "b", "c"]) workers.push(new WorkerProcess({ url, folder: join(folder, name) }));
    const alone = await trainSingle({ spec, corpus, files: paths, steps: STEPS, threads: 1 });
    await orchestrator.until(() => orchestrator.losses.has(STEPS));
    expect(orchestrator.troubles).toEqual([]);
    for (const { step, loss } of alone)
      expect(Math.abs((orchestrator.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(
        1e-4,
      );
    expect(alone.at(-1)?.loss).toBeLessThan((alone[0]?.loss ?? 0) - 0.05);
    const parts = readdirSync(join(folder, "a", "models"));
    expect(parts.map((each) => statSync(join(folder, "a", "models", each)).size).toSorted()).toEqual(
      files.map(({ length }) => length).toSorted(),
    );
  });
});
