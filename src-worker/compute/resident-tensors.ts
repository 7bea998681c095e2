import type { InferenceSession, Tensor } from "onnxruntime-node";
import {
  adamwFeeds,
  adamwGraph,
  copyGraph,
  gradientSquaresGraph,
  zerosGraph,
} from "../../src-engine/adamw-graph.ts";
import type { Graph } from "../../src-engine/graph.ts";
import type { OptimizerSpec } from "../../src-protocol/model.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { StageInfo } from "./compute-call.ts";
import { type ParameterHome, summedOf } from "./parameter-home.ts";
import type { Runtime } from "./sessions.ts";
import type { StageMemory } from "../stage/stage-memory.ts";

type Outputs = InferenceSession.OnnxValueMapType;
type Feeds = Readonly<Record<string, Tensor>>;

/** Prepares a graph so that the outputs for which `resident` holds stay where they were computed. */
export type Prepare = (graph: Graph, resident: (output: string) => boolean) => Promise<InferenceSession>;

/** A stored input that is not trained. */
export interface Table {
  readonly name: string;
  readonly shape: readonly number[];
  readonly tensor: Tensor;
}

type Trained = Pick<StageInfo, "parameters" | "uses">;

/** One parameter with AdamW's moments, in the device's memory. */
interface State {
  p: Tensor;
  m: Tensor;
  v: Tensor;
}

/**
 * What a stage holds from run to run in a graphics card's own memory: parameters, moments, tables
 * and the gradients' sums. Between steps only activations, their gradients and losses cross.
 *
 * Every tensor here is disposed by hand, as the garbage collector does not see a card's memory; and
 * none is ever read with `getData`, which ends the process (ONNX Runtime 1.30): a session that leaves
 * its output in the computer's memory reads it.
 */
export class ResidentTensors implements ParameterHome {
  readonly #runtime: Runtime;
  readonly #prepare: Prepare;
  readonly #stage: Trained;
  readonly #memory: StageMemory;
  readonly #sessions = new Map<string, InferenceSession>();
  readonly #tables = new Map<string, Tensor>();
  #states: State[] = [];
  /** In the order of `summedOf`; null: all are zero. */
  #sums: Tensor[] | null = null;
  /** Steps were taken that the computer's memory does not have. */
  #ahead = false;

  private constructor(runtime: Runtime, prepare: Prepare, stage: Trained, memory: StageMemory) {
    this.#runtime = runtime;
    this.#prepare = prepare;
    this.#stage = stage;
    this.#memory = memory;
  }

  /** Takes over what is in `memory`, which `download` brings up to date again. */
  static async upload(
    runtime: Runtime,
    prepare: Prepare,
    stage: Trained,
    memory: StageMemory,
    tables: readonly Table[],
  ): Promise<ResidentTensors> {
    const resident = new ResidentTensors(runtime, prepare, stage, memory);
    for (const { name, shape, tensor } of tables)
      resident.#tables.set(name, tensor.type === "float32" ? await resident.#up(tensor, shape) : tensor);
    await resident.upload();
    return resident;
  }

