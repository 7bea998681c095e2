import { Failure } from "../../src-protocol/failure.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import type { Activations, StageData, StageInfo } from "../compute/compute-call.ts";
import { Compute } from "../compute/compute.ts";
import type { CorpusReader } from "../corpus/corpus-reader.ts";
import { passedOn } from "../stage/coded-tensor.ts";
import { StageChain } from "../stage/stage-chain.ts";
import { parametersIn, stageBytes } from "../stage/stage-memory.ts";
import { samplesOf } from "../stage/stage-samples.ts";
import type { Samples } from "../stage/stage-samples.ts";
import { restoreCheckpointFile } from "../stage/snapshots.ts";

export interface OfflineOptions {
  readonly spec: RunSpec;
  readonly corpus: CorpusReader;
  /** The model's, for a model that has one. */
  readonly file: Uint8Array | null;
  /** Paths of the files of a decoder. */
  readonly files?: readonly string[];
  readonly threads: number;
  /** Where to begin: files of the stages' snapshots of `step`, in their order. Null: at the seed. */
  readonly from: { readonly step: number; readonly checkpoints: readonly string[] } | null;
  /** As if so many replicas of each stage had shared the step's micro-batches. Left out: one holder for each. */
  readonly replicas?: {
    readonly count: number;
    /** Of what each replica of a stage has summed up, what all of them take the step with. */
    readonly add: (stage: number, sums: readonly Activations[]) => Activations;
  };
}

/** One step done again. */
export interface RepeatedStep {
  /** Steps taken, this one included. */
  readonly step: number;
  /** Mean over the step's micro-batches, in nats per token. */
  readonly loss: number;
  /** Of each stage's chain. */
  readonly links: readonly string[];
}

interface OfflineStage {
  readonly info: StageInfo;
  readonly memory: SharedArrayBuffer;
  readonly compute: Compute;
  readonly chain: StageChain;
  /** What its checkpoint says of itself; null where it says nothing. */
  readonly startLink: string | null;
}

/**
 * A run done again on one computer, without links or an orchestrator: the stages' own graphs, each on
 * a compute thread of its own, one micro-batch after another. What the workers computed, it computes.
 */
export class OfflineRun {
  readonly #spec: RunSpec;
  readonly #samples: Samples;
  readonly #replicas: OfflineOptions["replicas"];
  readonly #stages: readonly OfflineStage[];
  #step: number;

  private constructor(options: OfflineOptions, stages: readonly OfflineStage[]) {
    this.#spec = options.spec;
    this.#samples = samplesOf(options.spec, options.corpus);
    this.#replicas = options.replicas;
    this.#stages = stages;
    this.#step = options.from?.step ?? 0;
  }

  /** @throws Failure of the engine, of ONNX Runtime, or of a checkpoint that does not fit the run */
  static async open(options: OfflineOptions): Promise<OfflineRun> {
    const stages: OfflineStage[] = [];
    try {
      for (let index = 0; index < options.spec.stages; index++) {
        const compute = new Compute({ threads: options.threads, executionProvider: "cpu", niceness: null });
        try {
          stages.push(await openStage(options, index, compute));
        } catch (error) {
          await compute.close();
          throw error;
        }
      }
      return new OfflineRun(options, stages);
    } catch (error) {
      for (const { compute } of stages) await compute.close();
      throw error;
    }
  }

  /** Steps taken. */
  get step(): number {
    return this.#step;
  }

  /** Of the stages' chains where it began, as the checkpoints say; null where one says none, and at the seed. */
  startLinks(): readonly (string | null)[] {
    return this.#stages.map(({ startLink }) => startLink);
  }

