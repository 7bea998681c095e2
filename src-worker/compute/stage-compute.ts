import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { Recompute } from "../../src-engine/recompute.ts";
import { sumValues } from "../../src-engine/replica-memory.ts";
import type { Stage } from "../../src-engine/stage.ts";
import { cutModel, tiesOf } from "../../src-engine/stages.ts";
import type { ModelFiles } from "../../src-engine/families/model-files.ts";
import { openModel } from "../../src-engine/trainable-model.ts";
import type { TrainableModel } from "../../src-engine/trainable-model.ts";
import { KERNELS } from "../../src-protocol/arithmetic.ts";
import { Failure, GRADIENT_NOT_FINITE } from "../../src-protocol/failure.ts";
import { isFiniteTensor } from "../../src-protocol/finite.ts";
import { writeHeaderLast } from "../disk/header-last.ts";
import { release } from "./compute-call.ts";
import type {
  Activations,
  ComputeCalls,
  ComputeOptions,
  StageData,
  StageInfo,
  StageSpec,
} from "./compute-call.ts";
import { LARGEST_SQUARED_NORM, keepsParameters, staysThere, summedOf, sumsOf } from "./parameter-home.ts";
import type { ParameterHome } from "./parameter-home.ts";
import { NotedSums } from "./noted-sums.ts";
import { OpenFiles } from "./open-files.ts";
import { ResidentTensors } from "./resident-tensors.ts";
import type { Prepare, Table } from "./resident-tensors.ts";
import { Sessions } from "./sessions.ts";
import type { GraphKind, Runtime } from "./sessions.ts";
import { stageMemory } from "../stage/stage-memory.ts";
import type { StageMemory } from "../stage/stage-memory.ts";
import { StageTensors } from "./stage-tensors.ts";
import { UncopiedRuns } from "./uncopied-runs.ts";

type Request<C extends keyof ComputeCalls> = ComputeCalls[C]["request"];
type Answer<C extends keyof ComputeCalls> = ComputeCalls[C]["answer"];
type Outputs = InferenceSession.OnnxValueMapType;
type Feeds = Record<string, Tensor>;

interface OpenedStage {
  readonly spec: StageSpec;
  readonly stage: Stage;
  readonly model: TrainableModel;
  readonly info: StageInfo;
}

interface LoadedStage {
  /** Whose sums are noted. */
  readonly key: string;
  readonly info: StageInfo;
  readonly tensors: ParameterHome;
  /** What a backward will ask for again, by micro-batch. */
  readonly kept: Map<number, Feeds>;
}

/** One stage's mathematics on ONNX Runtime. Blocks the thread it runs on: give it one of its own. */
export class StageCompute {
  readonly #runtime: Runtime;
  readonly #sessions: Sessions;
  readonly #isResident: boolean;
  /** Graphs on the processor are run so; null: they are not, or it is not known yet. */
  #uncopied: UncopiedRuns | null = null;
  readonly #isProcessor: boolean;
  #opened: OpenedStage | null = null;
  #loaded: LoadedStage | null = null;
  readonly #noted = new NotedSums();

  constructor(runtime: Runtime, options: ComputeOptions) {
    this.#runtime = runtime;
    this.#sessions = new Sessions(runtime, options);
    this.#isResident = keepsParameters(options.executionProvider);
    this.#isProcessor = options.executionProvider === "cpu";
  }

  async open({ spec, file }: Request<"open">): Promise<Answer<"open">> {
    mustHaveKernels(spec);
    const model = openModel(spec.model, spec, file);
    const stages = cutModel(model, spec.stages);
    const stage = stages[spec.stage];
    if (stage === undefined) throw new Failure("no-such-stage", `The model has no stage ${spec.stage}.`);
    const { forward: _forward, backward: _backward, train: _train, ...rest } = stage;
    const ties = tiesOf(stages);
    const tiedSums = stages.map((each) => ties.map(({ name }) => sumsOf(each, name).length));
    const info = { ...rest, ties, tiedSums };
    this.#opened = { spec, stage, model, info };
    return info;
  }

