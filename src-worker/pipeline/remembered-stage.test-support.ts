import { sha256 } from "../../src-protocol/signing.ts";
import { writeHeaderLast } from "../disk/header-last.ts";
import type { FileHead } from "../disk/header-last.ts";
import type { Compute } from "../compute/compute.ts";
import type { Activations } from "../compute/compute-call.ts";
import type { Crossing } from "../stage/tensor-message.ts";
import type { MemoFiles } from "./memo-files.ts";
import { RememberedJobs } from "./remembered-jobs.ts";
import type { Done } from "./remembered-jobs.ts";
import { StepMemo } from "./step-memo.ts";
import type { StepPart } from "./step-memo.ts";

export const MICRO_BATCHES = 4;
export const LINK = "a".repeat(64);
export const OTHER_LINK = "b".repeat(64);

interface Request {
  readonly microBatch: number;
  readonly x: Float32Array | null;
  readonly data: { readonly tokens?: Int32Array };
  readonly dy: Float32Array;
  readonly values: Float32Array;
  readonly id: number;
  readonly note?: number;
  readonly file: FileHead;
}

/** A slice whose passes are sums, so that every number says where it came from. */
class Arithmetic {
  parameter = 1;
  sum = 0;
  passes: string[] = [];
  /** What the file of the sums waits for, and how long writing it takes. */
  writing: Promise<void> = Promise.resolve();
  writingMs = 0;
  /** Files of sums, in the order in which they were begun. */
  readonly written: string[] = [];
  passMs = 1;
  readonly noted = new Map<number, number>();
  readonly #kept = new Map<number, number>();

  readonly compute = { call: this.#call.bind(this) as unknown as Compute["call"] };

  reset(keepsInputs: boolean): void {
    this.sum = 0;
    this.passes = [];
    if (!keepsInputs) this.#kept.clear();
  }

  async #call(name: string, request: Request): Promise<{ answer: unknown; ms: number }> {
    const { microBatch } = request;
    switch (name) {
      case "forward": {
        const x = request.x?.[0] ?? request.data.tokens?.[0] ?? 0;
        this.passes.push(`forward ${microBatch}`);
        this.#kept.set(microBatch, x);
        return { answer: { output: Float32Array.of(x * this.parameter) }, ms: this.passMs };
      }
      case "backward": {
        this.passes.push(`backward ${microBatch}`);
        const kept = this.#kept.get(microBatch);
        if (kept === undefined) throw new Error(`micro-batch ${microBatch} has no kept input`);
        this.#kept.delete(microBatch);
        this.sum += kept * (request.dy[0] ?? Number.NaN);
        if (request.note !== undefined) this.noted.set(request.note, this.sum);
        return answered({ output: Float32Array.of((request.dy[0] ?? Number.NaN) * this.parameter) });
      }
      case "recallSums": {
        const sum = this.noted.get(request.id);
        this.sum = sum ?? this.sum;
        return answered({ isThere: sum !== undefined });
      }
      case "setGradients":
        this.sum = request.values[0] ?? Number.NaN;
        return answered(null);
      case "writeSums": {
        this.written.push(request.file.path);
        const sums = new Uint8Array(Float32Array.of(this.sum).buffer);
        await this.writing;
        writeHeaderLast(request.file, [sums]);
        return { answer: { isWritten: true }, ms: this.writingMs };
      }
    }
    throw new Error(`nobody asks for ${name} here`);
  }
}

function answered(answer: unknown): { answer: unknown; ms: number } {
  return { answer, ms: 1 };
}

function tensor(value: number): Crossing {
  return { values: Float32Array.of(value), sha256: sha256(String(value)) };
}

interface StageOptions {
  /** Where it begins. */
  readonly step?: number;
  /** Its micro-batches come from the run's samples; the numbers stay the same. */
  readonly isHead?: boolean;
  readonly sharesSums?: boolean;
  /** Where its steps outlive it. */
  readonly files?: MemoFiles | null;
  /** What another process has left there. */
  readonly left?: readonly StepPart[];
}

/** A stage that gives gradients back, through as many generations as a test needs. */
export class RememberedStage {
  readonly arithmetic = new Arithmetic();
  readonly memo: StepMemo;
  /** What the forward of a micro-batch waits for. */
  readonly samples = new Map<number, Promise<void>>();
  readonly #options: StageOptions;
  jobs: RememberedJobs;

  constructor(options: StageOptions = {}) {
    this.#options = options;
    this.memo = new StepMemo(options.files);
    this.memo.limit(1e6, 1);
    this.memo.restore(options.left ?? []);
    this.jobs = this.#begun(options.step ?? 7, LINK);
  }

  async generation(step: number, link: string, hasInputs = false): Promise<void> {
    await this.load(hasInputs);
    this.jobs = this.#begun(step, link);
  }

  /** Gives whether it was asked to keep what is under way. */
  async load(hasInputs: boolean): Promise<boolean> {
    const { isAsked } = await this.memo.loaded(async (keepInputs) => {
      this.arithmetic.reset(hasInputs);
      return { isAsked: keepInputs, hasInputs };
    });
    return isAsked;
  }

  #begun(step: number, link: string): RememberedJobs {
    const { isHead = false, sharesSums = false, files = null } = this.#options;
    this.memo.begin(step, link);
    return new RememberedJobs({
      compute: this.arithmetic.compute,
      samples: async ({ microBatch }) => {
        await this.samples.get(microBatch);
        return isHead ? { tokens: Int32Array.of(10 + microBatch) } : {};
      },
      memo: this.memo,
      linkAt: (at) => (at === step ? link : null),
      microBatches: MICRO_BATCHES,
      sharesSums,
      boundaryBytes: { in: 4, out: 4 },
      files: () => files,
    });
  }

  async forward(microBatch: number, value: number, step = 7): Promise<number | undefined> {
    return await noted(await this.giveForward(microBatch, value, step));
  }

  async backward(microBatch: number, value: number, step = 7): Promise<number | undefined> {
    return await noted(await this.giveBackward(microBatch, value, step));
  }

  /** Resolves when it is computed, as `giveBackward` does. */
  async giveForward(microBatch: number, value: number, step = 7): Promise<Done> {
    const input = this.#options.isHead === true ? null : tensor(value);
    return await this.jobs.run({ kind: "forward", pass: "forward", step, microBatch, input });
  }

  /** It may have to be noted yet. */
  async giveBackward(microBatch: number, value: number, step = 7): Promise<Done> {
    return await this.jobs.run({
      kind: "backward",
      pass: "backward",
      step,
      microBatch,
      input: tensor(value),
    });
  }

  /** As the optimiser does: the sums are used up, the parameter is another one. */
  async step(from: number): Promise<void> {
    await this.jobs.optimise(from, async () => {
      this.arithmetic.parameter += this.arithmetic.sum;
      this.arithmetic.sum = 0;
    });
  }
}

async function noted(done: Done): Promise<number | undefined> {
  await done.noted;
  return outputOf(done)?.[0];
}

export function outputOf({ answer }: Done): Activations | null {
  return "output" in answer ? answer.output : null;
}

/** `offset`, `gradient`: of what comes, so that it goes another way. */
export async function wholeStep(
  stage: RememberedStage,
  step: number,
  { offset = 0, gradient = 20 } = {},
): Promise<void> {
  for (let m = 0; m < MICRO_BATCHES; m += 1) {
    await stage.forward(m, 10 + m + offset, step);
    await stage.backward(m, gradient + m, step);
  }
  await stage.step(step);
}
