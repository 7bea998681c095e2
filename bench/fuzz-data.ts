import { DataFuzz, FUZZED } from "../src-data/fuzz.test-support.ts";
import { randomStream } from "../src-engine/random.ts";
import type { BenchOptions, Progress } from "./bench.ts";

/** Of each kind; `BENCH_FUZZ_FILES` tries another number. */
const TRIES = 10_000;

export interface FuzzDataResult {
  readonly filesOfEachKind: number;
  readonly kinds: Readonly<Record<string, { read: number; refused: number; crashed: number }>>;
  /** Anything else than the right tokens or a clear sentence: must be 0. */
  readonly crashed: number;
  readonly peakMegabytes: number;
  readonly seconds: number;
}

/** Damaged files of every kind through the readers of data, as a training reads them. */
export async function benchFuzzData(progress: Progress, { only }: BenchOptions): Promise<FuzzDataResult> {
  const tries = Number(process.env["BENCH_FUZZ_FILES"] ?? TRIES);
  const begun = performance.now();
  const kinds: Record<string, { read: number; refused: number; crashed: number }> = {};
  for (const name of FUZZED) {
    if (only.length > 0 && !only.includes(name)) continue;
    const count = { read: 0, refused: 0, crashed: 0 };
    const fuzz = new DataFuzz(name, randomStream("fuzz", name));
    try {
      for (let i = 0; i < tries; i++) {
        try {
          count[await fuzz.once()] += 1;
        } catch (error) {
          count.crashed += 1;
          progress(`${name}, file ${i}: ${String(error)}`);
        }
      }
    } finally {
      fuzz.close();
    }
    kinds[name] = count;
    progress(`${name}: ${count.read} read, ${count.refused} refused, ${count.crashed} crashed`);
  }
  return {
    filesOfEachKind: tries,
    kinds,
    crashed: Object.values(kinds).reduce((sum, { crashed }) => sum + crashed, 0),
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1000),
    seconds: Math.round((performance.now() - begun) / 1000),
  };
}
