import { createRequire } from "node:module";
import { join } from "node:path";

/** Of TensorFlow.js's API what the comparison calls; the library itself is not part of this checkout. */
export interface TfTensor {
  readonly shape: readonly number[];
  dataSync(): Float32Array;
  dispose(): void;
}

export interface TfVariable extends TfTensor {
  readonly name: string;
}

type Shape = readonly number[];
type Unary = (x: TfTensor) => TfTensor;
type Binary = (a: TfTensor, b: TfTensor | number) => TfTensor;

interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: true, variables: readonly TfVariable[]): TfTensor;
}

export interface Tfjs {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  env(): { set(flag: string, value: boolean): void; getAsync(flag: string): Promise<boolean> };
  tidy<T>(work: () => T): T;
  tensor(values: Float32Array | Int32Array, shape: Shape, type?: "float32" | "int32"): TfTensor;
  variable(value: TfTensor): TfVariable;
  variableGrads(
    loss: () => TfTensor,
    variables: readonly TfVariable[],
  ): { value: TfTensor; grads: Readonly<Record<string, TfTensor>> };
  /** `gradient` gives one for each argument. */
  customGrad(
    forward: (
      a: TfTensor,
      b: TfTensor,
      save: (tensors: TfTensor[]) => void,
    ) => { value: TfTensor; gradFunc: (dy: TfTensor, saved: TfTensor[]) => TfTensor[] },
  ): (a: TfTensor, b: TfTensor) => TfTensor;
  train: { adam(rate: number, beta1: number, beta2: number, epsilon: number): TfOptimizer };

  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  neg: Unary;
  rsqrt: Unary;
  sigmoid: Unary;
  softmax: Unary;
  logSoftmax: Unary;
  cast(x: TfTensor, type: "float32"): TfTensor;
  mean(x: TfTensor, axis?: number, keepDims?: boolean): TfTensor;
  sum(x: TfTensor, axis?: number): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  oneHot(indices: TfTensor, depth: number): TfTensor;
  reshape(x: TfTensor, shape: Shape): TfTensor;
  transpose(x: TfTensor, permutation: Shape): TfTensor;
  slice(x: TfTensor, begin: Shape, size: Shape): TfTensor;
  split(x: TfTensor, parts: number, axis: number): TfTensor[];
  concat(parts: readonly TfTensor[], axis: number): TfTensor;
}

/** @param folder the one that `installPeer` gives */
export async function loadTfjs(folder: string): Promise<Tfjs> {
  const require = createRequire(join(folder, "package.json"));
  const tf = require("@tensorflow/tfjs") as Tfjs;
  require("@tensorflow/tfjs-backend-wasm");
  // Without checks of every result for infinity and the like, as for a product.
  tf.env().set("PROD", true);
  await tf.setBackend("wasm");
  await tf.ready();
  return tf;
}
