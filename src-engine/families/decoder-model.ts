import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import { GraphBuilder } from "../graph-builder.ts";
import { Patterns } from "../import/patterns.ts";
import type { MicroBatchShape } from "../llama.ts";
import { OPERATORS } from "../operators.ts";
import type { Tensor } from "../tensor.ts";
import type { TrainableModel } from "../trainable-model.ts";
import { Decoder } from "./decoder.ts";
import { decoderParameters, type StoredParameter } from "./decoder-parameters.ts";
import { readParameter } from "./stored-parameter.ts";

/**
 * A model of a known family as one forward graph with its loss. Its parameters are read from its files
 * when they are asked for.
 *
 * @throws Failure `sequence-too-long` where it has learned fewer positions than a sequence has tokens,
 * and `no-such-parameter` for a pattern that names none
 */
export function decoderModel(spec: DecoderSpec, shape: MicroBatchShape, float?: FloatType): TrainableModel {
  if (spec.positions !== null && shape.sequence > spec.positions)
    throw new Failure(
      "sequence-too-long",
      `The model has learned ${spec.positions} positions, and a sequence of ${shape.sequence} tokens needs more. Use --sequence ${spec.positions} or less.`,
    );
  const graph = new GraphBuilder(OPERATORS, float);
  const rows = [shape.batch * shape.sequence];
  const [tokens, targets] = [graph.input("tokens", rows, "int32"), graph.input("targets", rows, "int32")];
  const stored = decoderParameters(spec);
  const patterns = new Patterns({ freeze: spec.freeze ?? [], train: spec.train ?? [] });
  const all = stored.map(({ name, shape, size, decay }) => ({
    name,
    shape,
    size,
    decay,
    tensor: graph.input(name, shape),
  }));
  const trains = new Set(stored.filter(({ name }) => patterns.asked(name) ?? true));
  patterns.mustHaveMatched(all.map(({ name }) => name));
  const byName = new Map(all.map(({ name, tensor }) => [name, tensor]));
  const scores = new Decoder(graph, spec, shape, (name): Tensor => {
    const found = byName.get(name);
    if (!found) throw new RangeError(`The model has no parameter "${name}".`);
    return found;
  }).scores(tokens);
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [scores, targets]);
  const infos = new Map(stored.map((each) => [each.name, each]));
  const ofThese = (wanted: boolean): typeof all =>
    all.filter((_, i) => trains.has(stored[i] as StoredParameter) === wanted);
  return {
    graph,
    inputs: [
      { name: "tokens", tensor: tokens },
      { name: "targets", tensor: targets },
    ],
    outputs: [{ name: "loss", tensor: loss }],
    parameters: ofThese(true),
    tables: ofThese(false),
    initial: ({ name, size }, _seed, into = new Float32Array(size), files = null) => {
      const info = infos.get(name);
      if (!info || !files) throw new RangeError(`The files of the model are needed to read "${name}".`);
      readParameter(files, info, into);
      return into;
    },
  };
}
