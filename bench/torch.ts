import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Progress } from "./bench.ts";
import { runCase } from "./peers/case-process.ts";
import { secondsPerCase } from "./peers/seconds.ts";
import type { TorchCase, TorchSpeed } from "./torch-case.ts";
import { findTorch } from "./torch-peer.ts";

const WIDTHS = [512, 1024] as const;
const TOKENS = [512, 1024] as const;
const SECONDS = 12;

/** PyTorch's time ÷ the engine's, with 1024 tokens unless said; above 1 the engine is faster. */
interface Ratios {
  ratioAtD512: number;
  ratioAtD1024: number;
  ratioAtD512Tokens512: number;
  ratioAtD1024Tokens512: number;
}

export interface TorchResult extends Ratios {
  oneThread: Ratios;
  threads: number;
  torch: string;
  cases: TorchSpeed[];
}

/**
 * Design section 8, "engine": forward and backward of one Llama block, in the engine and in PyTorch
 * (eager, its fused attention and norm) on the same CPU with as many threads, equal parameters and
 * data, in turn. It fails when any result differs by more than 1e-5. On AMD processors PyTorch's MKL
 * runs at half speed: see `peers/README.md` before quoting a ratio.
 */
export async function benchTorch(progress: Progress): Promise<TorchResult> {
  const seconds = secondsPerCase(SECONDS);
  const { command, torch } = findTorch();
  const threads = availableParallelism();
  const cases: TorchSpeed[] = [];
  for (const each of new Set([threads, 1])) {
    for (const width of WIDTHS) {
      for (const tokens of TOKENS) {
        const request: TorchCase = { width, tokens, threads: each, seconds, python: command };
        const speed = await runCase<TorchSpeed>(join(import.meta.dirname, "torch-case.ts"), request);
        cases.push(speed);
        progress(
          `width ${width}, tokens ${tokens}, threads ${each}: PyTorch ${speed.torchMs} ms, engine ${speed.engineMs} ms, ` +
            `ratio ${speed.ratio}, as a worker ${speed.workerSelectiveRatio} (selective) ${speed.workerFullRatio} (full), ` +
            `error ${speed.error.toExponential(1)}, ${speed.rounds} rounds`,
        );
      }
    }
  }
  const ratios = (threads: number): Ratios => {
    const ratio = (width: number, tokens: number): number =>
      cases.find((each) => each.width === width && each.tokens === tokens && each.threads === threads)
        ?.ratio ?? Number.NaN;
    return {
      ratioAtD512: ratio(512, 1024),
      ratioAtD1024: ratio(1024, 1024),
      ratioAtD512Tokens512: ratio(512, 512),
      ratioAtD1024Tokens512: ratio(1024, 512),
    };
  };
  return { ...ratios(threads), oneThread: ratios(1), threads, torch, cases };
}
