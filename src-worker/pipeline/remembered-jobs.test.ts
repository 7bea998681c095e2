import { expect, it } from "vitest";
import type { Compute } from "../compute/compute.ts";
import type { Crossing } from "../stage/tensor-message.ts";
import type { TensorJob } from "./pipeline-event.ts";
import { RememberedJobs } from "./remembered-jobs.ts";
import { StepMemo } from "./step-memo.ts";

const MICRO_BATCHES = 4;
const LINK = "a".repeat(64);
const OTHER_LINK = "b".repeat(64);

/** A slice whose passes are sums, so that every number says where it came from. */
class Arithmetic {
  parameter = 1;
  sum = 0;
  passes: string[] = [];
  readonly noted = new Map<number, number>();
  readonly #kept = new Map<number, number>();

  readonly compute = { call: this.#call.bind(this) as unknown as Compute["call"] };

  reset(keepsInputs: boolean): void {
    this.sum = 0;
    this.passes = [];
    if (!keepsInputs) this.#kept.clear();
  }

  async #call(
    name: string,
    request: {
      microBatch: number;
      x: Float32Array | null;
      dy: Float32Array;
      values: Float32Array;
      id: number;
      note?: number;
    },
  ): Promise<{ answer: unknown; ms: number }> {
    const { microBatch } = request;
    const x = request.x?.[0] ?? 0;
    switch (name) {
      case "forward":
        this.passes.push(`forward ${microBatch}`);
        this.#kept.set(microBatch, x);
        return answered({ output: Float32Array.of(x * this.parameter) });
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
    }
    throw new Error(`nobody asks for ${name} here`);
  }
}

function answered(answer: unknown): { answer: unknown; ms: number } {
  return { answer, ms: 1 };
}

function tensor(value: number): Crossing {
  return { values: Float32Array.of(value), sha256: String(value) };
}

function job(pass: "forward" | "backward", step: number, microBatch: number, value: number) {
  return { kind: pass, pass, step, microBatch, input: tensor(value) } satisfies TensorJob<Crossing>;
}

/** The stage in the middle, through as many generations as a test needs. */
class Stage {
  readonly arithmetic = new Arithmetic();
  readonly memo = new StepMemo();
  /** What the forward of a micro-batch waits for. */
  readonly samples = new Map<number, Promise<void>>();
  jobs = this.generation(7, LINK);

  generation(step: number, link: string, hasInputs = false): RememberedJobs {
    this.arithmetic.reset(hasInputs);
    this.memo.begin(step, link, hasInputs);
    this.jobs = new RememberedJobs({
      compute: this.arithmetic.compute,
      samples: async ({ microBatch }) => {
        await this.samples.get(microBatch);
        return {};
      },
      memo: this.memo,
      linkAt: (at) => (at === step ? link : null),
      microBatches: MICRO_BATCHES,
      boundaryBytes: { in: 4, out: 4 },
      files: () => null,
    });
    return this.jobs;
  }

  async forward(microBatch: number, value: number, step = 7): Promise<number | undefined> {
    return await this.#run(job("forward", step, microBatch, value));
  }

  async backward(microBatch: number, value: number, step = 7): Promise<number | undefined> {
    return await this.#run(job("backward", step, microBatch, value));
  }

  /** As the optimiser does: the sums are used up, the parameter is another one. */
  step(from: number): void {
    this.jobs.finished(from);
    this.arithmetic.parameter += this.arithmetic.sum;
    this.arithmetic.sum = 0;
  }

  async #run(each: TensorJob<Crossing>): Promise<number | undefined> {
    const { answer, noted } = await this.jobs.run(each);
    await noted;
    return "output" in answer ? answer.output?.[0] : undefined;
  }
}

/** Three micro-batches there, two of them back. */
async function workedTwo(): Promise<Stage> {
  const stage = new Stage();
  for (const m of [0, 1, 2]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  return stage;
}

it("a step that is begun anew computes only what was not done, with the same outputs and the same sums", async () => {
  const stage = await workedTwo();
  const { sum } = stage.arithmetic;
  stage.generation(7, LINK);
  expect([await stage.forward(0, 10), await stage.forward(1, 11)]).toEqual([10, 11]);
  expect(await stage.forward(2, 12)).toBe(12);
  expect([await stage.backward(0, 20), await stage.backward(1, 21)]).toEqual([20, 21]);
  expect(stage.arithmetic.sum).toBe(sum);
  await stage.backward(2, 22);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21 + 12 * 22);
  expect(stage.arithmetic.passes).toEqual(["forward 2", "backward 2"]);
});

it("what was on its way is not computed again either, where the compute thread has kept its input", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK, true);
  for (const m of [0, 1, 2]) expect(await stage.forward(m, 10 + m)).toBe(10 + m);
  for (const m of [0, 1, 2]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21 + 12 * 22);
  expect(stage.arithmetic.passes).toEqual(["backward 2"]);
});

it("an input that was kept is not taken for another one", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK, true);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  expect(await stage.forward(2, 99)).toBe(99);
  for (const m of [0, 1, 2]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21 + 99 * 22);
});

it("and so again, when it is begun a third time", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK);
  await stage.forward(0, 10);
  stage.generation(7, LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21);
  expect(stage.arithmetic.passes).toEqual([]);
});

it("other activations: what was answered before them is computed after all, and nothing of before is in the sums", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK);
  await stage.forward(0, 10);
  await stage.backward(0, 20);
  expect(await stage.forward(1, 99)).toBe(99);
  await stage.backward(1, 21);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 99 * 21);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "backward 0", "forward 1", "backward 1"]);
});

