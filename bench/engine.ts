import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../src-daemon/children/child.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { Progress } from "./bench.ts";
import type { StageCase, StageSpeed } from "./engine-stage.ts";
import { median } from "./median.ts";

const WIDTHS = [256, 512, 1024] as const;
const TOKENS = [128, 256, 512, 1024] as const;
const BLOCKS = [1, 2] as const;

/** Processes that a promised ratio is the median of: where pages fall in the cache changes it by a point or two. */
const PROCESSES = 3;

/** Forward+backward ÷ MatMul of 1536³, in GFLOP/s, one block: medians of the rounds' own ratios. */
interface Ratios {
  /** With 1024 tokens. */
  ratioAtD512: number;
  ratioAtD1024: number;
  ratioAtD512Tokens512: number;
  ratioAtD1024Tokens512: number;
}

export interface EngineResult extends Ratios {
  /** The same on one thread, in CPU time: what a busy computer changes least. */
  oneThread: Ratios;
  /** Median over all cases. */
  matmulGflops: number;
  threads: number;
  peakRssMiB: number;
  /** Median over the cases; below `threads` others used the computer, and figures are lower bounds. */
  coresUsed: number;
  /** Lower and upper quartile of MatMul's speed over the cases: how steady the computer was. */
  matmulGflopsQuartiles: [number, number];
  cases: StageSpeed[];
}

/**
 * Design section 8, "engine": what share of ONNX Runtime's own MatMul speed a stage reaches. Each
 * case is a process of its own, set up as a worker is, that runs product, forward and backward in
 * turn. See `engine-stage.ts` for what is counted.
 */
export async function benchEngine(progress: Progress): Promise<EngineResult> {
  const threads = availableParallelism();
  const speedsOf = async (stages: readonly StageCase[]): Promise<StageSpeed[]> => {
    const speeds: StageSpeed[] = [];
    for (const stage of stages) {
      const speed = await measure(stage);
      speeds.push(speed);
      progress(lineOf(speed));
    }
    return speeds;
  };
  const cases = await speedsOf(casesOf(threads, WIDTHS, BLOCKS, TOKENS));
  const promised = (each: number): StageCase[] => casesOf(each, [512, 1024], [1], [512, 1024]);
  const again = await speedsOf(Array.from({ length: PROCESSES - 1 }, () => promised(threads)).flat());
  const oneThread = await speedsOf(promised(1));
  const products = cases.map(({ matmulGflops }) => matmulGflops).sort((a, b) => a - b);
  return {
    ...ratiosOf([...cases, ...again]),
    oneThread: ratiosOf(oneThread),
    threads,
    coresUsed: median(cases.map(({ coresUsed }) => coresUsed)),
    matmulGflops: median(products),
    matmulGflopsQuartiles: [
      products[Math.floor(products.length / 4)] ?? Number.NaN,
      products[Math.floor((3 * products.length) / 4)] ?? Number.NaN,
    ],
    peakRssMiB: Math.max(...cases.map(({ peakRssMiB }) => peakRssMiB)),
    cases: [...cases, ...again, ...oneThread],
  };
}

function lineOf(speed: StageSpeed): string {
  const { width, blocks, tokens, threads, matmulGflops, forwardRatio, forwardBackwardRatio } = speed;
  return (
    `width ${width}, blocks ${blocks}, tokens ${tokens}, threads ${threads}: MatMul ${matmulGflops} GFLOP/s, ` +
    `forward ${forwardRatio}, forward+backward ${forwardBackwardRatio}, ${speed.tokensPerSecond} tokens/s, ` +
    `${speed.peakRssMiB} MiB, ${speed.coresUsed} cores`
  );
}

function casesOf(
  threads: number,
  widths: readonly number[],
  blocks: readonly number[],
  tokens: readonly number[],
): StageCase[] {
  return widths.flatMap((width) =>
    blocks.flatMap((blocks) => tokens.map((tokens) => ({ width, blocks, tokens, threads }))),
  );
}

function ratiosOf(cases: readonly StageSpeed[]): Ratios {
  const ratio = (width: number, tokens: number): number =>
    median(
      cases
        .filter((each) => each.width === width && each.tokens === tokens && each.blocks === 1)
        .map(({ forwardBackwardRatio }) => forwardBackwardRatio),
    );
  return {
    ratioAtD512: ratio(512, 1024),
    ratioAtD1024: ratio(1024, 1024),
    ratioAtD512Tokens512: ratio(512, 512),
    ratioAtD1024Tokens512: ratio(1024, 512),
  };
}

async function measure(stage: StageCase): Promise<StageSpeed> {
  return await new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, "engine-stage.ts"), [JSON.stringify(stage)], {
      env: childEnvironment(process.env, process.platform),
    });
    child.once("message", (message) => resolve(message as StageSpeed));
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(
        new Failure(
          "bench-failed",
          `The case ${JSON.stringify(stage)} ended with ${code} before it had a figure.`,
        ),
      ),
    );
  });
}
