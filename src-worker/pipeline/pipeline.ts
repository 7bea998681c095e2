import type {
  Job,
  Outcome,
  Pass,
  PipelineEffect,
  PipelineEvent,
  PipelinePlan,
  PipelineState,
  Work,
} from "./pipeline-event.ts";
import { mostGiven } from "../stage/given-ahead.ts";

/**
 * One stage in one generation of the sync schedule, as a pure machine: events in, effects out. It
 * owns the order of work; what a tensor is, how it travels and who computes is none of its business.
 *
 * The rules: a micro-batch is worked on only with the parameters of its own step, so what comes
 * early waits; gradients go before new micro-batches, since they set memory and peers free; the
 * head keeps at most `stages + 1` micro-batches in flight; after `M` gradients the optimiser step
 * follows at once, but never before the snapshot of the parameters it overwrites is on disk. Short
 * jobs are given ahead, one while another is computed: so nothing waits for a word between them, nor,
 * at the head, between the last gradient, the optimiser step and the next step's first micro-batch.
 */

const UNTIED = { added: false, isDone: false, arrived: null };

export function pipelineAt<X>(plan: PipelinePlan, step: number): PipelineState<X> {
  return {
    plan,
    step,
    forwards: [],
    backwards: [],
    running: [],
    lastMs: Number.POSITIVE_INFINITY,
    due: { step, forward: 0, evaluate: 0 },
    sent: 0,
    returned: 0,
    finished: 0,
    saving: null,
    lossSum: 0,
    evaluation: { count: 0, sum: 0 },
    tie: UNTIED,
    computeMs: 0,
    closing: null,
    stopped: false,
  };
}

export function applyToPipeline<X>(event: PipelineEvent<X>, state: PipelineState<X>): Outcome<X> {
  if (state.stopped) return { state, effects: [] };
  const first = take(event, state);
  const second = startNext(first.state);
  const third = startNext(second.state);
  const next = [...second.effects, ...third.effects];
  const optimises = next.some((effect) => effect.type === "compute" && effect.job.kind === "optimise");
  // The next jobs first: they start while the last one's output is digested and sent. For an optimiser step nobody waits
  // yet, but for what its last gradient gives.
  const effects = optimises ? [...first.effects, ...next] : [...next, ...first.effects];
  return { state: third.state, effects };
}

function take<X>(event: PipelineEvent<X>, state: PipelineState<X>): Outcome<X> {
  switch (event.type) {
    case "grant":
      return takeGrant(event, state);
    case "tensor":
      return event.pass === "backward" ? takeGradient(event, state) : takeActivations(event, state);
    case "tied":
      return takeTied(event, state);
    case "computed": {
      const outcome = takeResult(event, state);
      return { ...outcome, state: turned(outcome.state) };
    }
    case "saved":
      if (state.saving === null) return { state, effects: [] };
      return { state: { ...state, saving: null }, effects: [{ type: "saved", step: state.saving }] };
  }
}

type Of<X, T extends PipelineEvent<X>["type"]> = Extract<PipelineEvent<X>, { type: T }>;

function takeGrant<X>(
  { step, microBatches, evaluations }: Of<X, "grant">,
  state: PipelineState<X>,
): Outcome<X> {
  const { plan, due } = state;
  if (plan.stage !== 0)
    return trouble(state, "not-the-head", `A grant for step ${step} came to stage ${plan.stage}.`);
  const whole = microBatches === 0 || microBatches === plan.microBatches;
  if (step !== due.step || !whole || evaluations > plan.evaluationMicroBatches) {
    return trouble(
      state,
      "bad-grant",
      `Step ${step} was granted with ${microBatches} micro-batches and ${evaluations} evaluations; step ${due.step} is due.`,
    );
  }
  const work = (pass: Pass, count: number): Work<X>[] =>
    Array.from({ length: count }, (_, microBatch) => ({ pass, step, microBatch, input: null }));
  return {
    state: {
      ...state,
      due: microBatches === 0 ? due : { step: step + 1, forward: 0, evaluate: 0 },
      forwards: [...state.forwards, ...work("evaluate", evaluations), ...work("forward", microBatches)],
    },
    effects: [],
  };
}

