import { LINES, MICRO_BATCH_MS } from "../src-engine/step-estimate.ts";
import { MOST_MICRO_BATCHES } from "../src-protocol/model.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { chainsGoodput } from "./simulation/chains.ts";
import { simulateChurn } from "./simulation/churn.ts";
import type { ChurnResult } from "./simulation/churn.ts";
import { stays } from "./simulation/homes.ts";

const HOUR = 3_600_000;
const SEED = 1;
const STAGES = 8;
const LOAD_MS = 90_000;
/** Of a micro-batch, there and back, on the median computer; and what of it goes to the next one. */
const WORK_MS = 1_000;
const SENT_BYTES = 275_000;
/** Drawn from the days: who is lost when in a step makes a tenth of it more or less. */
const STEPS = 8;

export interface SimulateResult extends ChurnResult {
  readonly seed: number;
  readonly nodes: number;
  /** The same homes in fixed chains. */
  readonly fixedChainsGoodput: number;
  readonly seconds: number;
}

/** Three days of 5,000 homes and 8 runs of 8 stages, as `simulation/` says; always the same. */
export async function benchSimulate(
  progress: Progress,
  { runs: seed = SEED }: BenchOptions,
): Promise<SimulateResult> {
  const began = performance.now();
  const nodes = 5_000;
  const until = 72 * HOUR;
  const homes = stays(nodes, until, seed);
  progress(`${homes.length} stays of ${nodes} computers`);
  const options = {
    runs: 8,
    stages: STAGES,
    until,
    loadMs: LOAD_MS,
    microBatches: MOST_MICRO_BATCHES,
    workMs: WORK_MS,
    eachMs: MICRO_BATCH_MS,
    linkMs: LINES.home.latencyMs + (SENT_BYTES / LINES.home.bytesPerSecond) * 1000,
    steps: STEPS,
    seed,
  };
  const result = simulateChurn(homes, options);
  progress(
    `what placement leaves ${result.placementGoodput.toFixed(3)}, in steps of sync ${result.syncGoodput.toFixed(3)}; now the same homes in fixed chains`,
  );
  const fixedChainsGoodput = chainsGoodput(homes, {
    stages: STAGES,
    until,
    loadMs: LOAD_MS,
    settledAfter: HOUR,
  });
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  return {
    seed,
    nodes,
    ...result,
    fixedChainsGoodput,
    seconds,
  };
}
