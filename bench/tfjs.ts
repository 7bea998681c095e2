import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Progress } from "./bench.ts";
import { runCase } from "./peers/case-process.ts";
import { secondsPerCase } from "./peers/seconds.ts";
import type { TfjsCase, TfjsSpeed } from "./tfjs-case.ts";
import { installPeer } from "./peer-install.ts";

const TENSORFLOW = { folder: "tfjs", name: "TensorFlow.js", takes: "about 310 MB on disk, a minute or two" };

const WIDTHS = [256, 128] as const;
const SECONDS = 15;

export interface TfjsResult {
  /** TensorFlow.js's time for a step ÷ the engine's at width 256, one thread each. */
  ratioAtD256: number;
  ratioAtD128: number;
  /** The same, against TensorFlow.js with its products rewritten by hand for its fast kernel. */
  tunedRatioAtD256: number;
  tunedRatioAtD128: number;
  /** The engine with all cores; in Node, TensorFlow.js's WebAssembly has one thread. */
  allCoresRatioAtD256: number;
  allCoresTunedRatioAtD256: number;
  cores: number;
  cases: TfjsSpeed[];
}

/**
 * One training step (forward, backward, Adam) of the same Llama-type model with 2 blocks on 512 byte
 * tokens, in the engine and in TensorFlow.js 4.22 with its WebAssembly backend (SIMD): equal
 * parameters, data and optimiser, both models trained side by side in one process, steps in turn.
 * It fails when losses or gradients differ by more than 1e-4.
 */
export async function benchTfjs(progress: Progress): Promise<TfjsResult> {
  const seconds = secondsPerCase(SECONDS);
  const folder = await installPeer(TENSORFLOW, progress);
  const cores = availableParallelism();
  const cases: TfjsSpeed[] = [];
  for (const threads of new Set([1, cores])) {
    for (const width of WIDTHS) {
      const request: TfjsCase = { width, threads, seconds, folder };
      const speed = await runCase<TfjsSpeed>(join(import.meta.dirname, "tfjs-case.ts"), request);
      cases.push(speed);
      progress(
        `width ${width}, threads ${threads}: ${speed.engineMs} ms a step, TensorFlow.js ${speed.tfjsMs} (${speed.ratio}×), ` +
          `tuned ${speed.tunedTfjsMs} (${speed.tunedRatio}×), losses within ${speed.lossDifference.toExponential(1)}, ${speed.rounds} rounds`,
      );
    }
  }
  const at = (width: number, threads: number, name: "ratio" | "tunedRatio"): number =>
    cases.find((each) => each.width === width && each.threads === threads)?.[name] ?? Number.NaN;
  return {
    ratioAtD256: at(256, 1, "ratio"),
    ratioAtD128: at(128, 1, "ratio"),
    tunedRatioAtD256: at(256, 1, "tunedRatio"),
    tunedRatioAtD128: at(128, 1, "tunedRatio"),
    allCoresRatioAtD256: at(256, cores, "ratio"),
    allCoresTunedRatioAtD256: at(256, cores, "tunedRatio"),
    cores,
    cases,
  };
}
