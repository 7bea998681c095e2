import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CORPUS_CHUNK_BYTES } from "../src-protocol/corpus-chunks.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import { parametersSha256 } from "../src-protocol/parameters-digest.ts";
import { runDigest } from "../src-protocol/run-digest.ts";
import { sha256 } from "../src-protocol/signing.ts";
import { memoryCorpus } from "./corpus/corpus-reader.ts";
import { MemoFiles } from "./pipeline/memo-files.ts";
import { OfflineRun } from "./replay/offline-run.ts";
import { TestOrchestrator } from "./control/orchestrator.test-support.ts";
import { WorkerProcess } from "./processes.test-support.ts";
import { trainSingle } from "./replay/single.ts";
import { TINY_CORPUS, tinyRun } from "./tiny-run.test-support.ts";

const STEPS = 20;

let folder: string;
let orchestrator: TestOrchestrator;
let url: string;
const workers: WorkerProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-worker-"));
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await orchestrator.close();
  rmSync(folder, { recursive: true, force: true });
});

async function begin(spec: RunSpec, stopAt: number): Promise<void> {
  orchestrator = new TestOrchestrator(spec, TINY_CORPUS, stopAt);
  url = await orchestrator.listen();
}

function startWorker(
  name: string,
  environment: NodeJS.ProcessEnv = {},
  memoryFolder?: string,
): WorkerProcess {
  const worker = new WorkerProcess({ url, folder: join(folder, name), memoryFolder, environment });
  workers.push(worker);
  return worker;
}

async function holderOf(stage: number): Promise<WorkerProcess> {
  for (const worker of workers) if ((await worker.sessionKey) === orchestrator.memberOf(stage)) return worker;
  throw new Error(`nobody holds stage ${stage}`);
}

function startThree(): void {
  for (const name of ["a", "b", "c"]) startWorker(name);
}

function folderOf(worker: WorkerProcess): string {
  return ["a", "b", "c"][workers.indexOf(worker)] ?? "";
}

const finished = (step: number) => (): boolean =>
  orchestrator.losses.has(step) && [0, 1, 2].every((stage) => orchestrator.savedOf(stage) >= step);

/** Every link that a worker has told is the one of the run done again in this process, and so are the final parameters. */
async function expectSameBits(spec: RunSpec, weights: ReadonlyMap<string, Float32Array>): Promise<void> {
  const again = await OfflineRun.open({
    spec,
    corpus: memoryCorpus(TINY_CORPUS),
    file: null,
    threads: 2,
    from: null,
  });
  try {
    while (again.step < STEPS) {
      const { step, links } = await again.next();
      for (const [stage, link] of links.entries())
        expect(orchestrator.links.get(`${stage}/${step}`), `stage ${stage}, step ${step}`).toEqual(
          new Set([link]),
        );
    }
    expect(parametersSha256(again.weights())).toBe(parametersSha256(weights));
  } finally {
    await again.close();
  }
}

function expectSameCurve(expected: readonly { step: number; loss: number }[]): void {
  for (const { step, loss } of expected) {
    expect(Math.abs((orchestrator.losses.get(step) ?? Number.NaN) - loss), `step ${step}`).toBeLessThan(1e-4);
  }
}

