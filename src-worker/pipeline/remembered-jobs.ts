import type { Activations, StageInfo } from "../compute/compute-call.ts";
import type { Compute } from "../compute/compute.ts";
import { release } from "../compute/compute-call.ts";
import { giveJob, runJob } from "../stage/stage-job.ts";
import type { JobAnswer } from "../stage/stage-job.ts";
import type { Samples } from "../stage/stage-samples.ts";
import type { Crossing } from "../stage/tensor-message.ts";
import type { KeptSteps, SumsPlace } from "./kept-steps.ts";
import type { TensorJob } from "./pipeline-event.ts";
import type { StepMemo, StepPart, Worked } from "./step-memo.ts";
import { WritingPace } from "./writing-pace.ts";

export interface JobPorts {
  readonly compute: Pick<Compute, "call">;
  readonly samples: Samples;
  readonly memo: StepMemo;
  /** Of the chain at a step; null: not known yet. */
  readonly linkAt: (step: number) => string | null;
  /** Of a step. */
  readonly microBatches: number;
  /** Some of its sums get those of other stages before the optimiser step: see `StageInfo.ties`. */
  readonly sharesSums: boolean;
  /** See `StageInfo`. */
  readonly boundaryBytes: StageInfo["boundaryBytes"];
  /** Where steps outlive the process; null: there is no such place. */
  readonly files: () => KeptSteps | null;
}

export interface Done extends JobAnswer {
  /** Resolves when it is remembered; the next job may begin before. */
  readonly noted: Promise<void>;
}

/** The sums after a micro-batch. */
interface NotedSums {
  readonly id: number;
  /** Null: they are not written this time. */
  readonly place: SumsPlace | null;
}

type Written = Promise<SumsPlace | null>;

/** A step that was worked on before, as far as it goes the same way again. */
interface Replay {
  readonly part: StepPart;
  /** In their order: should the ways part, they have to be computed after all. */
  readonly answered: TensorJob<Crossing>[];
}

/**
 * Jobs of a stage, computed or remembered. A job is answered from the memo when its input has the digest of before;
 * when the last of them is, the sums are set to what they were then. With the first input that is another one, all
 * that was answered is computed after all: a sum has nothing in it that is not of this way.
 */
export class RememberedJobs {
  readonly #ports: JobPorts;
  /** Outputs that are not in the memo yet. */
  readonly #held = new Set<Activations>();
  #replay: Replay | null = null;
  /** Steps are looked up once: from then on the replay, or its absence, stands. */
  #lookedUp = -1;
  /** All of the step is answered from the memo, as far as it has come. */
  #isSameWay = false;
  #isOver = false;
  /** The micro-batch that is to be remembered next; null: of this step none is any more. */
  #next: number | null = null;
  readonly #pace = new WritingPace();
  /** One at a time: of two files the other one stays whole. */
  #isWriting = false;
  /** One after another: what is being written must not be given back. */
  #noting: Promise<void> = Promise.resolve();
  /** One after another: what is asked of the compute thread is asked in the order of the jobs. */
  #giving: Promise<unknown> = Promise.resolve();

  constructor(ports: JobPorts) {
    this.#ports = ports;
  }

  /** May be called while other jobs are under way: it begins after them, and ends before them if it is remembered. */
  async run(job: TensorJob<Crossing>): Promise<Done> {
    return await this.#inTurn(async () => await this.#give(job));
  }