function takeActivations<X>(
  { pass, step, microBatch, input }: Of<X, "tensor">,
  state: PipelineState<X>,
): Outcome<X> {
  const { plan, due } = state;
  const isEvaluation = pass === "evaluate";
  const expected = isEvaluation ? due.evaluate : due.forward;
  const tooLate = isEvaluation && due.forward > 0;
  if (step !== due.step || microBatch !== expected || tooLate) {
    return trouble(
      state,
      "out-of-order",
      `Micro-batch ${microBatch} of step ${step} (${pass}) came; ${expected} of step ${due.step} is due.`,
    );
  }
  const held = state.sent - state.finished + state.forwards.filter((work) => work.pass === "forward").length;
  if (!isEvaluation && held > plan.stages) {
    return trouble(
      state,
      "too-many-micro-batches",
      `The previous stage sent more than ${plan.stages + 1} micro-batches at once.`,
    );
  }
  return {
    state: {
      ...state,
      due: afterArrival(plan, due, isEvaluation),
      forwards: [...state.forwards, { pass, step, microBatch, input }],
    },
    effects: [],
  };
}

function afterArrival<X>(
  plan: PipelinePlan,
  due: PipelineState<X>["due"],
  isEvaluation: boolean,
): PipelineState<X>["due"] {
  if (isEvaluation) return { ...due, evaluate: (due.evaluate + 1) % plan.evaluationMicroBatches };
  if (due.forward + 1 === plan.microBatches) return { step: due.step + 1, forward: 0, evaluate: 0 };
  return { ...due, forward: due.forward + 1 };
}

function takeGradient<X>(
  { pass, step, microBatch, input }: Of<X, "tensor">,
  state: PipelineState<X>,
): Outcome<X> {
  if (step !== state.step || microBatch !== state.returned || state.returned >= state.sent) {
    return trouble(
      state,
      "out-of-order",
      `A gradient for micro-batch ${microBatch} of step ${step} came; ${state.returned} of step ${state.step} is due.`,
    );
  }
  return {
    state: {
      ...state,
      returned: state.returned + 1,
      backwards: [...state.backwards, { pass, step, microBatch, input }],
    },
    effects: [],
  };
}

/** Also for a part of them: what is due stays so until the last part has come. */
export function isTieDue<X>(
  { plan, tie, ...state }: PipelineState<X>,
  from: "previous" | "next",
  step: number,
): boolean {
  const isOpen = plan.hasTies && step === state.step && tie.arrived === null && !tie.isDone;
  return isOpen && tie.added === (from === "previous");
}

/** The sum so far comes from the next stage, and later the whole from the previous one. */
function takeTied<X>({ from, step, input }: Of<X, "tied">, state: PipelineState<X>): Outcome<X> {
  const { tie } = state;
  if (!isTieDue(state, from, step)) {
    return trouble(
      state,
      "out-of-order",
      `Tied gradients of step ${step} came from the ${from} stage, where none are due.`,
    );
  }
  return { state: { ...state, tie: { ...tie, arrived: input } }, effects: [] };
}

function takeResult<X>({ output, loss, ms }: Of<X, "computed">, before: PipelineState<X>): Outcome<X> {
  const [job, ...running] = before.running;
  const state = { ...before, running, lastMs: ms, computeMs: before.computeMs + ms };
  if (job === undefined) return { state, effects: [] };
  const { plan } = state;
  switch (job.kind) {
    case "forward":
    case "evaluate":
      return { state, effects: sendTo("next", job, output) };
    case "loss": {
      const count = state.evaluation.count + 1;
      const sum = state.evaluation.sum + (loss ?? Number.NaN);
      if (count < plan.evaluationMicroBatches)
        return { state: { ...state, evaluation: { count, sum } }, effects: [] };
      return {
        state: { ...state, evaluation: { count: 0, sum: 0 } },
        effects: [{ type: "evaluated", step: job.step, loss: sum / count }],
      };
    }
    case "tail":
    case "backward": {
      const worked: PipelineEffect<X> = { type: "worked", step: job.step, microBatch: job.microBatch };
      return {
        state: { ...state, finished: state.finished + 1, lossSum: state.lossSum + (loss ?? 0) },
        effects: [...sendTo("previous", { ...job, pass: "backward" }, output), worked],
      };
    }
    case "tie": {
      const effects = sendTo(job.set ? "next" : "previous", job, output);
      const hasNext = plan.stage < plan.stages - 1;
      return {
        state: { ...state, tie: { added: true, isDone: job.set, arrived: null } },
        effects: job.set && !hasNext ? [] : effects,
      };
    }
    case "optimise": {
      const step = job.step + 1;
      const { lossSum, computeMs } = before.closing ?? before;
      const isTail = plan.stage === plan.stages - 1;
      const meanLoss = isTail ? lossSum / plan.microBatches : null;
      return {
        state: { ...before, running, lastMs: ms, closing: null, saving: step },
        effects: [
          { type: "stepped", step, loss: meanLoss, computeMs: computeMs + ms },
          { type: "save", step },
        ],
      };
    }
  }
}

