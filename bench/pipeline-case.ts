import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultCorpus } from "../src-daemon/runs/corpus.ts";
import { planRun } from "../src-daemon/runs/run-plan.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { LlamaSpec, RunSpec } from "../src-protocol/model.ts";
import type { RunFile } from "../src-protocol/run-file.ts";

interface PipelineShape {
  readonly model: LlamaSpec;
  readonly stages: number;
  /** As a newcomer's run has them, where it is silent. */
  readonly microBatches?: number;
}

const WIDTH_512: LlamaSpec = { ...DEFAULT_MODEL, width: 512, heads: 8, hidden: 1408 };
const SIX_BLOCKS: LlamaSpec = { ...DEFAULT_MODEL, blocks: 6 };

/**
 * What is trained, in as many processes as it has stages.
 *
 * A step of M micro-batches over S stages keeps a pipeline full for M of M + S − 1 turns (the others are its
 * flush): those of 16 have steps of twice the tokens, for all that are compared.
 */
export const PIPELINE_CASES = {
  default: { model: DEFAULT_MODEL, stages: 3 },
  "width 512": { model: WIDTH_512, stages: 3 },
  "six stages": { model: SIX_BLOCKS, stages: 6 },
  "16 micro-batches": { model: DEFAULT_MODEL, stages: 3, microBatches: 16 },
  "width 512 with 16 micro-batches": { model: WIDTH_512, stages: 3, microBatches: 16 },
  "six stages with 16 micro-batches": { model: SIX_BLOCKS, stages: 6, microBatches: 16 },
} as const satisfies Record<string, PipelineShape>;
export type PipelineCase = keyof typeof PIPELINE_CASES;

export interface CaseRun {
  readonly run: RunSpec;
  /** A file of it (run-file.ts), for the daemon and for the one process. */
  readonly file: string;
}

/** Everything but the model as a newcomer's run has it. */
export async function caseRun(name: PipelineCase, arithmetic: Arithmetic, folder: string): Promise<CaseRun> {
  const { model, stages, microBatches }: PipelineShape = PIPELINE_CASES[name];
  const corpus = await defaultCorpus(join(folder, "corpus"));
  const planned = planRun({ corpus, size: "default", steps: null, workers: stages, arithmetic });
  const run: RunSpec = { ...planned, model, stages, microBatches: microBatches ?? planned.microBatches };
  const file = join(folder, "run.json");
  const whole: RunFile = { run, corpusFile: corpus.file, modelFiles: [] };
  writeFileSync(file, JSON.stringify(whole));
  return { run, file };
}
