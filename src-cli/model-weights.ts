import { clone, create, toBinary } from "@bufbuild/protobuf";
import { branchesOf } from "../src-engine/import/branches.ts";
import { STORED } from "../src-engine/import/element-types.ts";
import { externalPath } from "../src-engine/import/external-data.ts";
import type { ReadExternal } from "../src-engine/import/external-data.ts";
import { inForm } from "../src-engine/import/forms.ts";
import { checkStored } from "../src-engine/import/initializer.ts";
import { decodeModel } from "../src-engine/import/model-bytes.ts";
import { printable } from "../src-engine/printable.ts";
import { KIND } from "../src-engine/import/signature.ts";
import { StoredFile } from "../src-engine/import/stored-file.ts";
import {
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "../src-engine/onnx_pb.js";
import type { GraphProto, ModelProto, NodeProto, TensorProto } from "../src-engine/onnx_pb.js";
import { Failure } from "../src-protocol/failure.ts";
import { LARGEST_MODEL_FILE_BYTES } from "../src-protocol/model.ts";

/**
 * The model in one file: what lies in other files is taken in. A model that is one file already stays
 * as it is, to the byte.
 *
 * @throws Failure `model-too-large` before anything of it is read; those of `decodeModel`, `checkStored`
 * and `readExternal`
 */
export function packedModel(file: Uint8Array, readExternal: ReadExternal): Uint8Array {
  const { model, graph } = decodeModel(file);
  const outside = graph.initializer.filter(isExternal);
  if (outside.length === 0) return file;
  for (const tensor of outside) checkStored(whatIs(tensor), tensor);
  const bytes = outside.reduce((sum, tensor) => sum + bytesOf(tensor), file.length);
  if (bytes > LARGEST_MODEL_FILE_BYTES)
    throw new Failure(
      "model-too-large",
      `The model has ${(bytes / 1e9).toFixed(1)} GB with its external data. One file, which the network hands on and the result is written to, holds at most 2.1 GB. Train a smaller model, or one stored in float16.`,
    );
  for (const tensor of outside) {
    const { location, offset } = placeOf(tensor);
    embed(tensor, readExternal(location, offset, bytesOf(tensor)));
  }
  return toBinary(ModelProtoSchema, model);
}

/**
 * A packed model with other numbers in its parameters, each in the type and in all the forms that the
 * file stores it in. A parameter that the exporter had merged with others gets a tensor of its own.
 * `properties` go into the file's own list, each in place of an older one of its name.
 *
 * @throws Failure `bad-weights` when a parameter is not in the file, or has another size
 */
export function withWeights(
  file: Uint8Array,
  weights: ReadonlyMap<string, Float32Array>,
  properties: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { model, graph } = decodeModel(file);
  const branches = branchesOf(graph.node);
  const found = new StoredFile(
    graph,
    [...graph.node, ...branches.nodes],
    [...graph.initializer, ...branches.tensors],
  );
  const stored = new Map([
    ...graph.initializer.map((tensor) => [tensor.name, tensor] as const),
    ...branches.originals,
  ]);
  const apart = readersByOwner(found);
  const copies = [...found.copies()].filter(([, { of }]) => weights.has(of) && stored.has(of));
  // Before IR 4 every stored tensor had to be an input too, which those that are added are not.
  if (model.irVersion < 4n) model.irVersion = 4n;
  // Before anything is written: what was merged is copied as it is.
  const targets = [...weights].map(([name, values]) => {
    const own = stored.get(name) ?? takenApart(graph, stored, apart.get(name), name);
    if (own === null) throw misfit(name, "is not in the file");
    return { own, values };
  });
  // What was merged with a trained tensor and does not train (a variance of 1, what is frozen) keeps its numbers.
  for (const [name, readers] of apart)
    if (weights.has(readers.stored) && !weights.has(name) && !stored.has(name))
      takenApart(graph, stored, readers, name);
  for (const { own, values } of targets) write(own, values);
  for (const [name, { of, form }] of copies) {
    const [copy, values] = [stored.get(name), weights.get(of)];
    // A copy that was trained by itself has numbers of its own.
    if (copy === undefined || values === undefined || weights.has(name)) continue;
    const size = copy.dims.reduce((product, dim) => product * Number(dim), 1);
    write(copy, inForm(form, values, stored.get(of)?.dims.map(Number) ?? [], size));
  }
  for (const [key, value] of Object.entries(properties)) {
    model.metadataProps = model.metadataProps.filter((entry) => entry.key !== key);
    model.metadataProps.push(create(StringStringEntryProtoSchema, { key, value }));
  }
  return finished(model);
}

interface Readers {
  readonly stored: string;
  readonly nodes: readonly NodeProto[];
}

/** Of every parameter that has no tensor of its name: the tensor that holds it, and who reads it there. */
function readersByOwner({ ownership, names }: StoredFile): ReadonlyMap<string, Readers> {
  const found = new Map<string, Readers>();
  for (const stored of names)
    for (const node of ownership.readersOf(stored)) {
      const owner = ownership.owner(stored, node);
      if (owner !== stored) found.set(owner, { stored, nodes: [...(found.get(owner)?.nodes ?? []), node] });
    }
  return found;
}

function finished(model: ModelProto): Uint8Array {
  const bytes = toBinary(ModelProtoSchema, model);
  if (bytes.length <= LARGEST_MODEL_FILE_BYTES) return bytes;
  throw new Failure(
    "model-too-large",
    `The trained model would have ${(bytes.length / 1e9).toFixed(1)} GB, and one ONNX file holds at most 2.1 GB.`,
  );
}

/** The tensor that becomes the parameter `name` of its own; an Identity that stood for it goes. */
function takenApart(
  graph: GraphProto,
  stored: ReadonlyMap<string, TensorProto>,
  readers: Readers | undefined,
  name: string,
): TensorProto | null {
  const source = stored.get(readers?.stored ?? "");
  if (readers === undefined || source === undefined) return null;
  for (const node of readers.nodes) {
    if (node.opType === "Identity" && node.output[0] === name) graph.node.splice(graph.node.indexOf(node), 1);
    else node.input = node.input.map((input) => (input === readers.stored ? name : input));
  }
  return added(graph, source, name);
}

function added(graph: GraphProto, source: TensorProto, name: string): TensorProto {
  const tensor = clone(TensorProtoSchema, source);
  tensor.name = name;
  graph.initializer.push(tensor);
  const info = graph.valueInfo.find((each) => each.name === source.name);
  if (info !== undefined) {
    // A file that says which tensors are parameters must say it of this one too.
    const metadataProps = [create(StringStringEntryProtoSchema, { key: KIND, value: "PARAMETER" })];
    graph.valueInfo.push(Object.assign(clone(ValueInfoProtoSchema, info), { name, metadataProps }));
  }
  return tensor;
}

type Encode = (view: DataView, offset: number, value: number) => void;

/** As `STORED` reads them. */
const ENCODERS: Readonly<Record<number, Encode>> = {
  1: (view, at, value) => view.setFloat32(at, value, true),
  10: (view, at, value) => view.setFloat16(at, value, true),
  11: (view, at, value) => view.setFloat64(at, value, true),
  16: (view, at, value) => view.setUint16(at, brainBits(value), true),
};

function write(tensor: TensorProto, values: Float32Array): void {
  const encode = ENCODERS[tensor.dataType];
  const bytesEach = STORED[tensor.dataType]?.bytes ?? 0;
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1);
  if (encode === undefined || size !== values.length)
    throw misfit(tensor.name, `has ${size} numbers in the file and ${values.length} in training`);
  const bytes = new Uint8Array(size * bytesEach);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < size; i++) encode(view, i * bytesEach, values[i] as number);
  embed(tensor, bytes);
}

