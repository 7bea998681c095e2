import type { InferenceSession, Tensor } from "onnxruntime-node";
import { adamwStep } from "../src-engine/adamw.ts";
import { backwardGraph, forwardGraph, lossGraph, tailGraph } from "../src-engine/graphs.ts";
import { initialParameters } from "../src-engine/parameters.ts";
import { cutModel } from "../src-engine/stage.ts";
import type { StagePlan } from "../src-engine/stage.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { Activations, ComputeCalls, ComputeOptions, StageInput, StageSpec } from "./compute-call.ts";
import { addInto } from "./gradient-sum.ts";
import { release } from "./release.ts";
import { Sessions } from "./sessions.ts";
import type { GraphKind, Runtime } from "./sessions.ts";
import { stageMemory } from "./stage-memory.ts";
import type { StageMemory } from "./stage-memory.ts";

type Request<C extends keyof ComputeCalls> = ComputeCalls[C]["request"];
type Answer<C extends keyof ComputeCalls> = ComputeCalls[C]["answer"];
type Outputs = InferenceSession.OnnxValueMapType;

interface LoadedStage {
  readonly spec: StageSpec;
  readonly plan: StagePlan;
  readonly memory: StageMemory;
  /** Views over `memory`, wrapped once: the next run sees what an optimiser step wrote. */
  readonly parameterFeeds: Readonly<Record<string, Tensor>>;
  /** Sums over the micro-batches of this step; null before the first. */
  gradients: Activations[] | null;
  /** Inputs that a backward will ask for again, by micro-batch. */
  readonly kept: Map<number, StageInput>;
}

/** One stage's mathematics on ONNX Runtime. Blocks the thread it runs on: give it one of its own. */
export class StageCompute {
  readonly #runtime: Runtime;
  readonly #sessions: Sessions;
  #loaded: LoadedStage | null = null;

  constructor(runtime: Runtime, options: ComputeOptions) {
    this.#runtime = runtime;
    this.#sessions = new Sessions(runtime, options);
  }

  async load({ spec, memory: buffer, seed }: Request<"load">): Promise<Answer<"load">> {
    this.#loaded = null;
    await this.#sessions.keepOnly(spec);
    const plan = cutModel(spec.model, spec.stages)[spec.stage];
    if (plan === undefined) throw new Failure("no-such-stage", `The model has no stage ${spec.stage}.`);
    const memory = stageMemory(plan, buffer);
    if (seed !== null) {
      const values = initialParameters(spec.model, plan, seed);
      for (const [i, parameter] of memory.parameters.entries()) parameter.set(values[i] ?? []);
      for (const moment of [...memory.m, ...memory.v]) moment.fill(0);
    }
    const parameterFeeds: Record<string, Tensor> = {};
    for (const [i, { name, shape }] of plan.parameters.entries()) {
      const values = memory.parameters[i];
      if (values !== undefined)
        parameterFeeds[name] = new this.#runtime.Tensor("float32", values, [...shape]);
    }
    const loaded = {
      spec,
      plan,
      memory,
      parameterFeeds,
      gradients: null,
      kept: new Map<number, StageInput>(),
    };
    this.#loaded = loaded;
    // Made now, so that the first micro-batch does not wait for it.
    for (const kind of kindsOf(plan)) await this.#session(loaded, kind);
    return null;
  }

  async reset(): Promise<Answer<"reset">> {
    const loaded = this.#stage();
    dropGradients(loaded);
    loaded.kept.clear();
    return null;
  }

  async forward({ microBatch, input, keep }: Request<"forward">): Promise<Answer<"forward">> {
    const loaded = this.#stage();
    const outputs = await this.#run(loaded, "forward", this.#inputFeed(loaded, input));
    if (keep) loaded.kept.set(microBatch, input);
    else release(input);
    return { output: floats(outputs, "y") };
  }