  async load({
    memory: buffer,
    seed,
    recompute,
    files: paths = [],
  }: Request<"load">): Promise<Answer<"load">> {
    if (this.#loaded !== null) await this.#keepNoted();
    const before = this.#loaded?.key;
    await this.#unload();
    if (this.#opened === null)
      throw new Failure("no-stage-opened", "No stage was opened that could be loaded.");
    const { spec, stage, model, info } = this.#opened;
    // The model's file may be large: what is needed of it is copied below.
    this.#opened = null;
    const key = JSON.stringify(spec);
    if (key !== before) this.#noted.forget();
    const level = spec.arithmetic === "exact" ? spec.kernels?.level : undefined;
    await this.#sessions.keepOnly(JSON.stringify([spec, recompute]), level);
    const memory = stageMemory(info, buffer);
    const files = OpenFiles.open(paths);
    let tables: Table[];
    try {
      if (seed !== null) initialise(memory, info, model, seed, files);
      tables = this.#tables(info, model, files);
    } finally {
      files.close();
    }
    if (this.#isProcessor) this.#uncopied ??= await UncopiedRuns.tried(this.#runtime);
    const uncopied = this.#uncopied;
    const tensors = await this.#home(info, memory, tables);
    // Made now, so that the first micro-batch does not wait for it.
    for (const kind of kindsOf(info)) {
      const graph = () => graphOf(stage, kind, recompute);
      await this.#sessions.get(kind, () => uncopied?.prepared(graph()) ?? graph(), staysThere);
    }
    this.#loaded = { key, info, tensors, kept: new Map() };
    return null;
  }

  async reset({ keepInputs = false }: Request<"reset">): Promise<Answer<"reset">> {
    const { tensors, kept } = this.#stage();
    await this.#keepNoted();
    tensors.dropGradients();
    if (keepInputs) return null;
    for (const feeds of kept.values()) releaseAll(feeds);
    kept.clear();
    return null;
  }

  async forward({ microBatch, x, data, keep }: Request<"forward">): Promise<Answer<"forward">> {
    const { kept } = this.#stage();
    const feeds = this.#feeds(x, data);
    const { y, ...results } = await this.#run("forward", feeds);
    if (keep) {
      // Of a step that is begun anew, there may be one already.
      releaseAll(kept.get(microBatch) ?? {});
      kept.set(microBatch, { ...feeds, ...(results as Feeds) });
    } else releaseAll({ ...feeds, ...(results as Feeds) });
    return { output: floats(y, "y") };
  }

  async backward({ microBatch, dy, note }: Request<"backward">): Promise<Answer<"backward">> {
    const { info, kept } = this.#stage();
    const feeds = kept.get(microBatch);
    if (feeds === undefined) {
      throw new Failure(
        "no-kept-input",
        `A gradient came for micro-batch ${microBatch}, which this stage did not run.`,
      );
    }
    kept.delete(microBatch);
    this.#noted.changed();
    const own = { ...feeds, dy: this.#tensor(dy, info.output ?? []) };
    const outputs = await this.#run("backward", own);
    if (note !== undefined) this.#noted.note(note);
    releaseAll(own);
    return { output: info.isHead ? null : floats(outputs["dx"], "dx") };
  }

  async tail({ x, data, note }: Request<"tail">): Promise<Answer<"tail">> {
    const { info } = this.#stage();
    const feeds = this.#feeds(x, data);
    this.#noted.changed();
    const outputs = await this.#run("train", feeds);
    if (note !== undefined) this.#noted.note(note);
    releaseAll(feeds);
    return {
      loss: scalar(outputs["loss"]),
      output: info.isHead ? null : floats(outputs["dx"], "dx"),
    };
  }

  async loss({ x, data }: Request<"loss">): Promise<Answer<"loss">> {
    const feeds = this.#feeds(x, data);
    const outputs = await this.#run("loss", feeds);
    releaseAll(feeds);
    return { loss: scalar(outputs["loss"]) };
  }

  async tie({ values, add, set }: Request<"tie">): Promise<Answer<"tie">> {
    const { info, tensors } = this.#stage();
    if (set) await this.#keepNoted();
    const output = values ?? new Float32Array(info.ties.reduce((sum, { size }) => sum + size, 0));
    let offset = 0;
    for (const { name, size } of info.ties) {
      const part = output.subarray(offset, offset + size);
      offset += size;
      for (const [i, index] of sumsOf(info, name).entries()) {
        if (add) addOnto(part, await tensors.gradient(index));
        if (set) await tensors.setGradient(index, i === 0 ? part : new Float32Array(size));
      }
    }
    return { output };
  }

  async gradients({ clear }: Request<"gradients">): Promise<Answer<"gradients">> {
    const output = await this.#sums();
    if (clear) {
      this.#noted.changed();
      this.#stage().tensors.dropGradients();
    }
    return { output };
  }

  async writeSums({ file }: Request<"writeSums">): Promise<Answer<"writeSums">> {
    const { info, tensors } = this.#stage();
    try {
      const sums: Uint8Array[] = [];
      for (const index of summedOf(info).keys()) sums.push(bytesOf(await tensors.gradient(index)));
      writeHeaderLast(file, sums);
      return { isWritten: true };
    } catch {
      return { isWritten: false };
    }
  }

  async recallSums({ id }: Request<"recallSums">): Promise<Answer<"recallSums">> {
    this.#stage();
    const found = this.#noted.find(id);
    if (found === null) return { isThere: false };
    if (!found.isThere) {
      await this.#setSums(found.values);
      this.#noted.note(id);
    }
    return { isThere: true };
  }

  async setGradients({ values }: Request<"setGradients">): Promise<Answer<"setGradients">> {
    this.#noted.changed();
    await this.#setSums(values);
    return null;
  }

  /** A copy of all of them, in the order of `summedOf`. */
  async #sums(into?: Activations): Promise<Activations> {
    const { info, tensors } = this.#stage();
    const output = into ?? new Float32Array(sumValues(info));
    let offset = 0;
    for (const [index, { size }] of summedOf(info).entries()) {
      output.set(await tensors.gradient(index), offset);
      offset += size;
    }
    return output;
  }

  async #setSums(values: Float32Array): Promise<void> {
    const { info, tensors } = this.#stage();
    if (values.length !== sumValues(info))
      throw new RangeError(`${values.length} gradients were given for ${sumValues(info)} sums`);
    let offset = 0;
    for (const [index, { size }] of summedOf(info).entries()) {
      await tensors.setGradient(index, values.subarray(offset, offset + size));
      offset += size;
    }
  }

  async #keepNoted(): Promise<void> {
    await this.#noted.keep(async (into) => await this.#sums(into));
  }

  async optimise({ optimizer, step, microBatches }: Request<"optimise">): Promise<Answer<"optimise">> {
    const { info, tensors } = this.#stage();
    if (!tensors.hasGradients && info.parameterCount > 0)
      throw new Failure("no-gradients", `There are no gradients to take step ${step} with.`);
    await this.#keepNoted();
    await this.#addUses();
    // SECURITY: a peer's finite but absurd tensors must not ruin what was trained so far.
    const squaredNorm = await tensors.squaredNorm();
    if (!(squaredNorm / (microBatches * microBatches) <= LARGEST_SQUARED_NORM)) {
      const names = await this.#notFinite();
      tensors.dropGradients();
      if (names.length > 0)
        throw new Failure(
          GRADIENT_NOT_FINITE,
          `The gradient of step ${step} is no number in ${names.slice(0, MOST_NAMED).join(", ")}${names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ""}.`,
        );
      throw new Failure(
        "gradient-overflow",
        `The gradient of step ${step} is too large to be used, so the parameters stay as they are. The step is done again; if it stays so, the learning rate is too high or another node sends nonsense.`,
      );
    }
    await tensors.optimise(optimizer, step, 1 / microBatches);
    return { squaredNorm };
  }

  /**
   * What every place where a parameter is read gave to its gradient, into one sum. Where several stages
   * read it, `tie` has done it already, and here are zeros.
   */
  async #addUses(): Promise<void> {
    const { info, tensors } = this.#stage();
    for (const name of new Set(info.uses.map(({ parameter }) => parameter))) {
      const [index = -1, ...further] = sumsOf(info, name);
      const sum = await tensors.gradient(index);
      for (const each of further) addOnto(sum, await tensors.gradient(each));
      await tensors.setGradient(index, sum);
    }
  }