describe("three stages in three processes", () => {
  it("fetch of a text that is read in chunks what their samples need, and train the same", async () => {
    const list = createHash("sha256").update(TINY_CORPUS).digest();
    const { corpus } = tinyRun();
    const chunks = { bytes: CORPUS_CHUNK_BYTES, sha256: sha256(list) } as const;
    const spec = tinyRun({ steps: 6, corpus: { ...corpus, chunks } });
    await begin(spec, 6);
    orchestrator.blobs.set(chunks.sha256, list);
    startThree();
    const alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps: 6, threads: 2 });
    await orchestrator.until(finished(6));
    expectSameCurve(alone);
    // Head and tail have the chunk that they needed, nobody the whole text.
    const kept = ["a", "b", "c"].flatMap((name) => {
      const cache = join(folder, name, "corpus");
      return existsSync(cache) ? [readdirSync(cache).sort()] : [];
    });
    expect(kept).toEqual(Array.from({ length: 2 }, () => [chunks.sha256, `${corpus.sha256}.kept`].sort()));
  });

  it("give the same loss curve and the same bits as one process, and every stage and step its receipt", async () => {
    const spec = tinyRun({ steps: STEPS, digestEverySteps: 4 });
    await begin(spec, STEPS);
    const home = join(folder, "home");
    for (const name of ["a", "b", "c"])
      startWorker(name, { HOME: home, XDG_CACHE_HOME: "", ORT_DISABLE_TELEMETRY: "" });
    let weights: ReadonlyMap<string, Float32Array> = new Map();
    const alone = await trainSingle({
      spec,
      corpus: TINY_CORPUS,
      steps: STEPS,
      threads: 2,
      evaluateAt: (s) => s % 5 === 0,
      onStep: (_, now) => (weights = now()),
    });
    await orchestrator.until(finished(STEPS));
    expectSameCurve(alone);
    for (const { step, heldOutLoss } of alone) {
      if (heldOutLoss === null) continue;
      expect(Math.abs((orchestrator.heldOut.get(step - 1) ?? Number.NaN) - heldOutLoss)).toBeLessThan(1e-4);
    }
    expect(alone.at(-1)?.loss).toBeLessThan((alone[0]?.loss ?? 0) - 0.5);
    await orchestrator.until(() => orchestrator.receipts.size === STEPS * spec.stages);
    expect(orchestrator.troubles).toEqual([]);
    // ONNX Runtime's telemetry client would have left its database here.
    expect(filesUnder(home)).toEqual([]);
    await expectSameBits(spec, weights);
  });

  it("go on from the last step, with the same bits, when the middle one is killed and comes back", async () => {
    const spec = tinyRun({ steps: STEPS, digestEverySteps: 4 });
    await begin(spec, STEPS);
    startThree();
    let weights: ReadonlyMap<string, Float32Array> = new Map();
    const alone = await trainSingle({
      spec,
      corpus: TINY_CORPUS,
      steps: STEPS,
      threads: 1,
      onStep: (_, now) => (weights = now()),
    });
    await orchestrator.until(finished(8));
    const middle = await holderOf(1);
    const at = Math.max(...orchestrator.losses.keys());
    await middle.kill();
    startWorker(folderOf(middle));
    await orchestrator.until(finished(STEPS));
    expectSameCurve(alone);
    expect(orchestrator.resumedAt.at(-1)).toBeGreaterThanOrEqual(at - 1);
    await expectSameBits(spec, weights);
    await orchestrator.until(() => orchestrator.receipts.size === STEPS * spec.stages);
  });

  // Windows stops no process.
  it.skipIf(process.platform === "win32")(
    "go on within a step, with the same bits, when each is killed in turn and what lies in memory is left",
    async () => {
      const spec = tinyRun({ steps: STEPS, microBatches: 8, sequence: 32, digestEverySteps: 4 });
      await begin(spec, 1);
      const memoryOf = (name: string): string => join(folder, `memory-${name}`);
      const names = new Map(["a", "b", "c"].map((name) => [startWorker(name, {}, memoryOf(name)), name]));
      let weights: ReadonlyMap<string, Float32Array> = new Map();
      await trainSingle({
        spec,
        corpus: TINY_CORPUS,
        steps: STEPS,
        threads: 1,
        onStep: (_, now) => (weights = now()),
      });
      let step = 1;
      for (const stage of [0, 1, 2]) {
        await orchestrator.until(() => [0, 1, 2].every((each) => orchestrator.savedOf(each) >= step));
        const killed = await holderOf(stage);
        const name = names.get(killed) ?? "";
        const place = join(memoryOf(name), "under-way");
        const isBegun = async (at: number): Promise<boolean> => {
          const parts = await new MemoFiles(place, `${runDigest(spec)}/${stage}`).read();
          return parts.some((part) => part.step === at && part.link !== null);
        };
        let writtenAt: number | null = null;
        // Sums are not written in every step; a process that stands still does not end the step before it is killed.
        for (; writtenAt === null; step += 1) {
          orchestrator.allowUpTo(step + 1);
          while (writtenAt === null && !finished(step + 1)()) {
            if (await isBegun(step)) {
              killed.child.kill("SIGSTOP");
              await afterMs(20);
              if ((await isBegun(step)) && orchestrator.savedOf(stage) === step)
                writtenAt = firstWrittenAt(place, step);
              else killed.child.kill("SIGCONT");
            }
            await afterMs(5);
          }
        }
        await killed.kill();
        names.set(startWorker(name, {}, memoryOf(name)), name);
        await orchestrator.until(finished(step));
        // Nothing of it was worked on anew.
        expect(firstWrittenAt(place, step - 1)).toBe(writtenAt);
      }
      orchestrator.allowUpTo(STEPS);
      await orchestrator.until(finished(STEPS));
      await expectSameBits(spec, weights);
    },
  );

  it("go on from a checkpoint in the orchestrator's store when a disk is lost and a slot is damaged", async () => {
    const spec = tinyRun({ checkpointEverySteps: 3 });
    await begin(spec, 8);
    startThree();
    const alone = await trainSingle({ spec, corpus: TINY_CORPUS, steps: 12, threads: 1 });
    await orchestrator.until(finished(8));
    await orchestrator.until(() => orchestrator.checkpoints.length === 2 * spec.stages);
    const [middle, tail] = [await holderOf(1), await holderOf(2)];
    await Promise.all([middle.kill(), tail.kill()]);
    rmSync(join(folder, folderOf(middle)), { recursive: true });
    const slot =
      slotsUnder(join(folder, folderOf(tail))).find((path) => path.endsWith("slot-2.snapshot")) ?? "";
    writeFileSync(slot, "damaged");
    orchestrator.allowUpTo(12);
    const replaced = startWorker(folderOf(middle));
    const returned = startWorker(folderOf(tail));
    await orchestrator.until(finished(12));
    expect(orchestrator.resumedAt.at(-1)).toBe(6);
    expectSameCurve(alone);
    expect(readFileSync(`${slot}.corrupt`, "utf8")).toBe("damaged");
    expect(
      returned.said.some((said) => said.type === "note" && said.text.includes("slot-2.snapshot.corrupt")),
    ).toBe(true);
    expect(replaced.said.some((said) => said.type === "failed")).toBe(false);
  });

  it("give each other what they have of the run's files: who lost its disk asks the orchestrator for nothing of them", async () => {
    const spec = tinyRun({ stages: 2 });
    await begin(spec, 4);
    startWorker("a");
    startWorker("b");
    await orchestrator.until(() => [0, 1].every((stage) => orchestrator.savedOf(stage) >= 4));
    const text = spec.corpus.sha256;
    expect(orchestrator.given.filter((digest) => digest === text).length).toBeGreaterThan(0);
    const tail = await holderOf(1);
    await tail.kill();
    rmSync(join(folder, folderOf(tail), "corpus"), { recursive: true });
    orchestrator.given.length = 0;
    orchestrator.allowUpTo(8);
    startWorker(folderOf(tail));
    await orchestrator.until(() => [0, 1].every((stage) => orchestrator.savedOf(stage) >= 8));
    expect(orchestrator.given).not.toContain(text);
    expect(existsSync(join(folder, folderOf(tail), "corpus", text))).toBe(true);
  }, 60_000);

  it("keep receipts that nobody has confirmed through a kill", async () => {
    const spec = tinyRun();
    await begin(spec, 3);
    orchestrator.silentOnReceipts = true;
    startThree();
    await orchestrator.until(finished(3));
    await orchestrator.until(() => orchestrator.receipts.size === 3 * spec.stages);
    const head = await holderOf(0);
    await head.kill();
    orchestrator.receipts.clear();
    orchestrator.silentOnReceipts = false;
    startWorker(folderOf(head));
    await orchestrator.until(() => orchestrator.receipts.size === 3);
    expect([...orchestrator.receipts.values()].every(({ body }) => body.stage === 0)).toBe(true);
  });
});

