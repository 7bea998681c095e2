import type { InferenceSession, Tensor } from "onnxruntime-node";
import { adamwStep } from "../../src-engine/adamw.ts";
import { sumOfSquares } from "../../src-engine/clip-gradients.ts";
import type { OptimizerSpec } from "../../src-protocol/model.ts";
import { release } from "./compute-call.ts";
import type { Activations, StageInfo } from "./compute-call.ts";
import { type ParameterHome, summedOf } from "./parameter-home.ts";
import type { Table } from "./resident-tensors.ts";
import type { Runtime } from "./sessions.ts";
import type { UncopiedRuns } from "./uncopied-runs.ts";
import type { StageMemory } from "../stage/stage-memory.ts";

type Outputs = InferenceSession.OnnxValueMapType;

/** Of one graph. */
interface Binding {
  readonly own: Readonly<Record<string, Tensor>>;
  /** Outputs that are sums of gradients, where they are. */
  readonly sums: Readonly<Record<string, Tensor>>;
  /** Its outputs are written where they are given memory, and nowhere else. */
  readonly uncopied: UncopiedRuns | null;
}

/**
 * What a stage holds from run to run on the CPU: parameters, moments and tables, which graphs read
 * where they are, and the gradients' sums, which they add to where they are.
 */
export class StageTensors implements ParameterHome {
  readonly memory: StageMemory;
  /**
   * Sums over the micro-batches of this step, in the order of the stage's parameters and then of its
   * uses. Micro-batches are
   * added in the order of their numbers, whoever was faster or died: the pipeline keeps that order, and
   * so a run has the same bits however it was cut or killed. It costs nothing where links keep their
   * order; sums that are exact in any order would cost 2 to 3 % of a pass (bench `sums`).
   */
  readonly gradients: readonly Float32Array<ArrayBuffer>[];
  hasGradients = false;

  readonly #info: StageInfo;
  /** Views, wrapped once: the next run sees what an optimiser step wrote. */
  readonly #stored: Readonly<Record<string, Tensor>>;
  readonly #sums: readonly (readonly [name: string, Tensor])[];
  readonly #bindings = new WeakMap<InferenceSession, Binding>();
  readonly #uncopied: UncopiedRuns | null;

  /** @param uncopied null: every output is copied */
  constructor(
    runtime: Runtime,
    info: StageInfo,
    memory: StageMemory,
    tables: readonly Table[],
    uncopied: UncopiedRuns | null = null,
  ) {
    this.#info = info;
    this.#uncopied = uncopied;
    this.memory = memory;
    const wrap = (values: Float32Array | undefined, shape: readonly number[]): Tensor =>
      new runtime.Tensor("float32", values ?? new Float32Array(0), shape);
    const summed = summedOf(info);
    const all = new Float32Array(summed.reduce((sum, { size }) => sum + size, 0));
    let offset = 0;
    this.gradients = summed.map(({ size }) => {
      offset += size;
      return all.subarray(offset - size, offset);
    });
    const stored = Object.fromEntries([
      ...info.parameters.map(({ name, shape }, i) => [name, wrap(this.memory.parameters[i], shape)] as const),
      ...tables.map(({ name, tensor }) => [name, tensor] as const),
    ]);
    const used = info.uses.map(({ name, parameter }) => [name, stored[parameter] as Tensor] as const);
    this.#stored = { ...stored, ...Object.fromEntries(used) };
    this.#sums = summed.map(({ name, shape }, i) => [name, wrap(this.gradients[i], shape)] as const);
  }

  /** Runs a graph of the stage. Gradients it computes are added to the sums and not among the outputs. */
  async run(session: InferenceSession, feeds: Readonly<Record<string, Tensor>>): Promise<Outputs> {
    const { own, sums, uncopied } = this.#bindings.get(session) ?? this.#bind(session);
    const added = Object.keys(sums);
    // Before the run: one that fails may have added to some of them already.
    if (added.length > 0) this.hasGradients = true;
    const inputs = { ...own, ...feeds };
    if (uncopied !== null) return await uncopied.run(session, inputs, sums);
    if (added.length === 0) return await session.run(inputs);
    const others = session.outputNames.map((name) => [name, null] as const);
    const outputs = { ...(await session.run(inputs, { ...Object.fromEntries(others), ...sums })) };
    for (const name of added) {
      // The binding gives a copy besides, which nobody needs.
      const copy = outputs[name]?.data;
      if (copy instanceof Float32Array) release(copy as Activations);
      delete outputs[name];
    }
    return outputs;
  }

  /** What a graph reads and adds to of all that is here: the same at every run. */
  #bind(session: InferenceSession): Binding {
    const inputs = new Set(session.inputNames);
    const own = Object.fromEntries(Object.entries(this.#stored).filter(([name]) => inputs.has(name)));
    const sums: Record<string, Tensor> = {};
    // One memory for both: ONNX Runtime adds in place.
    for (const [name, sum] of this.#sums)
      if (inputs.has(`g_${name}`)) sums[`d_${name}`] = own[`g_${name}`] = sum;
    const uncopied = this.#uncopied?.isFor(session) === true ? this.#uncopied : null;
    const binding = { own, sums, uncopied };
    this.#bindings.set(session, binding);
    return binding;
  }

  async squaredNorm(): Promise<number> {
    return sumOfSquares(this.#ofParameters());
  }

  async optimise(optimizer: OptimizerSpec, step: number, gradientScale: number): Promise<void> {
    const { parameters, m, v } = this.memory;
    adamwStep(parameters, this.#ofParameters(), m, v, { plan: this.#info, optimizer, step, gradientScale });
    this.dropGradients();
  }

  #ofParameters(): readonly Float32Array[] {
    return this.gradients.slice(0, this.#info.parameters.length);
  }

  async gradient(index: number): Promise<Float32Array> {
    return this.gradients[index] ?? new Float32Array(0);
  }

  async setGradient(index: number, values: Float32Array): Promise<void> {
    this.gradients[index]?.set(values);
    this.hasGradients = true;
  }

  dropGradients(): void {
    if (this.hasGradients) for (const gradient of this.gradients) gradient.fill(0);
    this.hasGradients = false;
  }

  async upload(): Promise<void> {
    // Read where it is.
  }

  async download(): Promise<void> {
    // Trained in place.
  }

  async dispose(): Promise<void> {
    // The garbage collector sees all of it.
  }
}