  /** Names of parameters with a gradient that is not finite everywhere. */
  async #notFinite(): Promise<string[]> {
    const { info, tensors } = this.#stage();
    const names: string[] = [];
    for (const [index, { name }] of info.parameters.entries())
      if (!isFiniteTensor(await tensors.gradient(index))) names.push(name);
    return names;
  }

  async upload(): Promise<Answer<"upload">> {
    await this.#stage().tensors.upload();
    return null;
  }

  async download(): Promise<Answer<"download">> {
    await this.#stage().tensors.download();
    return null;
  }

  async #unload(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = null;
    for (const feeds of loaded?.kept.values() ?? []) releaseAll(feeds);
    await loaded?.tensors.dispose();
  }

  async #home(info: StageInfo, memory: StageMemory, tables: readonly Table[]): Promise<ParameterHome> {
    const runtime = this.#runtime;
    if (!this.#isResident) return new StageTensors(runtime, info, memory, tables, this.#uncopied);
    const prepare: Prepare = (graph, resident) => this.#sessions.prepare(graph, resident);
    return await ResidentTensors.upload(runtime, prepare, info, memory, tables);
  }

  #tables(info: StageInfo, model: TrainableModel, files: ModelFiles): Table[] {
    return (model.tables ?? [])
      .filter(({ name }) => info.tables.includes(name))
      .map((table) => ({
        name: table.name,
        shape: table.shape,
        tensor: this.#tensor(model.initial(table, 0, undefined, files), table.shape),
      }));
  }

  #stage(): LoadedStage {
    if (this.#loaded === null)
      throw new Failure("no-stage-loaded", "No stage is loaded, so nothing can be computed.");
    return this.#loaded;
  }

  #feeds(x: Activations | null, data: StageData): Feeds {
    const { info } = this.#stage();
    const feeds: Feeds = x === null ? {} : { x: this.#tensor(x, info.input ?? []) };
    for (const name of info.data) {
      const values = name === "tokens" || name === "targets" ? data[name] : undefined;
      if (values === undefined)
        throw new Failure("no-samples", `The stage needs the ${name} of a micro-batch.`);
      feeds[name] = new this.#runtime.Tensor("int32", values, [values.length]);
    }
    return feeds;
  }

  #tensor(values: Float32Array, shape: readonly number[]): Tensor {
    return new this.#runtime.Tensor("float32", values, shape);
  }

  async #run(kind: GraphKind, feeds: Feeds): Promise<Outputs> {
    const { tensors } = this.#stage();
    const session = await this.#sessions.get(kind, () => {
      throw new RangeError(`The stage has no ${kind} graph.`);
    });
    try {
      return await tensors.run(session, feeds);
    } catch (error) {
      throw new Failure("compute-failed", `ONNX Runtime failed in the ${kind} pass: ${String(error)}.`, {
        cause: error,
      });
    }
  }
}