describe("a worker process", () => {
  // A second at most on a quiet computer; one that is busy says no more of it than that it ends.
  const LEFT_WITHIN_MS = 20_000;
  const LAST_RESORT_MS = 700;

  it("leaves at once and with code 0 when it is told to stop", async () => {
    await begin(tinyRun(), Number.POSITIVE_INFINITY);
    startThree();
    await orchestrator.until(() => orchestrator.losses.size >= 3);
    const begun = performance.now();
    for (const worker of workers) worker.say({ type: "stop", reason: "a pause" });
    const ends = await Promise.all(workers.map((worker) => worker.exited));
    const tookMs = performance.now() - begun;
    // On a computer that is too busy for that, the worker's last resort ends it.
    const isBusy = tookMs > LAST_RESORT_MS;
    const left = ends.filter(({ code, signal }) => code === 0 || (isBusy && signal === "SIGKILL"));
    expect(left).toEqual(ends);
    expect(tookMs).toBeLessThan(LEFT_WITHIN_MS);
  });

  it("ignores Ctrl-C, which is the daemon's to answer, and ends when the daemon is gone", async () => {
    await begin(tinyRun(), Number.POSITIVE_INFINITY);
    startThree();
    await orchestrator.until(() => orchestrator.losses.size >= 2);
    for (const { child } of workers) child.kill("SIGINT");
    const seen = orchestrator.losses.size;
    await orchestrator.until(() => orchestrator.losses.size >= seen + 3);
    const begun = performance.now();
    for (const { child } of workers) child.disconnect();
    await Promise.all(workers.map((worker) => worker.exited));
    expect(performance.now() - begun).toBeLessThan(LEFT_WITHIN_MS);
  });

  it("says in one sentence why it cannot work and exits with 1", async () => {
    await begin(tinyRun(), 1);
    writeFileSync(join(folder, "a"), "a file where the folder should be");
    const worker = startWorker("a");
    expect(await worker.exited).toEqual({ code: 1, signal: null });
    const failed = worker.said.find((said) => said.type === "failed");
    expect(failed).toMatchObject({ code: "disk-failed" });
    expect(failed?.message).toContain(join(folder, "a"));
    expect(readFileSync(join(folder, "a"), "utf8")).toBe("a file where the folder should be");
  });
});

/** When the step's first micro-batch was written down. */
function firstWrittenAt(place: string, step: number): number {
  return statSync(join(place, `worked-${step % 2}-0`)).mtimeMs;
}

async function afterMs(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function slotsUnder(path: string): string[] {
  return filesUnder(path)
    .filter((name) => name.endsWith(".snapshot"))
    .map((name) => join(path, name));
}

function filesUnder(path: string): string[] {
  try {
    return readdirSync(path, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
}
