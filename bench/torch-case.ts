import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomStream } from "../src-engine/random.ts";
import { openModel } from "../src-engine/trainable-model.ts";
import { Failure } from "../src-protocol/failure.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { cpuClock } from "./interleave.ts";
import { median } from "./median.ts";
import { answerCase } from "./peers/case-process.ts";
import { relativeError } from "./peers/relative-error.ts";
import { takeTurns, turnOf, TURN_MS, wallClock } from "./peers/turns.ts";
import type { Turn } from "./peers/turns.ts";
import { BLOCK, blockAsWorker, blockInOneRun, drop } from "./torch-own.ts";
import type { BlockCase } from "./torch-own.ts";
import { startTorch } from "./torch-peer.ts";
import type { TorchPeer } from "./torch-peer.ts";

/** Child of the PyTorch benchmark: one block, here and in a Python process, in turn. */
export interface TorchCase {
  width: number;
  tokens: number;
  /** Of each. */
  threads: number;
  seconds: number;
  python: string;
}

export interface TorchSpeed {
  width: number;
  tokens: number;
  threads: number;
  sequence: number;
  /** Forward and backward. With one thread in CPU time, which is steady on a busy computer, else in wall time. */
  torchMs: number;
  engineMs: number;
  /** PyTorch's time ÷ the engine's, both keeping what the backward needs: medians of the rounds' own. */
  ratio: number;
  /** PyTorch's time ÷ that of a worker in the middle of a pipeline, keeping products or only its input. */
  workerSelectiveRatio: number;
  workerFullRatio: number;
  /** Largest ‖difference‖ ÷ ‖PyTorch's‖ of y, dx and each gradient. */
  error: number;
  rounds: number;
}

const SEQUENCE = 128;
const HEAD_WIDTH = 64;
const SEED = 1;
const LARGEST_ERROR = 1e-5;

await answerCase(compare);

async function compare({ width, tokens, threads, seconds, python }: TorchCase): Promise<TorchSpeed> {
  const request = blockCase(width, tokens, threads);
  const runs = {
    engine: await blockInOneRun(request),
    selective: await blockAsWorker(request, "selective", SEED),
    full: await blockAsWorker(request, "full", SEED),
  };
  const { torch, results } = await torchWith(request, python);
  const errors: number[] = [];
  for (const run of Object.values(runs)) {
    const outputs = await run();
    errors.push(...outputs.map((values, i) => relativeError(values, results[i] ?? new Float32Array())));
  }
  const error = Math.max(...errors);
  if (!(error <= LARGEST_ERROR)) {
    throw new Failure(
      "bench-failed",
      `The engine and PyTorch do not compute the same, so their speeds cannot be compared: results differ by ${error}; ` +
        `${LARGEST_ERROR} is allowed. One of them is wrong.`,
    );
  }
  const clock = threads === 1 ? cpuClock : wallClock;
  const own = (run: () => Promise<Float32Array<ArrayBuffer>[]>): Turn =>
    turnOf(async () => drop(await run()), clock);
  const times = await takeTurns(
    {
      torch: async () => {
        const { wallMs, cpuMs } = await torch.turn(TURN_MS);
        return threads === 1 ? cpuMs : wallMs;
      },
      engine: own(runs.engine),
      selective: own(runs.selective),
      full: own(runs.full),
    },
    seconds,
  );
  torch.close();
  const ratio = (ms: readonly number[]): number =>
    Number(median(times.torch.map((each, i) => each / (ms[i] ?? each))).toFixed(3));
  return {
    width,
    tokens,
    threads,
    sequence: SEQUENCE,
    torchMs: Number(median(times.torch).toFixed(2)),
    engineMs: Number(median(times.engine).toFixed(2)),
    ratio: ratio(times.engine),
    workerSelectiveRatio: ratio(times.selective),
    workerFullRatio: ratio(times.full),
    error,
    rounds: times.torch.length,
  };
}

/** PyTorch with the block's parameters, and its y, dx and gradients. */
async function torchWith(
  { model, shape, threads, x, dy, parameters }: BlockCase,
  python: string,
): Promise<{ torch: TorchPeer; results: Float32Array[] }> {
  const folder = mkdtempSync(join(tmpdir(), "tah-bench-torch-"));
  try {
    const [data, out] = [join(folder, "data"), join(folder, "out")];
    const arrays = [x, dy, ...parameters.map(({ values }) => values)];
    writeFileSync(data, bytesOf(arrays));
    const torch = await startTorch(python, { ...model, ...shape, threads, data });
    await torch.check(out);
    return { torch, results: partsOf(readFileSync(out), arrays) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function blockCase(width: number, tokens: number, threads: number): BlockCase {
  const model: LlamaSpec = {
    ...DEFAULT_MODEL,
    width,
    heads: width / HEAD_WIDTH,
    hidden: 64 * Math.round((8 * width) / 3 / 64),
    blocks: 3,
  };
  const shape = { batch: tokens / SEQUENCE, sequence: SEQUENCE };
  const opened = openModel(model, shape, null);
  const parameters = opened.parameters
    .filter(({ name }) => name.startsWith(`${BLOCK}.`))
    .map((info) => ({ info, values: opened.initial(info, SEED) }));
  const random = randomStream("bench", "torch");
  const noise = (): Float32Array => Float32Array.from({ length: tokens * width }, () => random() - 0.5);
  return { model, shape, threads, parameters, x: noise(), dy: noise() };
}

function bytesOf(arrays: readonly Float32Array[]): Uint8Array {
  return Buffer.concat(
    arrays.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  );
}

/** The floats of a file, cut as `like` is long. */
function partsOf(bytes: Buffer, like: readonly Float32Array[]): Float32Array[] {
  // A copy begins at a multiple of four bytes.
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  let place = 0;
  return like.map(({ length }) => {
    place += length;
    return all.subarray(place - length, place);
  });
}