  /** As `run`, for the optimiser step after all micro-batches of a step. */
  async optimise<T>(step: number, give: () => Promise<T>): Promise<T> {
    return await this.#inTurn(async () => {
      this.#finished(step);
      const done = give();
      // Told to whoever waits for it.
      done.catch(() => undefined);
      return { done };
    });
  }

  async #inTurn<T>(give: () => Promise<{ readonly done: Promise<T> }>): Promise<T> {
    const given = this.#giving.then(give);
    this.#giving = given.catch(() => undefined);
    return await (
      await given
    ).done;
  }

  async #give(job: TensorJob<Crossing>): Promise<{ readonly done: Promise<Done> }> {
    const { compute, samples, memo } = this.#ports;
    const isRemembered = job.pass !== "evaluate" && job.pass !== "tie" && !memo.isOff;
    if (isRemembered) this.#lookUp(job.step);
    const known = isRemembered ? await this.#remembered(job) : null;
    if (known !== null) return { done: Promise.resolve({ answer: known, ms: 0, noted: Promise.resolve() }) };
    const sums = isRemembered && job.kind !== "forward" ? this.#nextSums(job) : null;
    const { answered } = await giveJob(compute, job, samples, sums?.id);
    if (!isRemembered) return { done: answered.then((answer) => ({ ...answer, noted: Promise.resolve() })) };
    const written = this.#write(sums?.place ?? null);
    // Told where it is noted.
    written.catch(() => undefined);
    return { done: this.#done(job, answered, sums, written) };
  }

  /** Asked for before the next job begins, so that nothing else is in them. Null: they are not written. */
  async #write(place: SumsPlace | null): Written {
    if (place === null) return null;
    this.#pace.begins();
    this.#isWriting = true;
    const { answer, ms } = await this.#ports.compute.call("writeSums", { file: place.file });
    this.#pace.took(ms);
    if (answer.isWritten) return place;
    place.failed();
    return null;
  }

  async #done(
    job: TensorJob<Crossing>,
    answered: Promise<JobAnswer>,
    sums: NotedSums | null,
    written: Written,
  ): Promise<Done> {
    const { memo } = this.#ports;
    const x = job.input?.sha256 ?? null;
    const { answer, ms } = await answered;
    if (this.#isOver) return { answer, ms, noted: Promise.resolve() };
    this.#pace.worked(ms);
    const output = "output" in answer ? answer.output : null;
    if (output !== null) this.#held.add(output);
    if (job.kind === "forward") {
      memo.sent(job.step, job.microBatch, { x, y: output });
      return { answer, ms, noted: Promise.resolve() };
    }
    const loss = "loss" in answer ? answer.loss : null;
    return { answer, ms, noted: this.#note(job, { dx: output, loss }, sums, written) };
  }

  /** All of its micro-batches were given, or are remembered: the optimiser step follows. */
  #finished(step: number): void {
    this.#replay = null;
    // What followed on another way is not what follows now, and no input says which way the sums of others went.
    if (!this.#isSameWay || this.#ports.sharesSums) this.#ports.memo.forgetFrom(step + 1);
  }

  /** Something went wrong that doing the same again would repeat. Nothing is remembered from here on. */
  forget(): void {
    this.#isOver = true;
    this.#replay = null;
    this.#ports.memo.clear();
  }

  /** Whether the array is still needed when it has been sent. */
  isHeld(values: Activations): boolean {
    return this.#held.has(values) || this.#ports.memo.holds(values);
  }

  #lookUp(step: number): void {
    if (this.#lookedUp === step) return;
    this.#lookedUp = step;
    const part = this.#ports.memo.at(step);
    this.#replay = part === null ? null : { part, answered: [] };
    this.#isSameWay = part?.worked.length === this.#ports.microBatches;
    this.#next = part?.worked.length ?? 0;
  }

  async #remembered(job: TensorJob<Crossing>): Promise<JobAnswer["answer"] | null> {
    const worked = this.#replay?.part.worked[job.microBatch];
    if (this.#replay === null || worked === undefined) return this.#sentBefore(job);
    const { part, answered } = this.#replay;
    const due = job.kind === "backward" ? worked.dy : worked.x;
    if (due !== (job.input?.sha256 ?? null)) {
      await this.#computeAfterAll(answered, job.step);
      return null;
    }
    const isLast = job.kind !== "forward" && job.microBatch === part.worked.length - 1;
    if (isLast && !(await this.#recalled(part))) {
      await this.#computeAfterAll(answered, job.step);
      return null;
    }
    answered.push(job);
    if (job.kind === "forward") return { output: worked.y };
    if (isLast) this.#replayed();
    return job.kind === "tail"
      ? { loss: worked.loss ?? Number.NaN, output: worked.dx }
      : { output: worked.dx };
  }

  /** It was on its way when the step was begun anew, and its input is still where its gradient will ask for it. */
  #sentBefore({ kind, step, microBatch, input }: TensorJob<Crossing>): JobAnswer["answer"] | null {
    const pass = kind === "forward" ? this.#ports.memo.sentAt(step, microBatch) : null;
    if (pass === null || pass.x !== (input?.sha256 ?? null)) return null;
    if (input !== null) release(input.values);
    if (pass.y !== null) this.#held.add(pass.y);
    return { output: pass.y };
  }

  async #recalled({ sums }: StepPart): Promise<boolean> {
    const { compute } = this.#ports;
    if (typeof sums === "number") return (await compute.call("recallSums", { id: sums })).answer.isThere;
    const values = sums.slice();
    await compute.call("setGradients", { values }, [values.buffer]);
    return true;
  }

  #replayed(): void {
    for (const job of this.#replay?.answered ?? []) if (job.input !== null) release(job.input.values);
    this.#replay = null;
  }

  async #computeAfterAll(jobs: readonly TensorJob<Crossing>[], step: number): Promise<void> {
    const { compute, samples, memo } = this.#ports;
    this.#replay = null;
    this.#isSameWay = false;
    this.#next = null;
    memo.forgetFrom(step);
    for (const job of jobs) {
      const { answer } = await runJob(compute, job, samples);
      if ("output" in answer && answer.output !== null) release(answer.output);
    }
  }

  /** Null: the micro-batch is not the one that is to be remembered next. */
  #nextSums({ step, microBatch }: TensorJob<Crossing>): NotedSums | null {
    const { memo, boundaryBytes, microBatches, files } = this.#ports;
    if (microBatch !== this.#next) return null;
    this.#next = microBatch + 1;
    const id = memo.nextNote();
    const place = this.#pace.isDue && !this.#isWriting ? files() : null;
    const kept = {
      step,
      link: this.#linkOf(step),
      count: microBatch + 1,
      size: memo.sumCount,
      crossingBytes: microBatches * (boundaryBytes.in + boundaryBytes.out),
    };
    return { id, place: place?.place(kept) ?? null };
  }

  #linkOf(step: number): string | null {
    return this.#ports.memo.at(step)?.link ?? this.#ports.linkAt(step);
  }

  #note(
    job: TensorJob<Crossing>,
    { dx, loss }: Pick<Worked, "dx" | "loss">,
    sums: NotedSums | null,
    written: Written,
  ): Promise<void> {
    const { memo } = this.#ports;
    const { step, microBatch } = job;
    const digest = job.input?.sha256 ?? null;
    const forward = memo.returned(step, microBatch);
    const worked =
      job.kind === "tail"
        ? { x: digest, y: null, dy: null, dx, loss }
        : { x: forward?.x ?? null, y: forward?.y ?? null, dy: digest, dx, loss };
    const noted = (async (): Promise<void> => {
      await this.#noting;
      const place = await written;
      if (sums !== null && !this.#isOver) {
        const part = memo.add(step, microBatch, worked, sums.id, this.#linkOf(step));
        if (part !== null) place?.done(part);
        if (sums.place !== null) this.#isWriting = false;
      }
      for (const each of [worked.y, dx]) if (each !== null) this.#held.delete(each);
    })();
    this.#noting = noted.catch(() => undefined);
    return noted;
  }
}
