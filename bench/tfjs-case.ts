import { openModel } from "../src-engine/trainable-model.ts";
import { Failure } from "../src-protocol/failure.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { median } from "./median.ts";
import { answerCase } from "./peers/case-process.ts";
import { relativeError } from "./peers/relative-error.ts";
import { takeTurns, turnOf, wallClock } from "./peers/turns.ts";
import type { Turn } from "./peers/turns.ts";
import { loadTfjs } from "./tfjs-library.ts";
import { ownTrainee } from "./tfjs-own.ts";
import { plainProducts, tunedProducts } from "./tfjs-products.ts";
import { batchOf, tfjsTrainee } from "./tfjs-trainee.ts";
import type { Trainee } from "./tfjs-trainee.ts";

/** Child of the TensorFlow.js benchmark: one width, both libraries in one process, in turn. */
export interface TfjsCase {
  width: number;
  /** The engine's. TensorFlow.js has one: its WebAssembly has no more in Node. */
  threads: number;
  seconds: number;
  /** Where TensorFlow.js is installed. */
  folder: string;
}

export interface TfjsSpeed {
  width: number;
  blocks: number;
  tokens: number;
  threads: number;
  tfjsSimd: boolean;
  /** Whole steps, wall time: garbage of TensorFlow.js's many tensors is collected on other cores meanwhile. */
  engineMs: number;
  tfjsMs: number;
  tunedTfjsMs: number;
  /** Medians of the rounds' own ratios. */
  ratio: number;
  tunedRatio: number;
  /** Largest difference of any step's loss, in nats; the models are trained side by side. */
  lossDifference: number;
  /** Of the first step: largest ‖difference‖ ÷ ‖gradient‖ of any parameter. */
  gradientError: number;
  /** How many steps' losses were compared, and the first and the last of them. */
  steps: number;
  lossFrom: number;
  lossTo: number;
  rounds: number;
}

const SHAPE = { batch: 4, sequence: 128 };
const BLOCKS = 2;
const SEED = 1;
const HEAD_WIDTH = 64;
const LARGEST_DIFFERENCE = 1e-4;

await answerCase(compare);

async function compare({ width, threads, seconds, folder }: TfjsCase): Promise<TfjsSpeed> {
  const model: LlamaSpec = {
    ...DEFAULT_MODEL,
    width,
    heads: width / HEAD_WIDTH,
    hidden: 64 * Math.round((8 * width) / 3 / 64),
    blocks: BLOCKS,
  };
  const opened = openModel(model, SHAPE, null);
  const initial = opened.parameters.map((info) => ({ info, values: opened.initial(info, SEED) }));
  const tf = await loadTfjs(folder);
  const trainees = {
    engine: await ownTrainee(threads, model, SHAPE, SEED),
    tfjs: tfjsTrainee(tf, plainProducts(tf), model, SHAPE, initial),
    tuned: tfjsTrainee(tf, tunedProducts(tf), model, SHAPE, initial),
  };
  const gradientError = Math.max(
    await largestError(trainees.engine, trainees.tfjs),
    await largestError(trainees.tuned, trainees.tfjs),
  );

  const losses = { engine: [] as number[], tfjs: [] as number[], tuned: [] as number[] };
  const steps = (name: keyof typeof trainees): Turn =>
    turnOf(async () => {
      const seen = losses[name];
      seen.push(await trainees[name].step(batchOf(seen.length, SHAPE)));
    }, wallClock);
  const times = await takeTurns(
    { engine: steps("engine"), tfjs: steps("tfjs"), tuned: steps("tuned") },
    seconds,
  );
  const lossDifference = Math.max(
    ...losses.tfjs.flatMap((loss, i) =>
      // Each takes the steps that fit into its turn: compared are those that all took.
      [losses.engine[i], losses.tuned[i]].map((other) => Math.abs(loss - (other ?? loss))),
    ),
  );
  if (!(gradientError <= LARGEST_DIFFERENCE && lossDifference <= LARGEST_DIFFERENCE)) {
    throw new Failure(
      "bench-failed",
      `The libraries do not compute the same, so their speeds cannot be compared: losses differ by ${lossDifference}, ` +
        `gradients by ${gradientError}; ${LARGEST_DIFFERENCE} is allowed. One of them is wrong.`,
    );
  }
  const ratio = (ms: readonly number[]): number =>
    Number(median(ms.map((each, i) => each / (times.engine[i] ?? each))).toFixed(2));
  return {
    width,
    blocks: BLOCKS,
    tokens: SHAPE.batch * SHAPE.sequence,
    threads,
    tfjsSimd: await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT"),
    engineMs: Number(median(times.engine).toFixed(1)),
    tfjsMs: Number(median(times.tfjs).toFixed(1)),
    tunedTfjsMs: Number(median(times.tuned).toFixed(1)),
    ratio: ratio(times.tfjs),
    tunedRatio: ratio(times.tuned),
    lossDifference,
    gradientError,
    steps: losses.tfjs.length,
    lossFrom: losses.tfjs[0] ?? Number.NaN,
    lossTo: losses.tfjs.at(-1) ?? Number.NaN,
    rounds: times.engine.length,
  };
}

async function largestError(one: Trainee, other: Trainee): Promise<number> {
  const ours = await one.gradients(batchOf(0, SHAPE));
  const reference = await other.gradients(batchOf(0, SHAPE));
  return Math.max(...[...reference].map(([name, values]) => relativeError(ours.get(name), values)));
}