/** Where the optimiser step is what the compute thread does now, what is given next belongs to the step after it. */
function turned<X>(state: PipelineState<X>): PipelineState<X> {
  if (state.running[0]?.kind !== "optimise" || state.closing !== null) return state;
  const { step, lossSum, computeMs } = state;
  return {
    ...state,
    step: step + 1,
    sent: 0,
    returned: 0,
    finished: 0,
    lossSum: 0,
    tie: UNTIED,
    computeMs: 0,
    closing: { lossSum, computeMs },
  };
}

function sendTo<X>(
  to: "previous" | "next",
  { pass, step, microBatch }: Work<X>,
  output: X | null,
): PipelineEffect<X>[] {
  return output === null ? [] : [{ type: "send", to, pass, step, microBatch, output }];
}

function startNext<X>(state: PipelineState<X>): Outcome<X> {
  if (state.stopped || state.running.length >= mostGiven(state.lastMs)) return { state, effects: [] };
  const { plan, step } = state;
  const start = (job: Job<X>, changed: Partial<PipelineState<X>> = {}): Outcome<X> => ({
    state: { ...state, ...changed, running: [...state.running, job] },
    effects: [{ type: "compute", job }],
  });
  const adding = state.running.filter(({ kind }) => kind === "backward" || kind === "tail").length;
  const isDone = state.finished + adding === plan.microBatches;
  if (isDone && plan.hasTies && !state.tie.isDone) {
    const { added, arrived } = state.tie;
    const isTail = plan.stage === plan.stages - 1;
    if (state.running.length > 0 || (arrived === null && (added || !isTail))) return { state, effects: [] };
    const work = { pass: "tie", step, microBatch: 0, input: arrived } as const;
    return start({ ...work, kind: "tie", add: !added, set: added || plan.stage === 0 });
  }
  if (isDone) {
    const isGiven = state.running.some(({ kind }) => kind === "optimise");
    // What the last gradient gives to the stage before is what others wait for: its sending gets the processor.
    const isAwaited = plan.stage > 0 && state.running.length > 0;
    if (isGiven || isAwaited || state.saving !== null) return { state, effects: [] };
    const { state: started, effects } = start({ kind: "optimise", step });
    return { state: turned(started), effects };
  }
  const [gradient, ...otherGradients] = state.backwards;
  if (gradient !== undefined) return start({ ...gradient, kind: "backward" }, { backwards: otherGradients });
  const [work, ...forwards] = state.forwards;
  if (work === undefined || work.step !== step) return { state, effects: [] };
  const isTail = plan.stage === plan.stages - 1;
  if (work.pass === "evaluate") return start({ ...work, kind: isTail ? "loss" : "evaluate" }, { forwards });
  const inFlight = state.sent - state.finished;
  if (plan.stage === 0 && inFlight > plan.stages) return { state, effects: [] };
  return start({ ...work, kind: isTail ? "tail" : "forward" }, { forwards, sent: state.sent + 1 });
}

function trouble<X>(state: PipelineState<X>, code: string, message: string): Outcome<X> {
  return { state: { ...state, stopped: true }, effects: [{ type: "trouble", code, message }] };
}
