import { expect, it } from "vitest";
import { LINK, OTHER_LINK, RememberedStage, wholeStep } from "./remembered-stage.test-support.ts";
import { StepMemo } from "./step-memo.ts";

/** Three micro-batches there, two of them back. */
async function workedTwo(): Promise<RememberedStage> {
  const stage = new RememberedStage();
  for (const m of [0, 1, 2]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  return stage;
}

it("a step that is begun anew computes only what was not done, with the same outputs and the same sums", async () => {
  const stage = await workedTwo();
  const { sum } = stage.arithmetic;
  await stage.generation(7, LINK);
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
  await stage.generation(7, LINK, true);
  for (const m of [0, 1, 2]) expect(await stage.forward(m, 10 + m)).toBe(10 + m);
  for (const m of [0, 1, 2]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21 + 12 * 22);
  expect(stage.arithmetic.passes).toEqual(["backward 2"]);
});

it("inputs that were lost in a beginning that came to nothing are not counted on in the next one", async () => {
  const stage = await workedTwo();
  expect(await stage.load(false)).toBe(true);
  expect(await stage.load(true)).toBe(false);
  await stage.generation(7, LINK, true);
  for (const m of [0, 1, 2]) expect(await stage.forward(m, 10 + m)).toBe(10 + m);
  for (const m of [0, 1, 2]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.passes).toEqual(["forward 2", "backward 2"]);
});

it("an input that was kept is not taken for another one", async () => {
  const stage = await workedTwo();
  await stage.generation(7, LINK, true);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  expect(await stage.forward(2, 99)).toBe(99);
  for (const m of [0, 1, 2]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21 + 99 * 22);
});

it("and so again, when it is begun a third time", async () => {
  const stage = await workedTwo();
  await stage.generation(7, LINK);
  await stage.forward(0, 10);
  await stage.generation(7, LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21);
  expect(stage.arithmetic.passes).toEqual([]);
});

it("other activations: what was answered before them is computed after all, and nothing of before is in the sums", async () => {
  const stage = await workedTwo();
  await stage.generation(7, LINK);
  await stage.forward(0, 10);
  await stage.backward(0, 20);
  expect(await stage.forward(1, 99)).toBe(99);
  await stage.backward(1, 21);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 99 * 21);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "backward 0", "forward 1", "backward 1"]);
});

it("another gradient: inputs that were answered for are there for the gradients that follow", async () => {
  const stage = await workedTwo();
  await stage.generation(7, LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  await stage.backward(0, 55);
  await stage.backward(1, 21);
  expect(stage.arithmetic.sum).toBe(10 * 55 + 11 * 21);
});

it("where the compute thread has the sums no more, all of the step is computed after all", async () => {
  const stage = await workedTwo();
  await stage.generation(7, LINK);
  stage.arithmetic.noted.clear();
  for (const m of [0, 1]) expect(await stage.forward(m, 10 + m)).toBe(10 + m);
  for (const m of [0, 1]) expect(await stage.backward(m, 20 + m)).toBe(20 + m);
  expect(stage.arithmetic.sum).toBe(10 * 20 + 11 * 21);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "forward 1", "backward 0", "backward 1"]);
});

it("other parameters: nothing is remembered of them", async () => {
  const stage = await workedTwo();
  await stage.generation(7, OTHER_LINK);
  for (const m of [0, 1]) await stage.forward(m, 10 + m);
  for (const m of [0, 1]) await stage.backward(m, 20 + m);
  expect(stage.arithmetic.passes).toEqual(["forward 0", "forward 1", "backward 0", "backward 1"]);
});

it("a stage that was a step ahead goes through both steps again and computes nothing", async () => {
  const stage = new RememberedStage();
  await wholeStep(stage, 7);
  const after = stage.arithmetic.parameter;
  await stage.forward(0, 30, 8);
  await stage.backward(0, 40, 8);
  await stage.generation(7, LINK);
  stage.arithmetic.parameter = 1;
  await wholeStep(stage, 7);
  expect(stage.arithmetic.parameter).toBe(after);
  expect(await stage.forward(0, 30, 8)).toBe(30 * after);
  expect(await stage.backward(0, 40, 8)).toBe(40 * after);
  expect(stage.arithmetic.sum).toBe(30 * 40);
  expect(stage.arithmetic.passes).toEqual([]);
});