function embed(tensor: TensorProto, bytes: Uint8Array): void {
  tensor.rawData = bytes;
  tensor.floatData = [];
  tensor.doubleData = [];
  tensor.int32Data = [];
  tensor.int64Data = [];
  tensor.uint64Data = [];
  tensor.externalData = [];
  tensor.dataLocation = TensorProto_DataLocation.DEFAULT;
}

const scratch = new DataView(new ArrayBuffer(4));

/** bfloat16, rounded to nearest, ties to even. Parameters are finite: checkpoints are checked for that. */
function brainBits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function isExternal({ dataLocation }: TensorProto): boolean {
  return dataLocation === TensorProto_DataLocation.EXTERNAL;
}

function bytesOf({ dims, dataType }: TensorProto): number {
  return dims.reduce((product, dim) => product * Number(dim), STORED[dataType]?.bytes ?? 0);
}

/** Checked before by `checkStored`. */
function placeOf({ externalData }: TensorProto): { location: string; offset: number } {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  return {
    location: externalPath(entries.get("location") ?? "").join("/"),
    offset: Number(entries.get("offset") ?? 0),
  };
}

function whatIs({ name }: TensorProto): string {
  return `The tensor "${printable(name)}"`;
}

function misfit(name: string, why: string): Failure {
  return new Failure(
    "bad-weights",
    `The trained parameter "${printable(name)}" ${why}, so the model cannot be written. Please report this.`,
  );
}
