import type { MicroBatchShape } from "../src-engine/llama.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import type { Tfjs, TfTensor } from "./tfjs-library.ts";
import type { Products } from "./tfjs-products.ts";

export interface TfLlama {
  /** Mean cross-entropy in nats [] of tokens and targets int32 [batch·sequence]. */
  loss(parameter: (name: string) => TfTensor, tokens: TfTensor, targets: TfTensor): TfTensor;
}

/** The engine's model (`src-engine/llama.ts`) written with TensorFlow.js. */
export function tfLlama(tf: Tfjs, products: Products, model: LlamaSpec, shape: MicroBatchShape): TfLlama {
  const { batch, sequence } = shape;
  const { vocabulary, width, heads } = model;
  const size = width / heads;
  const [cos, sin] = rotaryTables(tf, sequence, size / 2, model.ropeBase);
  const mask = causalMask(tf, sequence);

  const norm = (x: TfTensor, weight: TfTensor): TfTensor => {
    const meanSquare = tf.mean(tf.mul(x, x), -1, true);
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(meanSquare, model.normEpsilon))), weight);
  };
  const rotated = (x: TfTensor): TfTensor => {
    const [a, b] = tf.split(x, 2, -1);
    if (a === undefined || b === undefined) throw new RangeError("A split in two has two parts.");
    return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], -1);
  };
  const attention = (x: TfTensor, own: (name: string) => TfTensor): TfTensor => {
    const split = (name: string): TfTensor =>
      tf.transpose(tf.reshape(products.flat(x, own(name)), [batch, sequence, heads, size]), [0, 2, 1, 3]);
    const similarity = products.perHead(rotated(split("query")), rotated(split("key")), true);
    const weights = tf.softmax(tf.add(tf.mul(similarity, 1 / Math.sqrt(size)), mask));
    const mixed = tf.transpose(products.perHead(weights, split("value"), false), [0, 2, 1, 3]);
    return products.flat(tf.reshape(mixed, [batch * sequence, width]), own("output"));
  };
  const block = (x: TfTensor, own: (name: string) => TfTensor): TfTensor => {
    const attended = tf.add(x, attention(norm(x, own("norm1")), own));
    const input = norm(attended, own("norm2"));
    const gate = products.flat(input, own("gate"));
    const hidden = tf.mul(tf.mul(gate, tf.sigmoid(gate)), products.flat(input, own("up")));
    return tf.add(attended, products.flat(hidden, own("down")));
  };
  const oneHot = (indices: TfTensor): TfTensor => tf.cast(tf.oneHot(indices, vocabulary), "float32");

  return {
    loss: (parameter, tokens, targets) => {
      // A gather has no gradient in WebAssembly; a product with ones has, and costs a hundredth of the step.
      let x = products.flat(oneHot(tokens), parameter("embedding"));
      for (let i = 0; i < model.blocks; i++) x = block(x, (name) => parameter(`blocks.${i}.${name}`));
      const scores = products.flat(norm(x, parameter("final.norm")), parameter("final.output"));
      const chosen = tf.sum(tf.mul(tf.logSoftmax(scores), oneHot(targets)));
      return tf.div(tf.neg(chosen), batch * sequence);
    },
  };
}

function rotaryTables(tf: Tfjs, sequence: number, half: number, base: number): [TfTensor, TfTensor] {
  const angles = Float64Array.from(
    { length: sequence * half },
    (_, k) => Math.floor(k / half) * base ** (-(k % half) / half),
  );
  const table = (of: (angle: number) => number): TfTensor =>
    tf.tensor(Float32Array.from(angles, of), [sequence, half]);
  return [table(Math.cos), table(Math.sin)];
}

function causalMask(tf: Tfjs, sequence: number): TfTensor {
  const values = Float32Array.from({ length: sequence * sequence }, (_, k) =>
    k % sequence > Math.floor(k / sequence) ? -1e9 : 0,
  );
  return tf.tensor(values, [sequence, sequence]);
}