  /** The model's parameters as they are now, by name; views, not copies. */
  weights(): ReadonlyMap<string, Float32Array> {
    return new Map(this.#stages.flatMap(({ info, memory }) => parametersIn(info, memory)));
  }

  /** Takes one optimiser step. */
  async next(): Promise<RepeatedStep> {
    const { microBatches, optimizer } = this.#spec;
    const step = this.#step;
    const all = Array.from({ length: microBatches }, (_, microBatch) => microBatch);
    const losses = await (this.#replicas ? this.#shared(all, this.#replicas) : this.#passes(all));
    await this.#addTied();
    const norms = [];
    for (const { compute } of this.#stages)
      norms.push((await compute.call("optimise", { optimizer, step, microBatches })).answer.squaredNorm);
    this.#step += 1;
    const links: string[] = [];
    for (const [index, { chain, memory }] of this.#stages.entries())
      links.push((await chain.advance(this.#step, norms[index] ?? Number.NaN, memory)).link);
    // Added up in the order in which the tail does it.
    return { step: this.#step, loss: losses.reduce((sum, loss) => sum + loss, 0) / microBatches, links };
  }

  /** The held-out loss of the parameters as they are now, in nats per token. */
  async heldOut(microBatches = this.#spec.evaluationMicroBatches): Promise<number> {
    let sum = 0;
    for (let microBatch = 0; microBatch < microBatches; microBatch++) {
      const place = { pass: "evaluate", step: this.#step, microBatch } as const;
      const data = await this.#samples(place);
      let x: Activations | null = null;
      for (const [stage, { compute }] of this.#stages.entries()) {
        if (stage === this.#stages.length - 1) sum += (await compute.call("loss", { x, data })).answer.loss;
        else {
          const y: Activations | null = (await compute.call("forward", { microBatch, x, data, keep: false }))
            .answer.output;
          x = y && passedOn(this.#spec, { ...place, stage }, y);
        }
      }
    }
    return sum / microBatches;
  }

  async close(): Promise<void> {
    for (const { compute } of this.#stages) await compute.close();
  }

  /** The micro-batches are dealt out in turn; each stage takes the step with what its replicas' sums are together. */
  async #shared(
    all: readonly number[],
    { count, add }: NonNullable<OfflineOptions["replicas"]>,
  ): Promise<number[]> {
    const losses: number[] = [];
    const sums: Activations[][] = this.#stages.map(() => []);
    for (let replica = 0; replica < count; replica++) {
      const own = all.filter((microBatch) => microBatch % count === replica);
      const of = await this.#passes(own);
      for (const [i, microBatch] of own.entries()) losses[microBatch] = of[i] ?? Number.NaN;
      for (const [stage, { compute }] of this.#stages.entries())
        sums[stage]?.push((await compute.call("gradients", { clear: true })).answer.output);
    }
    for (const [stage, { compute }] of this.#stages.entries())
      await compute.call("setGradients", { values: add(stage, sums[stage] ?? []) });
    return losses;
  }

  /**
   * The losses of micro-batches of the step, in their order. Some are under way at once, so that the
   * stages' threads work side by side. Each starts after the one before it and every thread takes its
   * calls in turn, so a stage still adds up its gradients in the order of the micro-batches.
   */
  async #passes(microBatches: readonly number[]): Promise<number[]> {
    const losses: Promise<number>[] = [];
    for (const [i, microBatch] of microBatches.entries()) {
      await losses[i - this.#stages.length - 1];
      // Before it starts, so that none overtakes another.
      const data = await this.#samples({ pass: "forward", step: this.#step, microBatch });
      const pass = this.#pass(microBatch, data);
      // It is awaited below, or the step has failed already.
      pass.catch(() => undefined);
      losses.push(pass);
    }
    return await Promise.all(losses);
  }

  /** Forward and backward of one micro-batch; its loss. */
  async #pass(microBatch: number, data: StageData): Promise<number> {
    const before = this.#stages.slice(0, -1);
    const tail = this.#stages.at(-1);
    if (tail === undefined) throw new Failure("no-such-stage", "A run without stages cannot be repeated.");
    const [spec, step] = [this.#spec, this.#step];
    let x: Activations | null = null;
    for (const [stage, { compute }] of before.entries()) {
      const y: Activations | null = (await compute.call("forward", { microBatch, x, data, keep: true }))
        .answer.output;
      x = y && passedOn(spec, { pass: "forward", step, microBatch, stage }, y);
    }
    const { loss, output } = (await tail.compute.call("tail", { x, data })).answer;
    let dy = output;
    for (const [stage, { compute }] of [...before.entries()].toReversed()) {
      if (dy === null) throw new Failure("no-gradient", "A stage gave no gradient to the one before it.");
      dy = passedOn(spec, { pass: "backward", step, microBatch, stage: stage + 1 }, dy);
      dy = (await compute.call("backward", { microBatch, dy })).answer.output;
    }
    return loss;
  }

  /** As the pipeline does it: the sums go from the tail to the head, the whole comes back. */
  async #addTied(): Promise<void> {
    if ((this.#stages[0]?.info.ties.length ?? 0) === 0) return;
    let values: Activations | null = null;
    for (const [index, { compute }] of [...this.#stages.entries()].toReversed())
      values = (await compute.call("tie", { values, add: true, set: index === 0 })).answer.output;
    for (const { compute } of this.#stages.slice(1))
      values = (await compute.call("tie", { values, add: false, set: true })).answer.output;
  }
}

async function openStage(options: OfflineOptions, index: number, compute: Compute): Promise<OfflineStage> {
  const { spec, file, files = [], from } = options;
  const { answer: info } = await compute.call("open", { spec: { ...spec, stage: index }, file });
  const memory = new SharedArrayBuffer(stageBytes(info));
  let link: string | null = null;
  if (from !== null) {
    const checkpoint = from.checkpoints[index];
    if (checkpoint === undefined)
      throw new Failure("checkpoint-unusable", `There is no checkpoint of stage ${index + 1}.`);
    link = await restoreCheckpointFile(checkpoint, { spec, stage: index }, from.step, memory);
  }
  const seed = from === null ? spec.seed : null;
  // As workers do in class exact, and in class fast where memory allows.
  await compute.call("load", { memory, seed, recompute: "selective", files });
  return {
    info,
    memory,
    compute,
    chain: new StageChain(spec, index, from?.step ?? 0, link),
    startLink: link,
  };
}
