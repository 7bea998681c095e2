import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CHECKPOINT_MANIFEST_FILE, checkpointManifest } from "../../src-protocol/checkpoint-manifest.ts";
import type { OnnxSpec } from "../../src-protocol/model.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { blobFile } from "../../src-protocol/blob-file.ts";
import { writeManifest } from "./checkpoint-manifest.ts";
import { until } from "../test-support/fake-node.test-support.ts";
import { testRun } from "../runs/fleet.test-support.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { embeddedOptions, openOrchestrator } from "../orchestrator.test-support.ts";
import { startOrchestrator } from "../orchestrator.ts";

const MODEL_FILE = join(import.meta.dirname, "..", "..", "src-engine", "fixtures", "llama-tied.onnx");
const bytes = readFileSync(MODEL_FILE);
const model: OnnxSpec = {
  kind: "onnx",
  file: { sha256: sha256(bytes), bytes: bytes.length },
  vocabulary: 24,
  tokens: "input",
  scores: "output",
  sizes: { batch: 2, sequence: 16 },
  fixed: {},
};

describe("a run whose model is a file", () => {
  test("is cut and priced by that file, which nodes fetch by its digest", async () => {
    const { orchestrator, folder } = await openOrchestrator(
      { model, stages: 2 },
      { modelFiles: [MODEL_FILE] },
    );
    const view = orchestrator.host.view();
    expect(view.model).toEqual(model);
    expect(view.parameterCount).toBe(4816);
    expect(view.stages.map(({ parameterCount }) => parameterCount).every((count) => count > 1000)).toBe(true);
    expect(readFileSync(join(folder, "blobs", blobFile(model.file.sha256)))).toEqual(bytes);
  });

  test("needs the file once, and only that file", async () => {
    const folder = temporaryFolder();
    const other = join(folder, "other.onnx");
    writeFileSync(other, Buffer.concat([bytes, Buffer.alloc(1)]));
    const start = (modelFiles: string[], change: Partial<OnnxSpec> = {}): Promise<string> =>
      startOrchestrator({
        ...embeddedOptions(folder, { model: { ...model, ...change }, stages: 2 }),
        modelFiles,
      }).then(
        async (started) => {
          await started.close();
          return "started";
        },
        (error: { code: string }) => error.code,
      );
    expect(await start([])).toBe("model-missing");
    expect(await start([join(folder, "gone.onnx")])).toBe("model-missing");
    expect(await start([other])).toBe("model-mismatch");
    expect(await start([MODEL_FILE], { file: { ...model.file, bytes: bytes.length + 1 } })).toBe(
      "model-mismatch",
    );
    expect(await start([MODEL_FILE], { vocabulary: 25 })).toBe("bad-model");
    expect(await start([MODEL_FILE])).toBe("started");
    expect(await start([])).toBe("started");
  });
});

test("a text that is read in chunks is linked, needs its list of chunks, and is served from there later", async () => {
  const folder = temporaryFolder();
  const options = embeddedOptions(folder, {});
  const { corpus } = options.run;
  const list = createHash("sha256").update(readFileSync(options.corpusFile)).digest();
  const run = {
    ...options.run,
    corpus: { ...corpus, chunks: { bytes: 65_536, sha256: sha256(list) } as const },
  };
  const start = (): Promise<string> =>
    startOrchestrator({ ...options, run }).then(
      async (started) => {
        await started.close();
        return "started";
      },
      (error: { code: string }) => error.code,
    );
  expect(await start()).toBe("corpus-missing");
  writeFileSync(`${options.corpusFile}.chunks`, "of another text");
  expect(await start()).toBe("corpus-mismatch");
  writeFileSync(`${options.corpusFile}.chunks`, list);
  expect(await start()).toBe("started");
  const stored = join(folder, "blobs", blobFile(corpus.sha256));
  expect(statSync(stored).ino).toBe(statSync(options.corpusFile).ino);
  rmSync(options.corpusFile);
  expect(await start()).toBe("started");
  rmSync(stored);
  expect(await start()).toBe("corpus-missing");
});

test("the held-out loss of the beginning outlives the orchestrator", async () => {
  const { orchestrator, net, folder } = await openOrchestrator({ steps: 3, evaluateEverySteps: 100 });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("finished", () => orchestrator.host.view().phase === "finished");
  expect(orchestrator.host.view().heldOutLossAtStart).toBe(4);
  await orchestrator.close();
  const again = await openOrchestrator({ steps: 3, evaluateEverySteps: 100 }, { folder });
  expect(again.orchestrator.host.view()).toMatchObject({ phase: "finished", heldOutLossAtStart: 4, step: 3 });
});

test("complete checkpoints are named on disk, and no longer when there is none", () => {
  const folder = temporaryFolder();
  const path = join(folder, CHECKPOINT_MANIFEST_FILE);
  const run = testRun();
  const stages = ["a", "b", "c"].map((digit) => ({ sha256: digit.repeat(64), bytes: 10 }));
  writeManifest(folder, run, [
    { step: 8, stages },
    { step: 4, stages: stages.toReversed() },
  ]);
  const manifest = checkpointManifest.parse(JSON.parse(readFileSync(path, "utf8")));
  expect(manifest).toMatchObject({ runId: "test", step: 8, stages });
  expect(manifest.stages[1]?.file).toBe(`blobs/sha256/bb/${"b".repeat(64)}`);
  expect(manifest.earlier).toMatchObject([{ step: 4, stages: stages.toReversed() }]);
  writeManifest(folder, run, []);
  expect(existsSync(path)).toBe(false);
});
