import { dice, fuzzOnce } from "../src-orchestrator/control/fuzz.test-support.ts";
import type { Progress } from "./bench.ts";

/** In a long run; `npm test` does 20,000 of the same. */
const FRAMES = 1_000_000;
const SEED = 20_261_128;

export interface FuzzResult {
  readonly frames: number;
  readonly refused: number;
  readonly accepted: number;
  /** Anything else than an answer or a sentence with a code: must be 0. */
  readonly crashed: number;
  /** Inputs of each. */
  readonly byParser: Readonly<Record<string, number>>;
  readonly heapGrowthMB: number;
  readonly seconds: number;
}

export async function benchFuzz(progress: Progress): Promise<FuzzResult> {
  const roll = dice(SEED);
  const start = performance.now();
  const before = process.memoryUsage().heapUsed;
  const byParser: Record<string, number> = {};
  const count = { refused: 0, accepted: 0, crashed: 0 };
  for (let i = 0; i < FRAMES; i++) {
    if (i % 100_000 === 0) progress(`${i} of ${FRAMES}`);
    // What is promised meanwhile is done, or it would count as memory that grows.
    if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    try {
      const { parser, outcome } = fuzzOnce(roll);
      count[outcome] += 1;
      byParser[parser] = (byParser[parser] ?? 0) + 1;
    } catch (error) {
      count.crashed += 1;
      progress(`input ${i}: ${String(error)}`);
    }
  }
  const heapGrowthMB = (process.memoryUsage().heapUsed - before) / 1e6;
  return { frames: FRAMES, ...count, byParser, heapGrowthMB, seconds: (performance.now() - start) / 1000 };
}
