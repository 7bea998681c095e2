import { Failure } from "../src-protocol/failure.ts";
import type { ModelSpec } from "../src-protocol/model.ts";
import { differentiate } from "./differentiate.ts";
import type { FloatType } from "./element-type.ts";
import { GraphBuilder } from "./graph-builder.ts";
import { block, embed, type MicroBatchShape, scores } from "./llama.ts";
import { encodeModel } from "./model-file.ts";
import type { StagePlan } from "./stage.ts";
import type { Tensor } from "./tensor.ts";

export type { MicroBatchShape } from "./llama.ts";

/** An ONNX model and the names of what goes in and comes out. */
export interface Graph {
  bytes: Uint8Array;
  /** Data first (`tokens` or `x`, then `dy` or `targets`), then the parameters in the plan's order. */
  inputs: readonly string[];
  outputs: readonly string[];
}

/** `float64` is for checking gradients; everything real runs in `float32`. */
export type GraphShape = MicroBatchShape & { float?: FloatType };

/**
 * The forward of a stage that is not the tail.
 *
 * Inputs: `tokens` int32 [n] at the head, else `x` [n, width], where n = batch·sequence; parameters.
 * Output: `y` [n, width].
 *
 * @throws Failure `wrong-stage` for the tail
 */
export function forwardGraph(model: ModelSpec, plan: StagePlan, shape: GraphShape): Graph {
  mustBe("inner", plan);
  const stage = open(model, plan, shape);
  return close(stage.graph, { y: activations(stage) });
}

/**
 * The backward of a stage that is not the tail. It computes the forward again, so that a node keeps
 * nothing but `x`; what the gradients do not need (the forward's last product) is left out.
 *
 * Inputs: `tokens` or `x`, as forward; `dy` [n, width], the loss's gradient with respect to `y`;
 * parameters. Outputs: `dx` [n, width] (not at the head), and `d_NAME` for every parameter.
 *
 * @throws Failure `wrong-stage` for the tail
 */
export function backwardGraph(model: ModelSpec, plan: StagePlan, shape: GraphShape): Graph {
  mustBe("inner", plan);
  const stage = open(model, plan, shape, "dy");
  return close(stage.graph, gradients(stage, activations(stage), stage.second));
}

/**
 * Forward, loss and backward of the tail at once.
 *
 * Inputs: `x`, or `tokens` where the tail is also the head; `targets` int32 [n]; parameters.
 * Outputs: `loss` [], the mean cross-entropy in nats; `dx` [n, width] (not at the head); `d_NAME`.
 *
 * @throws Failure `wrong-stage` for a stage that is not the tail
 */
export function tailGraph(model: ModelSpec, plan: StagePlan, shape: GraphShape): Graph {
  mustBe("tail", plan);
  const stage = open(model, plan, shape, "targets");
  const loss = meanLoss(stage);
  return close(stage.graph, { loss, ...gradients(stage, loss, stage.graph.full([], 1)) });
}

/**
 * As `tailGraph`, the `loss` alone: for evaluation.
 *
 * @throws Failure `wrong-stage` for a stage that is not the tail
 */
export function lossGraph(model: ModelSpec, plan: StagePlan, shape: GraphShape): Graph {
  mustBe("tail", plan);
  const stage = open(model, plan, shape, "targets");
  return close(stage.graph, { loss: meanLoss(stage) });
}

/** A stage's graph with its inputs, made in the order that `Graph.inputs` promises. */
interface OpenStage {
  model: ModelSpec;
  plan: StagePlan;
  shape: GraphShape;
  graph: GraphBuilder;
  /** `tokens` or `x`. */
  data: Tensor;
  /** `dy` or `targets`; `data` again where there is none. */
  second: Tensor;
  parameters: ReadonlyMap<string, Tensor>;
}

function open(model: ModelSpec, plan: StagePlan, shape: GraphShape, second?: "dy" | "targets"): OpenStage {
  const graph = new GraphBuilder(shape.float);
  const rows = shape.batch * shape.sequence;
  const tokens = (name: string): Tensor => graph.input(name, [rows], "int32");
  const activations = (name: string): Tensor => graph.input(name, [rows, model.width]);
  const data = plan.isHead ? tokens("tokens") : activations("x");
  return {
    model,
    plan,
    shape,
    graph,
    data,
    second: second === "dy" ? activations("dy") : second === "targets" ? tokens("targets") : data,
    parameters: new Map(plan.parameters.map((info) => [info.name, graph.input(info.name, info.shape)])),
  };
}

function close(graph: GraphBuilder, outputs: Readonly<Record<string, Tensor>>): Graph {
  return {
    bytes: encodeModel(graph, outputs),
    inputs: [...graph.inputs.values()],
    outputs: Object.keys(outputs),
  };
}

/** What leaves the stage's last block. */
function activations({ model, plan, shape, graph, data, parameters }: OpenStage): Tensor {
  let x = plan.isHead ? embed(data, parameter(parameters, "embedding")) : data;
  for (let i = plan.firstBlock; i < plan.firstBlock + plan.blockCount; i++) {
    const input = x;
    const own = (name: string): Tensor => parameter(parameters, `blocks.${i}.${name}`);
    x = graph.within(`blocks.${i}`, () => block(input, own, model, shape));
  }
  return x;
}

function meanLoss(stage: OpenStage): Tensor {
  const { graph, model, parameters, second: targets } = stage;
  const [norm, output] = [parameter(parameters, "final.norm"), parameter(parameters, "final.output")];
  return graph.apply("SoftmaxCrossEntropyLoss", [scores(activations(stage), norm, output, model), targets]);
}

function gradients(
  { graph, plan, data, parameters }: OpenStage,
  output: Tensor,
  seed: Tensor,
): Record<string, Tensor> {
  const targets = new Map([...(plan.isHead ? [] : [["dx", data] as const]), ...[...parameters].map(named)]);
  const found = differentiate(graph, new Map([[output, seed]]), [...targets.values()]);
  return Object.fromEntries([...targets.keys()].map((name, i) => [name, found[i] as Tensor]));
}

function named([name, tensor]: readonly [string, Tensor]): readonly [string, Tensor] {
  return [`d_${name}`, tensor];
}

function parameter(parameters: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = parameters.get(name);
  if (!tensor) throw new RangeError(`The plan of this stage lists no parameter "${name}".`);
  return tensor;
}

function mustBe(place: "inner" | "tail", { index, stages, isTail }: StagePlan): void {
  if (isTail === (place === "tail")) return;
  throw new Failure(
    "wrong-stage",
    `Stage ${index} of ${stages} ${isTail ? "is" : "is not"} the tail: it needs ` +
      `${isTail ? "tailGraph or lossGraph" : "forwardGraph and backwardGraph"}.`,
  );
}