  async backward({ microBatch, dy }: Request<"backward">): Promise<Answer<"backward">> {
    const loaded = this.#stage();
    const input = loaded.kept.get(microBatch);
    if (input === undefined) {
      throw new Failure(
        "no-kept-input",
        `A gradient came for micro-batch ${microBatch}, which this stage did not run.`,
      );
    }
    loaded.kept.delete(microBatch);
    const outputs = await this.#run(loaded, "backward", {
      ...this.#inputFeed(loaded, input),
      dy: this.#activations(loaded, dy),
    });
    release(input);
    release(dy);
    accumulate(loaded, outputs);
    return { output: loaded.plan.isHead ? null : floats(outputs, "dx") };
  }

  async tail({ input, targets }: Request<"tail">): Promise<Answer<"tail">> {
    const loaded = this.#stage();
    const outputs = await this.#run(loaded, "tail", this.#lossFeeds(loaded, input, targets));
    release(input);
    accumulate(loaded, outputs);
    return { loss: scalar(outputs, "loss"), output: loaded.plan.isHead ? null : floats(outputs, "dx") };
  }

  async loss({ input, targets }: Request<"loss">): Promise<Answer<"loss">> {
    const loaded = this.#stage();
    const outputs = await this.#run(loaded, "loss", this.#lossFeeds(loaded, input, targets));
    release(input);
    return { loss: scalar(outputs, "loss") };
  }

  async optimise({ optimizer, step, microBatches }: Request<"optimise">): Promise<Answer<"optimise">> {
    const { plan, memory, gradients } = this.#stage();
    if (gradients === null)
      throw new Failure("no-gradients", `There are no gradients to take step ${step} with.`);
    // SECURITY: a peer's finite but absurd tensors must not ruin what was trained so far.
    if (!(squaredNorm(gradients) / microBatches ** 2 <= LARGEST_SQUARED_NORM)) {
      throw new Failure(
        "gradient-overflow",
        `The gradient of step ${step} is too large to be used, so the parameters stay as they are. The step is done again; if it stays so, the learning rate is too high or another node sends nonsense.`,
      );
    }
    adamwStep([...memory.parameters], gradients, [...memory.m], [...memory.v], {
      plan,
      optimizer,
      step,
      gradientScale: 1 / microBatches,
    });
    dropGradients(this.#stage());
    return null;
  }

  #stage(): LoadedStage {
    if (this.#loaded === null)
      throw new Failure("no-stage-loaded", "No stage is loaded, so nothing can be computed.");
    return this.#loaded;
  }

  #inputFeed({ spec, plan }: LoadedStage, input: StageInput): Record<string, Tensor> {
    const rows = spec.batch * spec.sequence;
    return input instanceof Int32Array
      ? { tokens: new this.#runtime.Tensor("int32", input, [rows]) }
      : {
          [plan.isHead ? "tokens" : "x"]: new this.#runtime.Tensor("float32", input, [
            rows,
            spec.model.width,
          ]),
        };
  }

  #lossFeeds(loaded: LoadedStage, input: StageInput, targets: Int32Array): Record<string, Tensor> {
    return {
      ...this.#inputFeed(loaded, input),
      targets: new this.#runtime.Tensor("int32", targets, [targets.length]),
    };
  }

  #activations({ spec }: LoadedStage, values: Activations): Tensor {
    return new this.#runtime.Tensor("float32", values, [spec.batch * spec.sequence, spec.model.width]);
  }

  async #run(loaded: LoadedStage, kind: GraphKind, feeds: Record<string, Tensor>): Promise<Outputs> {
    const session = await this.#session(loaded, kind);
    try {
      return await session.run({ ...loaded.parameterFeeds, ...feeds });
    } catch (error) {
      throw new Failure("compute-failed", `ONNX Runtime failed in the ${kind} pass: ${String(error)}.`, {
        cause: error,
      });
    }
  }

  #session({ spec, plan }: LoadedStage, kind: GraphKind): Promise<InferenceSession> {
    return this.#sessions.get(kind, spec, () => BUILDERS[kind](spec.model, plan, spec));
  }
}

const BUILDERS = { forward: forwardGraph, backward: backwardGraph, tail: tailGraph, loss: lossGraph };

function kindsOf({ isTail }: StagePlan): readonly GraphKind[] {
  return isTail ? ["tail", "loss"] : ["forward", "backward"];
}

/** Outputs are fresh buffers of ours, so the first micro-batch's gradients become the sums. */
function accumulate(loaded: LoadedStage, outputs: Outputs): void {
  const gradients = loaded.plan.parameters.map(({ name }) => floats(outputs, `d_${name}`));
  if (loaded.gradients === null) loaded.gradients = gradients;
  else {
    for (const [i, gradient] of gradients.entries()) {
      addInto(loaded.gradients[i] ?? gradient, gradient);
      release(gradient);
    }
  }
}

/** AdamW keeps g² in float32: a larger one would turn into infinity and stay. */
const LARGEST_SQUARED_NORM = 3e38;

function squaredNorm(gradients: readonly Activations[]): number {
  let sum = 0;
  for (const gradient of gradients)
    for (let i = 0; i < gradient.length; i++) sum += (gradient[i] as number) ** 2;
  return sum;
}

function dropGradients(loaded: LoadedStage): void {
  for (const gradient of loaded.gradients ?? []) release(gradient);
  loaded.gradients = null;
}

function floats(outputs: Outputs, name: string): Activations {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array))
    throw new Failure("compute-failed", `The graph gave no output "${name}".`);
  return data as Activations;
}

function scalar(outputs: Outputs, name: string): number {
  return floats(outputs, name)[0] ?? Number.NaN;
}
