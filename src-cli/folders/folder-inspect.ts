import { openModel } from "../../src-engine/trainable-model.ts";
import type { TrainableModel } from "../../src-engine/trainable-model.ts";
import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { InspectedModel, InspectOptions } from "../model-inspect.ts";
import { shapeOf } from "./folder-source.ts";
import { openModelFolder } from "./model-folder.ts";

/** Of a graph that is only looked at, files need no digests. */
const NO_DIGEST = "0".repeat(64);

/**
 * What a folder of Hugging Face is as a model; nothing but its config.json and the headers of its files
 * is read.
 *
 * @throws Failure of `openModelFolder`; `bad-option`, `bad-size`
 */
export function inspectFolder(
  path: string,
  { sizes, outputs = null, freeze = [], train = [] }: InspectOptions,
): InspectedModel {
  if (outputs !== null)
    throw new Failure(
      "bad-option",
      "--output is about ONNX files; the output of a folder's model is known. Leave it out.",
    );
  const { batch, sequence, ...others } = sizes;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new Failure(
      "bad-size",
      `The model leaves no dimension "${unknown}" open. It leaves open: batch, sequence.`,
    );
  const folder = openModelFolder(path);
  try {
    const { stored, files, names } = folder;
    const shape = shapeOf(folder, { batch: batch ?? 1, sequence: sequence ?? null });
    const patterns = {
      ...(freeze.length > 0 ? { freeze: [...freeze] } : {}),
      ...(train.length > 0 ? { train: [...train] } : {}),
    };
    const spec: DecoderSpec = {
      ...stored.model,
      ...patterns,
      files: files.sizes.map((bytes) => ({ sha256: NO_DIGEST, chunksSha256: NO_DIGEST, bytes })),
    };
    const model = openModel(spec, shape, null);
    return {
      model,
      format: `a folder of the family ${spec.family}, ${names.length === 1 ? "one safetensors file" : `${names.length} safetensors files`}`,
      producer: "Transformers",
      opset: null,
      sizes: shape,
      assumed: ["batch", "sequence"].filter((name) => !(name in sizes)),
      operators: operatorsOf(model),
      stored: storedRows(model, freeze, train),
      notes: stored.notes,
    };
  } finally {
    folder.close();
  }
}

function operatorsOf({ graph }: TrainableModel): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.tape) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** A family's parameters are known, so nothing is a guess. */
function storedRows(
  { parameters, tables = [] }: TrainableModel,
  freeze: readonly string[],
  train: readonly string[],
): InspectedModel["stored"] {
  const asked = freeze.length + train.length > 0;
  const row = ({ name, shape, size }: TrainableModel["parameters"][number], trains: boolean) => ({
    name,
    shape,
    size,
    trains,
    why: asked && !trains ? ("asked" as const) : ("parameter" as const),
    sure: true,
    copy: null,
  });
  return [...parameters.map((each) => row(each, true)), ...tables.map((each) => row(each, false))];
}
