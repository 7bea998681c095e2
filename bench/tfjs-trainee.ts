import type { MicroBatchShape } from "../src-engine/llama.ts";
import { randomStream } from "../src-engine/random.ts";
import type { ParameterInfo } from "../src-engine/stage.ts";
import type { LlamaSpec, OptimizerSpec } from "../src-protocol/model.ts";
import type { Tfjs } from "./tfjs-library.ts";
import { tfLlama } from "./tfjs-llama.ts";
import type { Products } from "./tfjs-products.ts";

/** int32 [batch·sequence] each. */
export interface Batch {
  tokens: Int32Array<ArrayBuffer>;
  targets: Int32Array<ArrayBuffer>;
}

/** A model in training. Two with the same parameters that see the same data have the same losses. */
export interface Trainee {
  /** By parameter, at the parameters it began with; nothing is changed. */
  gradients(batch: Batch): Promise<ReadonlyMap<string, Float32Array>>;
  /** Forward, backward and optimiser; gives the loss before it. The batch may be used up. */
  step(batch: Batch): Promise<number>;
}

/** Adam at a constant rate: with a weight decay of 0, AdamW does the same, and the same work. */
export const OPTIMIZER: OptimizerSpec = {
  learningRate: 1e-3,
  warmupSteps: 0,
  decaySteps: 1,
  finalFraction: 1,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0,
};

export function tfjsTrainee(
  tf: Tfjs,
  products: Products,
  model: LlamaSpec,
  shape: MicroBatchShape,
  initial: readonly { info: ParameterInfo; values: Float32Array }[],
): Trainee {
  const variables = new Map(
    initial.map(({ info: { name, shape }, values }) => [name, tf.variable(tf.tensor(values.slice(), shape))]),
  );
  const list = [...variables.values()];
  const llama = tfLlama(tf, products, model, shape);
  const { learningRate, beta1, beta2, epsilon } = OPTIMIZER;
  const optimizer = tf.train.adam(learningRate, beta1, beta2, epsilon);
  const rows = shape.batch * shape.sequence;
  const lossOf =
    ({ tokens, targets }: Batch) =>
    () =>
      llama.loss(
        (name) => {
          const variable = variables.get(name);
          if (variable === undefined) throw new RangeError(`The model has no parameter "${name}".`);
          return variable;
        },
        tf.tensor(tokens, [rows], "int32"),
        tf.tensor(targets, [rows], "int32"),
      );
  return {
    gradients: async (batch) =>
      tf.tidy(() => {
        const { grads } = tf.variableGrads(lossOf(batch), list);
        return new Map(
          [...variables].map(([name, variable]) => [
            name,
            grads[variable.name]?.dataSync().slice() ?? new Float32Array(),
          ]),
        );
      }),
    step: async (batch) =>
      tf.tidy(() => optimizer.minimize(lossOf(batch), true, list).dataSync()[0] ?? Number.NaN),
  };
}

/** Letters of which some are far more common: there is something to learn, so losses fall. */
export function batchOf(step: number, { batch, sequence }: MicroBatchShape): Batch {
  const random = randomStream("bench", "tfjs", step);
  const rows = Array.from({ length: batch }, () =>
    Int32Array.from({ length: sequence + 1 }, () => 97 + Math.floor(26 * random() ** 2)),
  );
  const [tokens, targets] = [new Int32Array(batch * sequence), new Int32Array(batch * sequence)];
  for (const [i, row] of rows.entries()) {
    tokens.set(row.subarray(0, sequence), i * sequence);
    targets.set(row.subarray(1), i * sequence);
  }
  return { tokens, targets };
}