/** An exact run names the kernels that its bits come from; any level of their optimiser is here. */
function mustHaveKernels({ arithmetic = "fast", kernels }: StageSpec): void {
  const own = KERNELS.exact;
  if (arithmetic === "fast" || kernels === undefined) return;
  if (kernels.onnxruntime === own.onnxruntime) return;
  throw new Failure(
    "other-kernels",
    `The run is computed exactly by ONNX Runtime ${kernels.onnxruntime}, and this program has ${own.onnxruntime}, whose bits may differ. Use the program's version that the run was begun with.`,
  );
}

function kindsOf({ isTail }: StageInfo): readonly GraphKind[] {
  return isTail ? ["train", "loss"] : ["forward", "backward"];
}

function graphOf(stage: Stage, kind: GraphKind, recompute: Recompute): ReturnType<Stage["forward"]> {
  switch (kind) {
    case "forward":
      return stage.forward({ recompute });
    case "backward":
      return stage.backward({ recompute, accumulate: true });
    case "train":
      return stage.train({ accumulate: true });
    case "loss":
      return stage.forward();
  }
}

function addOnto(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (values[i] as number);
}

/** Of parameters, in a message. */
const MOST_NAMED = 4;

function releaseAll(feeds: Feeds): void {
  for (const tensor of Object.values(feeds)) {
    if (tensor.location === "cpu") release(tensor.data as Float32Array<ArrayBuffer>);
    else tensor.dispose();
  }
}

/** Before the first step: parameters of the model, moments of zero. */
function initialise(
  memory: StageMemory,
  info: StageInfo,
  model: TrainableModel,
  seed: number,
  files: ModelFiles,
): void {
  for (const [i, parameter] of info.parameters.entries())
    model.initial(parameter, seed, memory.parameters[i], files);
  for (const moment of [...memory.m, ...memory.v]) moment.fill(0);
}

function floats(output: Outputs[string] | undefined, name: string): Activations {
  const data = output?.data;
  if (!(data instanceof Float32Array))
    throw new Failure("compute-failed", `The graph gave no output "${name}".`);
  return data as Activations;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function scalar(output: Outputs[string] | undefined): number {
  return floats(output, "loss")[0] ?? Number.NaN;
}
