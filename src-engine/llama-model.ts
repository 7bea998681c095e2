import { Failure } from "../src-protocol/failure.ts";
import type { LlamaSpec } from "../src-protocol/model.ts";
import type { FloatType } from "./element-type.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { OPERATORS } from "./operators.ts";
import { block, embed, type MicroBatchShape, scores } from "./llama.ts";
import { initialValues } from "./parameters.ts";
import type { ParameterInfo } from "./stage.ts";
import type { Tensor } from "./tensor.ts";
import type { TrainableModel } from "./trainable-model.ts";

/**
 * A built-in model as one forward graph with its loss.
 *
 * @throws Failure `bad-model` when the heads do not divide the width into even parts
 */
export function llamaModel(spec: LlamaSpec, shape: MicroBatchShape, float?: FloatType): TrainableModel {
  const { graph, tokens, rows } = begun(spec, shape, float);
  const targets = graph.input("targets", rows, "int32");
  const { output, parameters } = written(graph, tokens, spec, shape);
  const loss = graph.apply("SoftmaxCrossEntropyLoss", [output, targets]);
  return {
    graph,
    inputs: [
      { name: "tokens", tensor: tokens },
      { name: "targets", tensor: targets },
    ],
    outputs: [{ name: "loss", tensor: loss }],
    parameters,
    initial: (info, seed, into) => initialValues(spec, info, seed, into),
  };
}

/** The same up to its scores [batch · sequence, vocabulary]: what a text goes on with. Throws as `llamaModel`. */
export function llamaScores(
  spec: LlamaSpec,
  shape: MicroBatchShape,
): { readonly graph: GraphBuilder; readonly tokens: Tensor; readonly scores: Tensor } {
  const { graph, tokens } = begun(spec, shape, undefined);
  return { graph, tokens, scores: written(graph, tokens, spec, shape).output };
}

function begun(
  spec: LlamaSpec,
  shape: MicroBatchShape,
  float: FloatType | undefined,
): { graph: GraphBuilder; tokens: Tensor; rows: number[] } {
  if (spec.width % (2 * spec.heads) !== 0) {
    throw new Failure(
      "bad-model",
      `The width ${spec.width} is not divided by ${spec.heads} heads into even parts, which rotary positions need. ` +
        `Choose a width that is a multiple of ${2 * spec.heads}.`,
    );
  }
  const graph = new GraphBuilder(OPERATORS, float);
  const rows = [shape.batch * shape.sequence];
  return { graph, tokens: graph.input("tokens", rows, "int32"), rows };
}

function written(
  graph: GraphBuilder,
  tokens: Tensor,
  spec: LlamaSpec,
  shape: MicroBatchShape,
): { output: Tensor; parameters: TrainableModel["parameters"] } {
  const parameters = llamaParameters(spec).map(({ name, shape, size, decay }) => {
    return { name, shape, size, decay, tensor: graph.input(name, shape) };
  });
  const byName = new Map(parameters.map(({ name, tensor }) => [name, tensor]));
  const parameter = (name: string): Tensor => {
    const found = byName.get(name);
    if (!found) throw new RangeError(`The model has no parameter "${name}".`);
    return found;
  };
  const start = embed(tokens, parameter("embedding"));
  const before = graph.tape.length;
  const first = graph.within("blocks.0", () =>
    block(start, (name) => parameter(`blocks.0.${name}`), spec, shape),
  );
  const nodes = graph.tape.slice(before);
  let x = first;
  // Blocks are alike: the others repeat the first one's nodes, and share its tables of positions.
  for (let i = 1; i < spec.blocks; i++) {
    const made = new Map([[start, x]]);
    for (const [name, tensor] of byName) {
      if (name.startsWith("blocks.0."))
        made.set(tensor, parameter(name.replace("blocks.0.", `blocks.${i}.`)));
    }
    graph.within(`blocks.${i}`, () => {
      for (const { op, inputs, outputs, attributes } of nodes) {
        const results = graph.applyAll(
          op,
          inputs.map((input) => made.get(input) ?? input),
          attributes,
        );
        for (const [k, output] of outputs.entries()) made.set(output, results[k] as Tensor);
      }
    });
    x = made.get(first) ?? x;
  }
  const output = scores(x, parameter("final.norm"), parameter("final.output"), spec);
  return { output, parameters };
}

/** In the order in which the model reads them. */
export function llamaParameters(spec: LlamaSpec): ParameterInfo[] {
  const { vocabulary, width } = spec;
  return [
    parameterInfo("embedding", vocabulary, width),
    ...Array.from({ length: spec.blocks }, (_, i) => blockParameters(spec, i)).flat(),
    parameterInfo("final.norm", width),
    parameterInfo("final.output", width, vocabulary),
  ];
}

function blockParameters({ width, hidden }: LlamaSpec, block: number): ParameterInfo[] {
  const name = (part: string): string => `blocks.${block}.${part}`;
  return [
    parameterInfo(name("norm1"), width),
    parameterInfo(name("query"), width, width),
    parameterInfo(name("key"), width, width),
    parameterInfo(name("value"), width, width),
    parameterInfo(name("output"), width, width),
    parameterInfo(name("norm2"), width),
    parameterInfo(name("gate"), width, hidden),
    parameterInfo(name("up"), width, hidden),
    parameterInfo(name("down"), hidden, width),
  ];
}

function parameterInfo(name: string, ...shape: number[]): ParameterInfo {
  return { name, shape, size: shape.reduce((a, b) => a * b, 1), decay: shape.length > 1 };
}
