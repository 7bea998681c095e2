import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyToPipeline, pipelineAt } from "./pipeline.ts";
import type { Job, PipelineEffect, PipelineEvent, PipelinePlan, PipelineState } from "./pipeline-event.ts";

const M = 6;
const EVALUATIONS = 2;

function planOf(stage: number, stages: number, hasTies: boolean): PipelinePlan {
  return { stage, stages, microBatches: M, evaluationMicroBatches: EVALUATIONS, hasTies };
}

/** Stages joined by queues, each finishing jobs when the test says so: no threads, no clock. */
class Toy {
  readonly stages: PipelineState<string>[];
  readonly links: { to: number; from: "previous" | "next"; event: PipelineEvent<string> }[] = [];
  readonly jobs: string[][];
  readonly told: PipelineEffect<string>[] = [];
  readonly totals: string[][];
  readonly saving = new Set<number>();
  mostInFlight = 0;
  mostGiven = 0;
  /** What was given together with an optimiser step or a tie, in order. */
  readonly together: { stage: number; jobs: string }[] = [];

  constructor(count: number, hasTies = false) {
    this.stages = Array.from({ length: count }, (_, stage) =>
      pipelineAt<string>(planOf(stage, count, hasTies), 0),
    );
    this.jobs = this.stages.map(() => []);
    this.totals = this.stages.map(() => []);
  }

  feed(stage: number, event: PipelineEvent<string>): void {
    const before = this.stages[stage];
    if (before === undefined) throw new Error(`no stage ${stage}`);
    const { state, effects } = applyToPipeline(event, before);
    this.stages[stage] = state;
    for (const effect of effects) {
      if (effect.type === "compute") this.jobs[stage]?.push(nameOf(effect.job));
      else if (effect.type === "save") this.saving.add(stage);
      else if (effect.type !== "send") this.told.push(effect);
      else {
        const { pass, step, microBatch, output } = effect;
        const to = stage + (effect.to === "next" ? 1 : -1);
        const from = effect.to === "next" ? "previous" : "next";
        this.links.push({
          to,
          from,
          event:
            pass === "tie"
              ? { type: "tied", from, step, input: output }
              : { type: "tensor", pass, step, microBatch, input: output },
        });
      }
    }
    this.mostGiven = Math.max(this.mostGiven, state.running.length);
    const isPass = ({ kind }: Job<string>): boolean => kind !== "optimise" && kind !== "tie";
    if (state.running.length > 1 && !state.running.every(isPass))
      this.together.push({ stage, jobs: state.running.map(nameOf).join() });
    const head = this.stages[0];
    if (head !== undefined) this.mostInFlight = Math.max(this.mostInFlight, head.sent - head.finished);
  }

  /** What could happen next, in any order: a job ends, a tensor arrives, a snapshot is on disk. */
  choices(): (() => void)[] {
    const arrivals = new Map<string, number>();
    // Each link keeps its order, so only the oldest tensor of each may arrive.
    for (const [i, { to, from }] of this.links.entries()) {
      const link = `${to} ${from}`;
      if (!arrivals.has(link)) arrivals.set(link, i);
    }
    return [
      ...[...arrivals.values()].map((index) => () => {
        const [arrived] = this.links.splice(index, 1);
        if (arrived !== undefined) this.feed(arrived.to, arrived.event);
      }),
      ...this.stages.flatMap(({ running: [job] }, stage) =>
        job === undefined ? [] : [() => this.#finish(stage, job)],
      ),
      ...[...this.saving].map((stage) => () => {
        this.saving.delete(stage);
        this.feed(stage, { type: "saved" });
      }),
    ];
  }

  /** A tied gradient names the stages whose part is in it. */
  #tie(stage: number, { input, add, set }: Extract<Job<string>, { kind: "tie" }>): string {
    const output = add ? [...(input === null ? [] : [input]), stage].join("+") : (input ?? "");
    if (set) this.totals[stage]?.push(output);
    return output;
  }