  async upload(): Promise<void> {
    for (const { p, m, v } of this.#states) for (const tensor of [p, m, v]) tensor.dispose();
    this.#states = [];
    this.#ahead = false;
    for (const [i, { shape }] of this.#stage.parameters.entries()) {
      const up = (values: Float32Array | undefined): Promise<Tensor> =>
        this.#up(new this.#runtime.Tensor("float32", values ?? new Float32Array(0), shape), shape);
      const { parameters, m, v } = this.#memory;
      this.#states.push({ p: await up(parameters[i]), m: await up(m[i]), v: await up(v[i]) });
    }
  }

  get hasGradients(): boolean {
    return this.#sums !== null;
  }

  /** Runs a graph of the stage. Gradients it computes are added to the sums and not among the outputs. */
  async run(session: InferenceSession, feeds: Feeds): Promise<Outputs> {
    const inputs = new Set(session.inputNames);
    const own: Record<string, Tensor> = {};
    for (const [name, table] of this.#tables) if (inputs.has(name)) own[name] = table;
    const { parameters, uses } = this.#stage;
    for (const [i, { name }] of parameters.entries()) {
      const { p } = this.#states[i] as State;
      if (inputs.has(name)) own[name] = p;
      for (const use of uses) if (use.parameter === name && inputs.has(use.name)) own[use.name] = p;
    }
    const summed = summedOf(this.#stage).flatMap(({ name }, i) =>
      inputs.has(`g_${name}`) ? [{ name, i }] : [],
    );
    if (summed.length === 0) return await session.run({ ...own, ...feeds });
    const sums = (this.#sums ??= await this.#zeros());
    for (const { name, i } of summed) own[`g_${name}`] = sums[i] as Tensor;
    const outputs: Record<string, Tensor> = {
      ...((await session.run({ ...own, ...feeds })) as Record<string, Tensor>),
    };
    for (const { name, i } of summed) {
      const sum = outputs[`d_${name}`];
      if (sum === undefined) throw new Failure("compute-failed", `The graph gave no gradient of "${name}".`);
      sums[i]?.dispose();
      sums[i] = sum;
      delete outputs[`d_${name}`];
    }
    return outputs;
  }

  /** The sum of the squares of all gradients. */
  async squaredNorm(): Promise<number> {
    const { parameters } = this.#stage;
    const sums = (this.#sums ?? (await this.#zeros())).slice(0, parameters.length);
    const session = await this.#session("squares", () => gradientSquaresGraph(parameters), false);
    const outputs = await session.run(numbered("g", sums));
    return numbers(outputs["squares"])[0] ?? Number.NaN;
  }

  /** One AdamW step, each parameter by itself: no more than one is there twice at a time. */
  async optimise(optimizer: OptimizerSpec, step: number, gradientScale: number): Promise<void> {
    const sums = this.#sums ?? (await this.#zeros());
    this.#sums = sums;
    const scalars = Object.fromEntries(
      Object.entries(adamwFeeds(optimizer, step, gradientScale)).map(
        ([name, value]) => [name, new this.#runtime.Tensor("float32", Float32Array.of(value), [])] as const,
      ),
    );
    this.#ahead = true;
    const { beta1, beta2, epsilon } = optimizer;
    for (const [i, parameter] of this.#stage.parameters.entries()) {
      const { p, m, v } = this.#states[i] as State;
      const session = await this.#session(
        `adamw ${JSON.stringify([parameter.shape, parameter.decay, beta1, beta2, epsilon])}`,
        () => adamwGraph([parameter], optimizer),
        true,
      );
      const next = await session.run({ ...scalars, p_0: p, m_0: m, v_0: v, g_0: sums[i] as Tensor });
      for (const old of [p, m, v]) old.dispose();
      this.#states[i] = {
        p: next["next_p_0"] as Tensor,
        m: next["next_m_0"] as Tensor,
        v: next["next_v_0"] as Tensor,
      };
    }
    this.dropGradients();
  }

  /** A sum of gradients, brought to the computer's memory. */
  async gradient(index: number): Promise<Float32Array> {
    const { size, shape } = this.#summed(index);
    const sum = this.#sums?.[index];
    return sum === undefined ? new Float32Array(size) : await this.#down(sum, shape);
  }

  /** Puts another sum in its place. */
  async setGradient(index: number, values: Float32Array): Promise<void> {
    const { shape } = this.#summed(index);
    const sums = (this.#sums ??= await this.#zeros());
    sums[index]?.dispose();
    sums[index] = await this.#up(new this.#runtime.Tensor("float32", values, shape), shape);
  }

  dropGradients(): void {
    for (const sum of this.#sums ?? []) sum.dispose();
    this.#sums = null;
  }

  /** Brings the computer's memory up to date. */
  async download(): Promise<void> {
    if (!this.#ahead) return;
    for (const [i, { shape }] of this.#stage.parameters.entries()) {
      const { p, m, v } = this.#states[i] as State;
      this.#memory.parameters[i]?.set(await this.#down(p, shape));
      this.#memory.m[i]?.set(await this.#down(m, shape));
      this.#memory.v[i]?.set(await this.#down(v, shape));
    }
    this.#ahead = false;
  }

  async dispose(): Promise<void> {
    this.dropGradients();
    for (const { p, m, v } of this.#states) for (const tensor of [p, m, v]) tensor.dispose();
    for (const table of this.#tables.values()) table.dispose();
    this.#states = [];
    this.#tables.clear();
    for (const session of this.#sessions.values()) await session.release();
    this.#sessions.clear();
  }

  async #zeros(): Promise<Tensor[]> {
    const summed = summedOf(this.#stage);
    const session = await this.#session("zeros", () => zerosGraph(summed), true);
    const outputs = await session.run({ zero: new this.#runtime.Tensor("float32", Float32Array.of(0), []) });
    return summed.map((_, i) => outputs[`zero_${i}`] as Tensor);
  }

  #summed(index: number): ReturnType<typeof summedOf>[number] {
    const found = summedOf(this.#stage)[index];
    if (found === undefined) throw new RangeError(`The stage has no sum ${index}.`);
    return found;
  }

  async #up(from: Tensor, shape: readonly number[]): Promise<Tensor> {
    const session = await this.#session(`up ${JSON.stringify(shape)}`, () => copyGraph(shape), true);
    return (await session.run({ from }))["to"] as Tensor;
  }

  async #down(from: Tensor, shape: readonly number[]): Promise<Float32Array> {
    const session = await this.#session(`down ${JSON.stringify(shape)}`, () => copyGraph(shape), false);
    return numbers((await session.run({ from }))["to"]);
  }

  async #session(name: string, graph: () => Graph, resident: boolean): Promise<InferenceSession> {
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const made = await this.#prepare(graph(), () => resident);
    this.#sessions.set(name, made);
    return made;
  }
}

function numbered(letter: string, tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`${letter}_${i}`, tensor]));
}

function numbers(tensor: Outputs[string] | undefined): Float32Array {
  if (tensor === undefined || !("data" in tensor) || !(tensor.data instanceof Float32Array))
    throw new Failure("compute-failed", "ONNX Runtime gave no numbers where it should.");
  return tensor.data;
}