it("where the first of two steps goes another way, the second is computed with the parameters of that way", async () => {
  const stage = new RememberedStage();
  await wholeStep(stage, 7);
  await stage.forward(0, 30, 8);
  await stage.backward(0, 40, 8);
  await stage.generation(7, LINK);
  stage.arithmetic.parameter = 1;
  await wholeStep(stage, 7, { offset: 1 });
  const other = stage.arithmetic.parameter;
  stage.arithmetic.passes = [];
  expect(await stage.forward(0, 30, 8)).toBe(30 * other);
  expect(stage.arithmetic.passes).toEqual(["forward 0"]);
});

it("where other stages add to its sums, a step that goes the same way says nothing of the next one's parameters", async () => {
  const stage = new RememberedStage({ sharesSums: true });
  await wholeStep(stage, 7);
  await stage.forward(0, 30, 8);
  await stage.backward(0, 40, 8);
  await stage.generation(7, LINK);
  await wholeStep(stage, 7);
  expect(stage.arithmetic.passes).toEqual([]);
  stage.arithmetic.parameter = 5;
  expect(await stage.forward(0, 30, 8)).toBe(30 * 5);
});

it("after trouble of its own it begins as if it were the first time, and so it does after many beginnings", async () => {
  const troubled = await workedTwo();
  troubled.jobs.forget();
  const often = await workedTwo();
  for (let beginning = 0; beginning < 4; beginning += 1) await often.generation(7, LINK);
  for (const stage of [troubled, often]) {
    await stage.generation(7, LINK);
    await stage.forward(0, 10);
    expect(stage.arithmetic.passes).toEqual(["forward 0"]);
  }
});

it("a job that is given while another is under way is begun after it, and is not in the sums that are noted of that", async () => {
  const stage = new RememberedStage();
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
  const stage = new RememberedStage();
  await stage.forward(0, 10);
  const given = [stage.backward(0, 20), stage.forward(1, 11)];
  stage.jobs.forget();
  await Promise.all(given);
  expect([stage.memo.parts, stage.memo.sentCount]).toEqual([[], 0]);
});

it("of a stage whose steps are too large nothing is remembered or held", async () => {
  const memo = new StepMemo();
  memo.limit(16, 1);
  memo.begin(7, LINK);
  const y = Float32Array.of(1);
  const worked = { x: "x", y, dy: "dy", dx: null, loss: null };
  expect(memo.add(7, 0, worked, memo.nextNote(), LINK)).toBeNull();
  expect([memo.isOff, memo.holds(y), memo.parts.length]).toEqual([true, false, 0]);
});

it("what another process has left is forgotten where there is no room for it now", async () => {
  const { memo } = await workedTwo();
  const left = memo.parts;
  for (const [bytes, sumCount] of [
    [1e6, 1e6],
    [32, 1],
  ] as const) {
    const forgotten: number[] = [];
    const next = new StepMemo({ forgetFrom: (step) => forgotten.push(step) });
    next.restore(left);
    next.limit(bytes, sumCount);
    next.begin(7, LINK);
    expect([next.parts, forgotten]).toEqual([[], [0]]);
  }
});

it("where a step's sums alone are too large, they are not noted either", async () => {
  const stage = new RememberedStage();
  stage.memo.limit(1e6, 1e6);
  await stage.forward(0, 10);
  await stage.backward(0, 20);
  expect([stage.memo.isOff, stage.arithmetic.noted.size]).toEqual([true, 0]);
});

it("two steps are held, and the memory of the one before them is given back", async () => {
  const memo = new StepMemo();
  memo.begin(7, LINK);
  const outputs = [7, 8, 9].map((step) => {
    const y = Float32Array.of(step);
    memo.add(step, 0, { x: "x", y, dy: "dy", dx: null, loss: null }, memo.nextNote(), LINK);
    return y;
  });
  expect(memo.parts.map(({ step }) => step)).toEqual([8, 9]);
  expect(outputs.map(({ length }) => length)).toEqual([0, 1, 1]);
});
