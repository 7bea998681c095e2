import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import { explain } from "../src-protocol/reason-text.ts";
import type { DaemonState, HistoryPoint } from "../src-protocol/state.ts";
import type { ApiClient } from "./api-client.ts";
import { pidsOf } from "./daemon-process.ts";
import type { DaemonProcess } from "./daemon-process.ts";

/** What is known of a training so far; null: not yet. */
export interface TrainingFigures {
  readonly step: number;
  readonly lossFirst: number | null;
  readonly lossLast: number | null;
  readonly heldOutLossBefore: number | null;
  readonly heldOutLossAfter: number | null;
  readonly tokensPerSecond: number | null;
  /** Most processes of the network seen alive at one time: daemon, orchestrator, workers. */
  readonly processes: number;
}

export interface FollowOptions {
  readonly steps: number;
  readonly checkpointEverySteps: number;
  /** The newest step that can be read from disk. */
  storedStep(): number | null;
  /** Of each stage, the names of its parameters. */
  readonly parameters: readonly (readonly string[])[];
  say(text: string): void;
}

/** A large model's first step may take so long, and every later one too. */
const STUCK_MS = 15 * 60_000;
/** After the last step its checkpoint goes from the workers' disks to the orchestrator's. */
const LAST_CHECKPOINT_MS = 5 * 60_000;
/** The same of a training that breaks: what it keeps does not depend on how soon that is seen. */
const BROKEN_CHECKPOINT_MS = 60_000;
/** Of a run's or node's words: trouble that the same step has again. */
const BROKEN = /(Slice \d+ had trouble: (?:gradient|tensor)-not-finite\..*?) \((\d+) times in a row\)/;
const SAME_FAILURES = 3;
const SAY_EVERY_MS = 2_000;
const COUNT_EVERY_MS = 200;
const LOOK_EVERY_MS = 20;

/** Follows a daemon's run. What was seen can be asked for at any time, also after it broke. */
export class FollowedTraining {
  readonly #daemon: DaemonProcess;
  readonly #options: FollowOptions;
  #run: DaemonState["run"] = null;
  #first: HistoryPoint | null = null;
  #last: HistoryPoint | null = null;
  #processes = 0;
  #movedAt = performance.now();
  #saidAt = 0;
  #countedAt = 0;
  #brokeAt: number | null = null;

  constructor(daemon: DaemonProcess, options: FollowOptions) {
    this.#daemon = daemon;
    this.#options = options;
  }

