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

interface Opened {
  graph: GraphBuilder;
  /** int32 [batch·sequence] */
  tokens: Tensor;
  /** [batch·sequence, vocabulary] */
  scores: Tensor;
  stored: readonly StoredParameter[];
  /** Inputs of the graph, by the parameters' names. */
  inputs: ReadonlyMap<string, Tensor>;
}

/**
 * The forward graph of a model of a known family, up to its scores. All of its parameters are inputs.
 *
 * @throws Failure `sequence-too-long` where it has learned fewer positions than a sequence has tokens
 */
export function decoderScores(spec: DecoderSpec, shape: MicroBatchShape, float?: FloatType): Opened {
  if (spec.positions !== null && shape.sequence > spec.positions)
    throw new Failure(
      "sequence-too-long",
      `The model has learned ${spec.positions} positions, and a sequence of ${shape.sequence} tokens needs more. Use --sequence ${spec.positions} or less.`,
    );
  const graph = new GraphBuilder(OPERATORS, float);
  const tokens = graph.input("tokens", [shape.batch * shape.sequence], "int32");
  const stored = decoderParameters(spec);
  const inputs = new Map(stored.map(({ name, shape: size }) => [name, graph.input(name, size)]));
  const scores = new Decoder(graph, spec, shape, (name): Tensor => {
    const found = inputs.get(name);
    if (!found) throw new RangeError(`The model has no parameter "${name}".`);
    return found;
  }).scores(tokens);
  return { graph, tokens, scores, stored, inputs };
}

/**
 * A model of a known family as one forward graph with its loss. Its parameters are read from its files
 * when they are asked for.
 *
 * @throws Failure as `decoderScores`, and `no-such-parameter` for a pattern that names none
 */
export function decoderModel(spec: DecoderSpec, shape: MicroBatchShape, float?: FloatType): TrainableModel {
  const { graph, tokens, scores, stored, inputs } = decoderScores(spec, shape, float);
  const targets = graph.input("targets", tokens.shape, "int32");
  const patterns = new Patterns({ freeze: spec.freeze ?? [], train: spec.train ?? [] });
  const trains = new Set(stored.filter(({ name }) => patterns.asked([name]) ?? true).map(({ name }) => name));
  patterns.mustHaveMatched(stored.map(({ name }) => name));
  const all = stored.map(({ name, shape: size, size: count, decay }) => ({
    name,
    shape: size,
    size: count,
    decay,
    tensor: inputs.get(name) as Tensor,
  }));
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [scores, targets]);
  const infos = new Map(stored.map((each) => [each.name, each]));
  return {
    graph,
    inputs: [
      { name: "tokens", tensor: tokens },
      { name: "targets", tensor: targets },
    ],
    outputs: [{ name: "loss", tensor: loss }],
    parameters: all.filter(({ name }) => trains.has(name)),
    tables: all.filter(({ name }) => !trains.has(name)),
    initial: ({ name, size }, _seed, into = new Float32Array(size), files = null) => {
      const info = infos.get(name);
      if (!info || !files) throw new RangeError(`The files of the model are needed to read "${name}".`);
      readParameter(files, info, into);
      return into;
    },
  };
}