  #finish(stage: number, job: Job<string>): void {
    const givesLoss = job.kind === "tail" || job.kind === "loss";
    const leavesHead = stage === 0 && (job.kind === "backward" || job.kind === "tail");
    const last = job.kind === "optimise" || job.kind === "loss" || leavesHead;
    this.feed(stage, {
      type: "computed",
      output: last ? null : job.kind === "tie" ? this.#tie(stage, job) : nameOf(job),
      loss: givesLoss ? 1 : null,
      ms: 1,
    });
  }
}

function nameOf(job: Job<string>): string {
  return job.kind === "optimise" ? `optimise ${job.step}` : `${job.kind} ${job.step}/${job.microBatch}`;
}

function grant(toy: Toy, step: number, evaluations = 0): void {
  toy.feed(0, { type: "grant", step, microBatches: M, evaluations });
}

describe("the sync schedule", () => {
  it("works every micro-batch once on every stage, with the parameters of its own step, whatever comes first", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.infiniteStream(fc.nat()), (count, order) => {
        const toy = new Toy(count);
        grant(toy, 0, EVALUATIONS);
        grant(toy, 1);
        for (let choices = toy.choices(); choices.length > 0; choices = toy.choices()) {
          choices[(order.next().value ?? 0) % choices.length]?.();
        }
        expect(toy.told.filter(({ type }) => type === "trouble")).toEqual([]);
        for (const [stage, jobs] of toy.jobs.entries()) {
          expect(toy.stages[stage]?.step).toBe(2);
          expect(new Set(jobs).size).toBe(jobs.length);
          const first = jobs.indexOf("optimise 0");
          const steps = jobs.map((job) => Number(/ (\d+)/.exec(job)?.[1]));
          expect(steps.slice(0, first + 1).every((step) => step === 0)).toBe(true);
          expect(steps.slice(first + 1).every((step) => step === 1)).toBe(true);
          const worked = jobs.filter((job) => job.startsWith("backward") || job.startsWith("tail"));
          expect(worked).toHaveLength(2 * M);
          // The evaluation sees the parameters before the step: it comes before all training.
          const evaluated = jobs.findLastIndex((job) => job.startsWith("evaluate") || job.startsWith("loss"));
          expect(evaluated).toBe(EVALUATIONS - 1);
        }
        expect(toy.told.filter(({ type }) => type === "worked")).toHaveLength(2 * M * count);
        expect(toy.told.filter(({ type }) => type === "evaluated")).toEqual([
          { type: "evaluated", step: 0, loss: 1 },
        ]);
        expect(toy.mostInFlight).toBeLessThanOrEqual(count + 1);
        expect(toy.mostGiven).toBe(2);
        // An optimiser step goes with what comes first after it, at the head with the gradient before it, and with nothing else.
        const first = "optimise 0,(forward|tail) 1/0";
        const last = `(backward|tail) (\\d)/${M - 1},optimise \\4`;
        for (const { stage, jobs } of toy.together)
          expect(jobs).toMatch(new RegExp(`^(${stage === 0 ? `${first}|${last}` : first})$`));
      }),
      { numRuns: 60, seed: 5 },
    );
  });

  it("does not overwrite parameters whose snapshot is still being written", () => {
    const toy = new Toy(1);
    grant(toy, 0);
    grant(toy, 1);
    for (let i = 0; i < 2 * M + 1; i++) toy.choices()[0]?.();
    expect(toy.jobs[0]?.at(-1)).toBe(`tail 1/${M - 1}`);
    expect(toy.stages[0]?.saving).toBe(1);
    expect(toy.stages[0]?.running).toEqual([]);
    toy.feed(0, { type: "saved" });
    expect(toy.jobs[0]?.at(-1)).toBe("optimise 1");
  });

  it("runs a gradient before a micro-batch that came earlier", () => {
    const toy = new Toy(3);
    const middle = (event: PipelineEvent<string>): void => toy.feed(1, event);
    for (const microBatch of [0, 1, 2])
      middle({ type: "tensor", pass: "forward", step: 0, microBatch, input: "x" });
    middle({ type: "computed", output: "y", loss: null, ms: 1 });
    middle({ type: "tensor", pass: "forward", step: 0, microBatch: 3, input: "x" });
    middle({ type: "tensor", pass: "backward", step: 0, microBatch: 0, input: "dy" });
    middle({ type: "computed", output: "y", loss: null, ms: 1 });
    expect(toy.jobs[1]).toEqual(["forward 0/0", "forward 0/1", "forward 0/2", "backward 0/0"]);
  });

  const halfway = (ms: number): Toy => {
    const toy = new Toy(3);
    for (const microBatch of [0, 1, 2, 3])
      toy.feed(1, { type: "tensor", pass: "forward", step: 0, microBatch, input: "x" });
    toy.feed(1, { type: "computed", output: "y", loss: null, ms });
    return toy;
  };

  it("gives the compute thread a short job while it works on another one, and no third", () => {
    const toy = halfway(20);
    expect(toy.jobs[1]).toEqual(["forward 0/0", "forward 0/1", "forward 0/2"]);
    toy.feed(1, { type: "computed", output: "y", loss: null, ms: 20 });
    expect(toy.jobs[1]).toEqual(["forward 0/0", "forward 0/1", "forward 0/2", "forward 0/3"]);
  });

  it("gives the optimiser step with the last gradient, and the next step's first micro-batch with that", () => {
    const toy = new Toy(1);
    grant(toy, 0);
    grant(toy, 1);
    const finish = (): unknown => toy.feed(0, { type: "computed", output: null, loss: 1, ms: 1 });
    const given = (): string[] | undefined => toy.stages[0]?.running.map(nameOf);
    for (let i = 1; i < M; i++) finish();
    expect(given()).toEqual([`tail 0/${M - 1}`, "optimise 0"]);
    expect(toy.stages[0]?.step).toBe(0);
    finish();
    expect(given()).toEqual(["optimise 0", "tail 1/0"]);
    expect(toy.told.filter(({ type }) => type === "stepped")).toEqual([]);
    finish();
    expect(given()).toEqual(["tail 1/0", "tail 1/1"]);
    expect(toy.told.at(-1)).toEqual({ type: "stepped", step: 1, loss: 1, computeMs: M + 1 });
  });

  it("sends what the last gradient gives before it gives the optimiser step, and after any other job", () => {
    let state = pipelineAt<string>(planOf(1, 3, false), 0);
    const feed = (event: PipelineEvent<string>): string[] => {
      const outcome = applyToPipeline(event, state);
      state = outcome.state;
      return outcome.effects.map(({ type }) => type);
    };
    const computed = (): string[] => feed({ type: "computed", output: "y", loss: null, ms: 1 });
    const effects: string[][] = [];
    for (let microBatch = 0; microBatch < M; microBatch++) {
      feed({ type: "tensor", pass: "forward", step: 0, microBatch, input: "x" });
      computed();
      feed({ type: "tensor", pass: "backward", step: 0, microBatch, input: "dy" });
      effects.push(computed());
    }
    expect(effects.at(-1)).toEqual(["send", "worked", "compute"]);
    expect(feed({ type: "tensor", pass: "forward", step: 1, microBatch: 0, input: "x" })).toEqual([
      "compute",
    ]);
    expect(feed({ type: "tensor", pass: "forward", step: 1, microBatch: 1, input: "x" })).toEqual([]);
    expect(computed()).toEqual(["compute", "stepped", "save"]);
  });

  it("gives long jobs one by one, and the first: whoever stops waits for what was given", () => {
    const toy = new Toy(1);
    grant(toy, 0);
    expect(toy.jobs[0]).toEqual(["tail 0/0"]);
    expect(halfway(3_000).jobs[1]).toEqual(["forward 0/0", "forward 0/1"]);
  });
});