  /**
   * Resolves when the last step is done and stored, or `interrupted()` says so.
   *
   * @throws Failure `daemon-ended`, `training-stuck`, or the daemon's own problem
   */
  async toTheEnd(client: ApiClient, interrupted: () => boolean): Promise<void> {
    let state = await client.follow({
      onState: (next) => (state = next),
      onPoint: (point) => this.#point(point),
    });
    let ended = false;
    void client.closed.then(() => (ended = true));
    while (!interrupted()) {
      const broken = this.#look(state);
      if (broken !== null && this.#isKept(state.run?.step ?? 0)) throw broken;
      if (state.run?.phase === "finished" && this.#isStored()) break;
      if (ended) throw new Failure("daemon-ended", "The daemon ended before the training did.");
      await wait(LOOK_EVERY_MS);
    }
    if (interrupted()) return;
    const { points } = await client.call("run.history", { maxPoints: 2 });
    this.#first = points.at(0) ?? this.#first;
    this.#last = points.at(-1) ?? this.#last;
  }

  figures(): TrainingFigures {
    const [first, last, run] = [this.#first, this.#last, this.#run];
    const isFinished = run?.phase === "finished";
    const steps = (last?.step ?? 0) - (first?.step ?? 0);
    const ms = (last?.at ?? 0) - (first?.at ?? 0);
    return {
      step: last?.step ?? 0,
      lossFirst: rounded(first?.loss),
      lossLast: rounded(last?.loss),
      heldOutLossBefore: rounded(run?.heldOutLossAtStart),
      heldOutLossAfter: isFinished ? rounded(run.heldOutLoss) : null,
      tokensPerSecond: run && ms > 0 ? Math.round((run.tokensPerStep * steps * 1000) / ms) : null,
      processes: this.#processes,
    };
  }

  #point(point: HistoryPoint): void {
    this.#movedAt = performance.now();
    this.#first ??= point;
    this.#last = point;
  }

  #isStored(): boolean {
    if (this.#options.storedStep() === this.#options.steps) return true;
    return performance.now() - this.#movedAt > LAST_CHECKPOINT_MS;
  }

  /** Of a training that breaks before `step + 1`, the newest state that it was to store is stored, or does not come. */
  #isKept(step: number): boolean {
    const { checkpointEverySteps, storedStep } = this.#options;
    const due = step - (step % checkpointEverySteps);
    this.#brokeAt ??= performance.now();
    return (storedStep() ?? 0) >= due || performance.now() - this.#brokeAt > BROKEN_CHECKPOINT_MS;
  }

  /** Why it breaks, if it does. */
  #look(state: DaemonState): Failure | null {
    const now = performance.now();
    this.#run = state.run ?? this.#run;
    if (state.problem !== null) throw new Failure(state.problem.code, state.problem.message);
    // On battery, for example: it goes on by itself.
    const pause = state.decision.action === "pause" ? explain(state.decision, Date.now()) : null;
    if (pause !== null) this.#movedAt = now;
    if (now - this.#movedAt > STUCK_MS && state.run?.phase !== "finished")
      throw new Failure(
        "training-stuck",
        `No step was finished for a quarter of an hour: ${state.run?.detail ?? ""} ${state.node.detail}`,
      );
    const broken = this.#breaks(state);
    if (broken !== null || state.run === null) return broken;
    // Counting costs a file and a few system calls: not at every look, but also in a run of a second.
    if (now - this.#countedAt > COUNT_EVERY_MS) {
      this.#countedAt = now;
      this.#processes = Math.max(this.#processes, pidsOf(this.#daemon.living()).length);
    }
    if (now - this.#saidAt < SAY_EVERY_MS) return null;
    this.#saidAt = now;
    this.#options.say(pause ?? this.#line(state.run, state.node.detail));
    return null;
  }

  /** A step whose numbers are no numbers would be done again without end. */
  #breaks({ run }: DaemonState): Failure | null {
    const [, trouble = "", times] = BROKEN.exec(run?.detail ?? "") ?? [];
    if (!(Number(times) >= SAME_FAILURES)) return null;
    return new Failure(
      "training-broken",
      `Step ${(run?.step ?? 0) + 1} broke ${times} times in the same way. ${trouble}${namesBehind(trouble, this.#options.parameters)} The model computes with what is no number (a division by 0, the root or logarithm of 0), or the learning rate is too high: training ends.`,
    );
  }

  #line(run: NonNullable<DaemonState["run"]>, nodeDetail: string): string {
    const { step, loss, heldOutLoss, tokensPerSecond, phase, detail } = run;
    const parts = [`step ${step} of ${this.#options.steps}`];
    if (loss !== null) parts.push(`loss ${loss.toFixed(3)}`);
    if (heldOutLoss !== null) parts.push(`held out ${heldOutLoss.toFixed(3)}`);
    if (tokensPerSecond !== null) parts.push(`${Math.round(tokensPerSecond)} tokens/s`);
    if (phase === "finished") parts.push("storing the last state");
    else if (phase !== "training") parts.push(detail, nodeDetail);
    return parts.join(" · ");
  }
}

const MOST_NAMED = 4;

/** What travels between stages has no name; the parameters that it was computed with, or that it reaches, have. */
function namesBehind(trouble: string, parameters: FollowOptions["parameters"]): string {
  const [, stage, from] =
    /^Slice (\d+) .*tensor-not-finite\..* from the (previous|next) stage/.exec(trouble) ?? [];
  if (stage === undefined) return "";
  const isGradient = from === "next";
  const names = isGradient
    ? parameters.slice(0, Number(stage)).flat().reverse()
    : (parameters[Number(stage) - 2] ?? []);
  if (names.length === 0) return "";
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  const listed = names.slice(0, MOST_NAMED).join(", ") + more;
  return isGradient ? ` So the gradient is no number in ${listed}.` : ` It was computed with ${listed}.`;
}

function rounded(loss: number | null | undefined): number | null {
  return loss === null || loss === undefined ? null : Math.round(loss * 10_000) / 10_000;
}
