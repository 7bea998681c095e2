import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultCorpus } from "../src-daemon/runs/corpus.ts";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { LlamaSpec, RunSpec } from "../src-protocol/model.ts";
import type { RunFile } from "../src-protocol/run-file.ts";

/** What is trained, in as many processes as it has stages. */
export const PIPELINE_CASES = {
  default: { model: DEFAULT_MODEL, stages: 3 },
  "width 512": {
    model: { ...DEFAULT_MODEL, width: 512, heads: 8, hidden: 1408 } satisfies LlamaSpec,
    stages: 3,
  },
  "six stages": { model: { ...DEFAULT_MODEL, blocks: 6 } satisfies LlamaSpec, stages: 6 },
} as const;
export type PipelineCase = keyof typeof PIPELINE_CASES;

export interface CaseRun {
  readonly run: RunSpec;
  /** A file of it (run-file.ts), for the daemon and for the one process. */
  readonly file: string;
}

/** Everything but the model as a newcomer's run has it. */
export async function caseRun(name: PipelineCase, arithmetic: Arithmetic, folder: string): Promise<CaseRun> {
  const { model, stages } = PIPELINE_CASES[name];
  const corpus = await defaultCorpus(join(folder, "corpus"));
  const planned = planRun({ corpus, size: "default", steps: null, workers: stages, arithmetic });
  const run: RunSpec = { ...planned, model, stages };
  const file = join(folder, "run.json");
  const whole: RunFile = { run, corpusFile: corpus.file, modelFiles: [] };
  writeFileSync(file, JSON.stringify(whole));
  return { run, file };
}
