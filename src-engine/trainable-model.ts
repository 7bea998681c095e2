import { Failure } from "../src-protocol/failure.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import type { ModelSpec, OnnxSpec } from "../src-protocol/model.ts";
import type { FloatType } from "./element-type.ts";
import { decoderModel } from "./families/decoder-model.ts";
import type { ModelFiles } from "./families/model-files.ts";
import { type ImportedModel, importModel } from "./import/import-model.ts";
import { withCrossEntropy } from "./import/loss.ts";
import { llamaModel } from "./llama-model.ts";
import type { MicroBatchShape } from "./llama.ts";
import type { Cuttable } from "./section.ts";
import { sizeOf } from "./shape.ts";
import type { ParameterInfo } from "./stage.ts";

/**
 * A language model with its loss. Inputs are `tokens` and `targets`, int32 [batch·sequence]; the
 * output is `loss` [], the mean cross-entropy in nats.
 */
export interface TrainableModel extends Cuttable {
  /**
   * A parameter, or a table, before the first step: float32, row-major. `into`: where it is to be
   * written, so that a large model is not in memory twice. `files`: of a model that has its own.
   */
  initial(
    parameter: ParameterInfo,
    seed: number,
    into?: Float32Array,
    files?: ModelFiles | null,
  ): Float32Array;
}

/** The sequences of a micro-batch; `float64` is for checking gradients. */
export type ModelShape = MicroBatchShape & { float?: FloatType; arithmetic?: Arithmetic };

/**
 * The model that a run names. `file`: the bytes of its ONNX file, for a model that has one; its
 * digest is the caller's to check. A decoder's graph needs no file.
 *
 * @throws Failure as `llamaModel`, `decoderModel` and `importModel`, and `bad-model` when file and run do not fit together
 */
export function openModel(spec: ModelSpec, shape: ModelShape, file: Uint8Array | null): TrainableModel {
  const { arithmetic = "fast" } = shape;
  if (spec.kind === "decoder") return { ...decoderModel(spec, shape, shape.float), arithmetic };
  if (spec.kind === "llama") return { ...llamaModel(spec, shape, shape.float), arithmetic };
  if (file === null) throw new RangeError("The file of an imported model is needed to open it.");
  return { ...importedModel(spec, shape, file), arithmetic };
}

function importedModel(spec: OnnxSpec, shape: ModelShape, file: Uint8Array): TrainableModel {
  const { float } = shape;
  const imported = importModel(file, {
    sizes: spec.sizes,
    fixed: spec.fixed,
    outputs: [spec.scores],
    freeze: spec.freeze ?? [],
    train: spec.train ?? [],
    ...(float ? { float } : {}),
  });
  const model = withCrossEntropy(imported);
  const rows = shape.batch * shape.sequence;
  const inputs = model.inputs.map((input) => {
    if (input.name === "targets") return input;
    if (
      input.name === spec.tokens &&
      input.tensor.type.startsWith("int") &&
      sizeOf(input.tensor.shape) === rows
    )
      return { name: "tokens", tensor: input.tensor, fed: { type: "int32" as const, shape: [rows] } };
    throw misfit(
      `its input "${input.name}" ${input.tensor.type} [${input.tensor.shape}] is not ${rows} token numbers`,
    );
  });
  mustScore(imported, spec, rows);
  const stored = new Map([...model.parameters, ...model.tables].map((each) => [each.name, each]));
  return {
    ...model,
    inputs,
    initial: ({ name, size }, _seed, into = new Float32Array(size)) => {
      const found = stored.get(name);
      if (!found) throw new RangeError(`The model has no parameter "${name}".`);
      into.set(found.read());
      return into;
    },
  };
}

function mustScore({ outputs: [scores] }: ImportedModel, { vocabulary }: OnnxSpec, rows: number): void {
  const [count, classes] = scores
    ? [sizeOf(scores.tensor.shape) / scores.tensor.dim(-1), scores.tensor.dim(-1)]
    : [];
  if (count === rows && classes === vocabulary) return;
  throw misfit(
    `its output "${scores?.name}" [${scores?.tensor.shape}] is not a score for each of ${vocabulary} tokens at ${rows} places`,
  );
}

function misfit(why: string): Failure {
  return new Failure(
    "bad-model",
    `The model does not fit the run: ${why}. Name the right input and output, or other sizes.`,
  );
}
