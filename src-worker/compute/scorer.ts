import type { InferenceSession, Tensor } from "onnxruntime-node";
import { decoderScores } from "../../src-engine/families/decoder-model.ts";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { readParameter } from "../../src-engine/families/stored-parameter.ts";
import { closeGraph } from "../../src-engine/graph.ts";
import { importModel } from "../../src-engine/import/import-model.ts";
import { beforeSoftmax } from "../../src-engine/import/loss.ts";
import { llamaParameters, llamaScores } from "../../src-engine/llama-model.ts";
import { sizeOf } from "../../src-engine/shape.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import type { LlamaSpec } from "../../src-protocol/model.ts";
import type { WriteRequest } from "../../src-protocol/model-trial.ts";
import { type Runtime, loadRuntime } from "./sessions.ts";
import { OpenFiles } from "./open-files.ts";
import { sessionOptions } from "./session-options.ts";

/** The scores of the next token, as the engine reads a model's file: as in training, without a loss. */
export class Scorer {
  readonly batch: number;
  readonly sequence: number;
  readonly vocabulary: number;
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #feeds: Record<string, Tensor>;
  readonly #tokens: { name: string; type: "int32" | "int64"; shape: readonly number[] };

  private constructor(
    runtime: Runtime,
    session: InferenceSession,
    feeds: Record<string, Tensor>,
    tokens: { name: string; type: "int32" | "int64"; shape: readonly number[] },
    sizes: { batch: number; sequence: number; vocabulary: number },
  ) {
    this.#runtime = runtime;
    this.#session = session;
    this.#feeds = feeds;
    this.#tokens = tokens;
    this.batch = sizes.batch;
    this.sequence = sizes.sequence;
    this.vocabulary = sizes.vocabulary;
  }

  /** @throws Failure as `importModel`, `bad-model`, `graph-refused` */
  static async open(
    file: Uint8Array,
    spec: Extract<WriteRequest["model"], { modelFile: string }>["spec"],
    { batch, sequence, threads }: { batch: number; sequence: number; threads: number },
  ): Promise<Scorer> {
    const { sizes, fixed, scores: output } = spec;
    const model = importModel(file, { sizes, fixed, outputs: [output] });
    const [scores] = model.outputs;
    const input = model.inputs.find(({ name }) => name === spec.tokens);
    const type = input?.tensor.type;
    if (scores === undefined || input === undefined || (type !== "int32" && type !== "int64"))
      throw misfit(`it has no input "${spec.tokens}" of token numbers that the scores depend on`);
    const vocabulary = scores.tensor.dim(-1);
    const rows = sizeOf(scores.tensor.shape) / vocabulary;
    if (rows !== batch * sequence || sizeOf(input.tensor.shape) !== rows)
      throw misfit(
        `its scores have the shape [${scores.tensor.shape}], not one row for each of ${batch} × ${sequence} tokens`,
      );
    const runtime = await loadRuntime();
    const stored = [...model.parameters, ...model.tables];
    // Of a last Softmax only the order is needed, and of probabilities that is lost to rounding.
    const tensor = beforeSoftmax(model.graph, scores.tensor) ?? scores.tensor;
    const graph = closeGraph(model.graph, { scores: tensor });
    const feeds = stored
      .filter(({ name }) => graph.inputs.includes(name))
      .map(({ name, shape, read }) => [name, new runtime.Tensor("float32", read(), shape)] as const);
    const session = await sessionOf(runtime, graph.bytes, threads);
    const tokens = { name: input.name, type, shape: input.tensor.shape };
    return new Scorer(runtime, session, Object.fromEntries(feeds), tokens, { batch, sequence, vocabulary });
  }

  /** The same of a folder, all of it in memory. @throws Failure as `decoderScores` and `readParameter` */
  static async openDecoder(
    paths: readonly string[],
    spec: DecoderSpec,
    { batch, sequence, threads }: { batch: number; sequence: number; threads: number },
  ): Promise<Scorer> {
    const { graph, tokens, scores } = decoderScores(spec, { batch, sequence });
    const closed = closeGraph(graph, { scores });
    const runtime = await loadRuntime();
    const files = OpenFiles.open(paths);
    const feeds: Record<string, Tensor> = {};
    try {
      for (const info of decoderParameters(spec)) {
        const values = new Float32Array(info.size);
        readParameter(files, info, values);
        feeds[info.name] = new runtime.Tensor("float32", values, info.shape);
      }
    } finally {
      files.close();
    }
    const session = await sessionOf(runtime, closed.bytes, threads);
    const input = { name: "tokens", type: "int32" as const, shape: tokens.shape };
    const { vocabulary } = spec;
    return new Scorer(runtime, session, feeds, input, { batch, sequence, vocabulary });
  }

  /** The same of the built-in model, with weights by name. @throws Failure `bad-model`, `graph-refused` */
  static async openLlama(
    spec: LlamaSpec,
    weights: ReadonlyMap<string, Float32Array>,
    { batch, sequence, threads }: { batch: number; sequence: number; threads: number },
  ): Promise<Scorer> {
    const { graph, tokens, scores } = llamaScores(spec, { batch, sequence });
    const closed = closeGraph(graph, { scores });
    const runtime = await loadRuntime();
    const feeds: Record<string, Tensor> = {};
    for (const { name, shape } of llamaParameters(spec)) {
      const values = weights.get(name);
      if (values !== undefined) feeds[name] = new runtime.Tensor("float32", values, shape);
    }
    const session = await sessionOf(runtime, closed.bytes, threads);
    const input = { name: "tokens", type: "int32" as const, shape: tokens.shape };
    return new Scorer(runtime, session, feeds, input, { batch, sequence, vocabulary: spec.vocabulary });
  }

  /** `tokens` [batch · sequence]; the scores are [batch · sequence, vocabulary]. */
  async scores(tokens: Int32Array): Promise<Float32Array> {
    const { name, type, shape } = this.#tokens;
    const data = type === "int64" ? BigInt64Array.from(tokens, BigInt) : tokens;
    const fed = new this.#runtime.Tensor(type, data, shape);
    const { scores } = await this.#session.run({ ...this.#feeds, [name]: fed });
    return scores?.data as Float32Array;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

async function sessionOf(runtime: Runtime, bytes: Uint8Array, threads: number): Promise<InferenceSession> {
  return await runtime.InferenceSession.create(bytes, sessionOptions("fast", threads)).catch(
    (cause: unknown) => {
      throw new Failure(
        "graph-refused",
        `ONNX Runtime could not prepare the model: ${String(cause)}. Please report it with this text.`,
        { cause },
      );
    },
  );
}

function misfit(why: string): Failure {
  return new Failure(
    "bad-model",
    `The model does not give scores of the next token: ${why}. Name its input and output with --tokens and --scores.`,
  );
}
