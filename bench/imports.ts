import { withWeights } from "../src-cli/model-weights.ts";
import { GOLDEN_CASES, type GoldenCase, optionsOf } from "../src-engine/import/golden-cases.test-support.ts";
import { matchGradients } from "../src-engine/import/golden-match.test-support.ts";
import {
  evaluate,
  fixture,
  golden,
  inputTypes,
  relativeError,
  run,
  type Golden,
} from "../src-engine/import/golden.test-support.ts";
import { importModel } from "../src-engine/import/import-model.ts";
import { decodeModel } from "../src-engine/import/model-bytes.ts";
import type { ImportedModel, ImportOptions } from "../src-engine/import/import-model.ts";
import type { Progress } from "./bench.ts";

/** Relative to the framework's numbers, in the Euclidean norm. */
const MOST_ERROR = 5e-6;
/** How far each parameter moves along its gradient, of its own length. */
const MOVES = 0.01;

export interface ImportRow {
  readonly file: string;
  readonly kind: string;
  /** Numbers that train here, and in the framework that the file comes from. */
  readonly parameters: number;
  readonly framework: number;
  /** Of the framework's, numbers that no parameter here has the gradient of. */
  readonly leftOut: number;
  readonly outputError: number;
  /** The worst of all parameters. */
  readonly gradientError: number;
  /** The trained file in ONNX Runtime against the trained weights here; null: that does not run it. */
  readonly trainedError: number | null;
  readonly ok: boolean;
}

export interface ImportsResult {
  readonly files: number;
  readonly ok: number;
  readonly worstGradientError: number;
  readonly worstTrainedError: number;
  readonly rows: readonly ImportRow[];
}

/** Every committed file of another framework: what trains, its gradients, and the trained file in ONNX Runtime. */
export async function benchImports(progress: Progress): Promise<ImportsResult> {
  const rows: ImportRow[] = [];
  for (const each of GOLDEN_CASES) {
    progress(each.name);
    rows.push(await measured(each));
  }
  return {
    files: rows.length,
    ok: rows.filter(({ ok }) => ok).length,
    worstGradientError: Math.max(...rows.map(({ gradientError }) => gradientError)),
    worstTrainedError: Math.max(...rows.map(({ trainedError }) => trainedError ?? 0)),
    rows,
  };
}

async function measured(given: GoldenCase): Promise<ImportRow> {
  const { name, kind, notRun } = given;
  const options = optionsOf(given);
  const [file, numbers] = [fixture(name), golden(name)];
  const model = importModel(file, options);
  const { output, gradients } = await evaluate(model, numbers);
  const { errors, left } = matchGradients(gradients, numbers.gradients);
  const parameters = model.parameters.reduce((sum, { size }) => sum + size, 0);
  const framework = [...numbers.gradients.values()].reduce((sum, { length }) => sum + length, 0);
  const row = {
    file: name,
    kind,
    parameters,
    framework,
    leftOut: left.reduce((sum, { length }) => sum + length, 0),
    outputError: relativeError(output, numbers.output.data),
    gradientError: Math.max(...errors.values()),
    trainedError:
      notRun === undefined ? await trainedError(file, options, numbers, moved(model, gradients)) : null,
  };
  const isRight =
    row.parameters === framework &&
    row.leftOut === 0 &&
    [row.outputError, row.gradientError, row.trainedError ?? 0].every((error) => error <= MOST_ERROR);
  return { ...row, ok: isRight };
}

/** The parameters one step further down. */
function moved(
  { parameters }: ImportedModel,
  gradients: Readonly<Record<string, Float32Array>>,
): ReadonlyMap<string, Float32Array> {
  return new Map(
    parameters.map(({ name, read }) => {
      const [weights, gradient] = [read(), gradients[name] ?? new Float32Array()];
      // A bias of 0 has no length.
      const length = Math.hypot(...weights) || 1;
      const step = (MOVES * length) / (Math.hypot(...gradient) || 1);
      return [name, weights.map((weight, i) => weight - step * (gradient[i] ?? 0))] as const;
    }),
  );
}

async function trainedError(
  file: Uint8Array,
  options: ImportOptions,
  numbers: Golden,
  weights: ReadonlyMap<string, Float32Array>,
): Promise<number> {
  const model = importModel(file, options);
  const parameters = model.parameters.map((each) => ({
    ...each,
    read: () => weights.get(each.name) ?? each.read(),
  }));
  const here = await evaluate({ ...model, parameters }, numbers);
  const [output] = model.outputs;
  const constant = fixedInputs(file, options);
  const found = await run(
    { bytes: withWeights(file, weights), inputs: [...model.inputs, ...constant].map(({ name }) => name) },
    new Map([...inputTypes(model.inputs), ...constant.map((each) => [each.name, each] as const)]),
    { ...numbers.inputs, ...Object.fromEntries(constant.map(({ name, values }) => [name, values])) },
  );
  return relativeError(found[output?.name ?? ""], here.output ?? []);
}

interface FixedInput {
  readonly name: string;
  readonly type: "int64" | "float32";
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** Inputs that are constant in training, as the file takes them. */
function fixedInputs(file: Uint8Array, { fixed = {}, sizes = {} }: ImportOptions): FixedInput[] {
  const { graph } = decodeModel(file);
  return graph.input.flatMap(({ name, type }): FixedInput[] => {
    const given = fixed[name];
    if (given === undefined || type?.value.case !== "tensorType") return [];
    const { elemType, shape: stated } = type.value.value;
    const shape = (stated?.dim ?? []).map(({ value }) =>
      value.case === "dimParam" ? (sizes[value.value] ?? 0) : Number(value.value),
    );
    const places = shape.at(-1) ?? 1;
    const values = Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) =>
      given === "positions" ? i % places : Number(given),
    );
    return [{ name, type: elemType === 7 ? "int64" : "float32", shape, values }];
  });
}
