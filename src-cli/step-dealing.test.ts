import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { familyFolder } from "../src-engine/families/folder.test-support.ts";
import { stagesOf } from "../src-engine/stages.ts";
import type { RunSpec } from "../src-protocol/model.ts";
import type { Deal } from "./step-dealing.ts";
import { planTraining } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";

const ONNX = join(import.meta.dirname, "..", "src-engine", "fixtures", "llama-tied.onnx");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah-dealing-"));
  mkdirSync(join(folder, "data"));
  writeFileSync(
    join(folder, "data", "letters.u16"),
    Uint16Array.from({ length: 6_000 }, (_, i) => (i * i) % 24),
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Wanted {
  readonly model: string;
  readonly deal?: Deal;
  readonly before?: RunSpec;
  readonly batch?: number;
  readonly microBatches?: number;
}

async function planned({ model, deal, before, batch, microBatches = 8 }: Wanted): Promise<TrainingPlan> {
  const into = mkdtempSync(join(folder, "run-"));
  const plan = await planTraining(
    {
      model,
      data: join(folder, "data"),
      steps: 6,
      stages: 2,
      microBatches,
      learningRate: 3e-4,
      seed: 1,
      batch: batch ?? null,
      sequence: 12,
      sizes: {},
      tokens: null,
      scores: null,
      fixed: {},
      column: null,
      include: [],
      exclude: [],
      freeze: [],
      train: [],
      ...(deal && { deal }),
      ...(before && { before }),
    },
    into,
    { cache: join(folder, "prepared") },
  );
  plan.folder?.close();
  return plan;
}

const never: Deal = () => {
  throw new Error("it is known how its steps are dealt");
};
const MODELS = [
  ["a folder", familyFolder("llama-3")],
  ["an ONNX file that leaves its batch open", ONNX],
] as const;

it.each(MODELS)(
  "the steps of %s are dealt as suits its lines, and its slices are cut for that",
  async (_, model) => {
    const asked: number[] = [];
    const deal: Deal = ({ batch, microBatches }, stages) => {
      asked.push(batch, microBatches);
      for (const each of [2, 8]) asked.push((stages(each)[1]?.boundaryBytes.in ?? 0) / each);
      return { batch: 2, microBatches: 16 };
    };
    const { run, stages, packed } = await planned({ model, deal });
    const [batch, microBatches, small, large] = asked;
    expect([batch, microBatches]).toEqual([4, 8]);
    expect(small, "what crosses a cut grows with the batch").toBe(large);
    expect(run).toMatchObject({ batch: 2, microBatches: 16 });
    expect(stages.map(({ boundaryBytes }) => boundaryBytes)).toEqual(
      stagesOf(run, packed).map(({ boundaryBytes }) => boundaryBytes),
    );
  },
);

it.each(MODELS)("a run of %s goes on as it was begun", async (_, model) => {
  const { run: usual } = await planned({ model });
  expect(usual).toMatchObject({ batch: 4, microBatches: 8 });
  expect((await planned({ model, deal: never, before: usual })).run).toEqual(usual);
  const { run: begun } = await planned({ model, deal: () => ({ batch: 16, microBatches: 2 }) });
  expect(begun).toMatchObject({ batch: 16, microBatches: 2 });
  expect((await planned({ model, deal: never, before: begun })).run).toEqual(begun);
  const { run: said } = await planned({ model, microBatches: 3 });
  expect((await planned({ model, deal: never, before: said })).run).toEqual(said);
  const other = { ...begun, runId: "train-other" };
  expect(
    (await planned({ model, deal: () => ({ batch: 8, microBatches: 4 }), before: other })).run,
    "another run begins",
  ).toMatchObject({
    batch: 8,
    microBatches: 4,
  });
});

it("a step that is larger has micro-batches that are larger, too, where its deal says so", async () => {
  const deal: Deal = () => ({ batch: 8, microBatches: 64 });
  const { run, stages, packed } = await planned({ model: ONNX, deal });
  expect(run).toMatchObject({ batch: 8, microBatches: 64 });
  expect(stages.map(({ boundaryBytes }) => boundaryBytes)).toEqual(
    stagesOf(run, packed).map(({ boundaryBytes }) => boundaryBytes),
  );
});

it("what takes so many sequences at a time and no others gets more micro-batches of them, or the usual ones", async () => {
  const deal: Deal = ({ batch, microBatches }, stages) => {
    expect({ batch, microBatches, slices: stages(batch).length }).toEqual({
      batch: 2,
      microBatches: 8,
      slices: 2,
    });
    expect(() => stages(4)).toThrow("Its slices take micro-batches of 2 and no others.");
    return { batch, microBatches: 64 };
  };
  const { run } = await planned({ model: ONNX, batch: 2, deal });
  expect(run).toMatchObject({ batch: 2, microBatches: 64 });
  expect((await planned({ model: ONNX, batch: 2, deal: never, before: run })).run).toEqual(run);
  const { run: usual } = await planned({ model: ONNX, batch: 2, deal: () => null });
  expect(usual).toMatchObject({ batch: 2, microBatches: 8 });
});