describe("tied parameters", () => {
  it("get the sum over all stages before any of them takes its step", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), fc.infiniteStream(fc.nat()), (count, order) => {
        const toy = new Toy(count, true);
        grant(toy, 0);
        grant(toy, 1);
        for (let choices = toy.choices(); choices.length > 0; choices = toy.choices()) {
          choices[(order.next().value ?? 0) % choices.length]?.();
        }
        expect(toy.told.filter(({ type }) => type === "trouble")).toEqual([]);
        const all = Array.from({ length: count }, (_, i) => count - 1 - i).join("+");
        for (const [stage, jobs] of toy.jobs.entries()) {
          expect(toy.stages[stage]?.step).toBe(2);
          const ends = jobs.filter((job) => /^(tie|optimise)/.test(job));
          const tie = stage === 0 ? ["tie"] : ["tie", "tie"];
          expect(ends.map((job) => job.split(" ")[0])).toEqual([...tie, "optimise", ...tie, "optimise"]);
          expect(toy.totals[stage]).toEqual([all, all]);
        }
      }),
      { numRuns: 60, seed: 6 },
    );
  });

  it("are refused from a neighbour that has no turn", () => {
    const tied = (from: "previous" | "next", step = 0): PipelineEvent<string> => ({
      type: "tied",
      from,
      step,
      input: "x",
    });
    for (const [hasTies, ...events] of [
      [false, tied("next")],
      [true, tied("previous")],
      [true, tied("next", 1)],
      [true, tied("next"), tied("next")],
    ] as [boolean, ...PipelineEvent<string>[]][]) {
      const toy = new Toy(3, hasTies);
      for (const event of events) toy.feed(1, event);
      expect(toy.told).toMatchObject([{ type: "trouble", code: "out-of-order" }]);
    }
  });
});