it("another gradient: inputs that were answered for are there for the gradients that follow", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  await stage.backward(0, 55);
  await stage.backward(1, 21);
  expect(stage.arithmetic.sum).toBe(10 * 55 + 11 * 21);
});

it("where the compute thread has the sums no more, all of the step is computed after all", async () => {
  const stage = await workedTwo();
  stage.generation(7, LINK);
  stage.arithmetic.noted.clear();
  for (const m of [0, 1]) expect(await stage.forward(m, 10 + m)).toBe(10 + m);
  for (const m of [0, 1]) expect(await stage.backward(m, 20 + m)).toBe(20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "forward 1", "backward 0", "backward 1"]);
});

it("other parameters: nothing is remembered of them", async () => {
  const stage = await workedTwo();
  stage.generation(7, OTHER_LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "forward 1", "backward 0", "backward 1"]);
});

async function wholeStep(stage: Stage, step: number, offset = 0): Promise<void> {
  for (let m = 0; m < MICRO_BATCHES; m += 1) {
    await stage.forward(m, 10 + m + offset, step);
    await stage.backward(m, 20 + m, step);
  }
  stage.step(step);
}

it("a stage that was a step ahead goes through both steps again and computes nothing", async () => {
  const stage = new Stage();
  await wholeStep(stage, 7);
  const after = stage.arithmetic.parameter;
  await stage.forward(0, 30, 8);
  await stage.backward(0, 40, 8);
  stage.generation(7, LINK);
  stage.arithmetic.parameter = 1;
  await wholeStep(stage, 7);
  expect(stage.arithmetic.parameter).toBe(after);
  expect(await stage.forward(0, 30, 8)).toBe(30 * after);
  expect(await stage.backward(0, 40, 8)).toBe(40 * after);
  expect(stage.arithmetic.sum).toBe(30 * 40);
  expect(stage.arithmetic.passes).toEqual([]);
});

it("where the first of two steps goes another way, the second is computed with the parameters of that way", async () => {
  const stage = new Stage();
  await wholeStep(stage, 7);
  await stage.forward(0, 30, 8);
  await stage.backward(0, 40, 8);
  stage.generation(7, LINK);
  stage.arithmetic.parameter = 1;
  await wholeStep(stage, 7, 1);
  const other = stage.arithmetic.parameter;
  stage.arithmetic.passes = [];
  expect(await stage.forward(0, 30, 8)).toBe(30 * other);
  expect(stage.arithmetic.passes).toEqual(["forward 0"]);
});

it("after trouble of its own it begins as if it were the first time, and so it does after many beginnings", async () => {
  const troubled = await workedTwo();
  troubled.jobs.forget();
  const often = await workedTwo();
  for (let beginning = 0; beginning < 4; beginning += 1) often.generation(7, LINK);
  for (const stage of [troubled, often]) {
    stage.generation(7, LINK);
    await stage.forward(0, 10);
    expect(stage.arithmetic.passes).toEqual(["forward 0"]);
  }
});

it("a job that is given while another is under way is begun after it, and is not in the sums that are noted of that", async () => {
  const stage = new Stage();
  const samples = Promise.withResolvers<void>();
  stage.samples.set(0, samples.promise);
  const first = stage.forward(0, 10);
  const second = stage.forward(1, 11);
  await new Promise(setImmediate);
  expect(stage.arithmetic.passes).toEqual([]);
  samples.resolve();
  await Promise.all([first, second]);
  await Promise.all([stage.backward(0, 20), stage.forward(2, 12), stage.backward(1, 21)]);
  const passes = ["forward 0", "forward 1", "backward 0", "forward 2", "backward 1"];
  expect(stage.arithmetic.passes).toEqual(passes);
  expect([...stage.arithmetic.noted.values()]).toEqual([10 * 20, 10 * 20 + 11 * 21]);
});

it("what was under way when another job failed is not remembered", async () => {
  const stage = new Stage();
  await stage.forward(0, 10);
  const given = [stage.backward(0, 20), stage.forward(1, 11)];
  stage.jobs.forget();
  await Promise.all(given);
  expect([stage.memo.parts, stage.memo.sentCount]).toEqual([[], 0]);
});

it("of a stage whose steps are too large nothing is remembered or held", async () => {
  const memo = new StepMemo();
  memo.limit(16, 1);
  memo.begin(7, LINK, false);
  const y = Float32Array.of(1);
  const worked = { x: "x", y, dy: "dy", dx: null, loss: null };
  expect(memo.add(7, 0, worked, memo.nextNote(), LINK)).toBe(false);
  expect([memo.isOff, memo.holds(y), memo.parts.length]).toEqual([true, false, 0]);
});

it("where a step's sums alone are too large, they are not noted either", async () => {
  const stage = new Stage();
  stage.memo.limit(1e6, 1e6);
  await stage.forward(0, 10);
  await stage.backward(0, 20);
  expect([stage.memo.isOff, stage.arithmetic.noted.size]).toEqual([true, 0]);
});

it("two steps are held, and the memory of the one before them is given back", async () => {
  const memo = new StepMemo();
  memo.begin(7, LINK, false);
  const outputs = [7, 8, 9].map((step) => {
    const y = Float32Array.of(step);
    memo.add(step, 0, { x: "x", y, dy: "dy", dx: null, loss: null }, memo.nextNote(), LINK);
    return y;
  });
  expect(memo.parts.map(({ step }) => step)).toEqual([8, 9]);
  expect(outputs.map(({ length }) => length)).toEqual([0, 1, 1]);
});