describe("a peer that breaks the protocol", () => {
  const tensor = (
    pass: "forward" | "backward" | "evaluate",
    step: number,
    microBatch: number,
  ): PipelineEvent<string> => ({
    type: "tensor",
    pass,
    step,
    microBatch,
    input: "x",
  });
  /** The first micro-batch has been worked on and sent. */
  const SENT: PipelineEvent<string>[] = [
    tensor("forward", 0, 0),
    { type: "computed", output: "y", loss: null, ms: 1 },
  ];
  it.each([
    ["sends a micro-batch twice", [tensor("forward", 0, 0), tensor("forward", 0, 0)]],
    ["skips a micro-batch", [tensor("forward", 0, 1)]],
    ["runs ahead by a step", [tensor("forward", 1, 0)]],
    ["returns a gradient for what it never got", [tensor("backward", 0, 0)]],
    ["returns a gradient of another step", [...SENT, tensor("backward", 1, 0)]],
    ["returns a gradient twice", [...SENT, tensor("backward", 0, 0), tensor("backward", 0, 0)]],
    ["evaluates in the middle of a step", [tensor("forward", 0, 0), tensor("evaluate", 0, 0)]],
    ["floods this stage", [0, 1, 2, 3, 4].map((microBatch) => tensor("forward", 0, microBatch))],
    [
      "grants a step to a stage that is not the head",
      [{ type: "grant", step: 0, microBatches: M, evaluations: 0 }],
    ],
  ] as [string, PipelineEvent<string>[]][])(
    "%s: trouble is told once and nothing more is done",
    (_, events) => {
      const toy = new Toy(3);
      for (const event of events) toy.feed(1, event);
      expect(toy.told.filter(({ type }) => type === "trouble")).toHaveLength(1);
      toy.feed(1, tensor("forward", 0, 0));
      expect(toy.stages[1]?.stopped).toBe(true);
    },
  );
});
