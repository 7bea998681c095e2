import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "../src-protocol/failure.ts";
import type { DaemonState, HistoryPoint } from "../src-protocol/state.ts";
import type { ApiClient } from "./api-client.ts";
import { pidsOf } from "./daemon-process.ts";
import type { DaemonProcess } from "./daemon-process.ts";

/** What the demo proves, in figures. */
export interface DemoResult {
  readonly steps: number;
  readonly stages: number;
  /** Most processes of the network seen alive at one time: daemon, orchestrator, workers. */
  readonly processes: number;
  readonly lossFirst: number;
  readonly lossLast: number;
  readonly heldOutLoss: number;
  readonly tokensPerSecond: number;
  readonly receipts: number;
  readonly earnedRao: number;
  /** From the kill to the next finished step; with replicas, see `movingAgainMs`. */
  readonly recoveredMs?: number;
  /** From the kill to the next work of the stage that lost a replica. */
  readonly movingAgainMs?: number;
  /** Micro-batches that were done again, by the stage that lost a replica and by others. */
  readonly redone?: NonNullable<DaemonState["run"]>["redone"];
  /** Computers that hold each stage at the end. */
  readonly replicas?: readonly number[];
}

export interface DemoOptions {
  readonly steps: number;
  /** Kill one neighbour half-way. */
  readonly kill: boolean;
  say(text: string): void;
}

/** Longer than anything takes of which nothing is told meanwhile, also on a computer that is busy. */
const STUCK_MS = 180_000;
const SAY_EVERY_MS = 2_000;
const LOOK_EVERY_MS = 20;
/** Receipts go in bundles, and the daemon asks for earnings every three seconds. */
const EARNINGS_SETTLED_MS = 6_000;
const EARNINGS_DEADLINE_MS = 15_000;

/** Follows a daemon through its run to the end. */
export async function followDemo(
  daemon: DaemonProcess,
  client: ApiClient,
  options: DemoOptions,
): Promise<DemoResult> {
  const progress = new Progress(daemon, options);
  let state = await client.follow({
    onState: (next) => (state = next),
    onPoint: (point) => progress.point(point),
  });
  let ended = false;
  void client.closed.then(() => (ended = true));
  while (state.run?.phase !== "finished") {
    progress.look(state);
    if (ended) throw new Failure("daemon-ended", "The daemon ended before the run did.");
    await wait(LOOK_EVERY_MS);
  }
  await settled(() => state.earnings.receipts);
  const { points } = await client.call("run.history", { maxPoints: 5000 });
  return progress.result(state, points);
}

/** Where a stage has replicas, a lost one's part is done again by its stage alone; null: it was so. */
export function brokenPromise({ redone }: Pick<DemoResult, "redone">): Failure | null {
  const count = redone?.byOthers ?? 0;
  if (count === 0) return null;
  return new Failure(
    "demo-redone",
    `${count} micro-batches were done again by stages that had lost nobody: only the killed neighbour's stage should repeat its part. Please report this with the figures above.`,
  );
}

class Progress {
  readonly #daemon: DaemonProcess;
  readonly #options: DemoOptions;
  #processes = 0;
  #movedAt = performance.now();
  /** What was told last of how far it is. */
  #told = "";
  #saidAt = 0;
  #step = -1;
  #kill: { at: number; recoveries: number } | null = null;
  #recoveredMs: number | null = null;

  constructor(daemon: DaemonProcess, options: DemoOptions) {
    this.#daemon = daemon;
    this.#options = options;
  }

  point({ step }: HistoryPoint): void {
    this.#movedAt = performance.now();
    this.#step = step;
  }

  look(state: DaemonState): void {
    const now = performance.now();
    const { node, run } = state;
    const told = JSON.stringify([node.phase, node.detail, node.loading, run?.phase, run?.detail]);
    if (told !== this.#told) this.#movedAt = now;
    this.#told = told;
    if (state.problem !== null) throw new Failure(state.problem.code, state.problem.message);
    if (now - this.#movedAt > STUCK_MS)
      throw new Failure(
        "demo-stuck",
        `Nothing has gone on for three minutes: ${state.run?.detail ?? state.node.detail}`,
      );
    if (state.run === null) return;
    this.#killHalfWay(state.run, now);
    if (now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    // Counting costs a file and a few system calls: not at every look.
    this.#processes = Math.max(this.#processes, pidsOf(this.#daemon.living()).length);
    this.#options.say(this.#line(state.run));
  }

  result(state: DaemonState, points: readonly HistoryPoint[]): DemoResult {
    const { run, earnings } = state;
    const first = points.at(0);
    const last = points.at(-1);
    if (run === null || first === undefined || last === undefined)
      throw new Failure("demo-no-steps", "The run has ended without a finished step.");
    if (this.#options.kill && this.#recoveredMs === null)
      throw new Failure("demo-no-recovery", "The killed neighbour was not noticed before the run ended.");
    const tokens = run.tokensPerStep * (last.step - first.step);
    return {
      steps: last.step,
      stages: run.stages.length,
      processes: this.#processes,
      lossFirst: rounded(first.loss),
      lossLast: rounded(last.loss),
      heldOutLoss: rounded(run.heldOutLoss ?? Number.NaN),
      tokensPerSecond: Math.round((tokens * 1000) / Math.max(1, last.at - first.at)),
      receipts: earnings.receipts,
      earnedRao: Number(BigInt(earnings.accruedRao) + BigInt(earnings.claimedRao)),
      ...(this.#recoveredMs === null
        ? {}
        : { [run.redone === undefined ? "recoveredMs" : "movingAgainMs"]: Math.round(this.#recoveredMs) }),
      ...(run.redone === undefined
        ? {}
        : { redone: run.redone, replicas: run.stages.map(({ replicas }) => replicas?.live ?? 0) }),
    };
  }

  #killHalfWay(run: NonNullable<DaemonState["run"]>, now: number): void {
    if (this.#kill === null) {
      if (!this.#options.kill || this.#step < this.#options.steps / 2) return;
      const neighbour = this.#daemon.living().workers.find(({ name }) => name.startsWith("neighbour"));
      if (neighbour === undefined) return;
      process.kill(neighbour.pid, "SIGKILL");
      this.#kill = { at: now, recoveries: run.recoveries };
      this.#options.say(`step ${this.#step}: killed ${neighbour.name} (process ${neighbour.pid})`);
    } else if (this.#recoveredMs === null && run.recoveries > this.#kill.recoveries) {
      this.#recoveredMs = now - this.#kill.at;
      this.#options.say(`step ${this.#step}: going on after ${Math.round(this.#recoveredMs)} ms`);
    }
  }

  #line({
    step,
    loss,
    heldOutLoss,
    tokensPerSecond,
    phase,
    detail,
  }: NonNullable<DaemonState["run"]>): string {
    const parts = [`step ${step} of ${this.#options.steps}`];
    if (loss !== null) parts.push(`loss ${loss.toFixed(3)}`);
    if (heldOutLoss !== null) parts.push(`held out ${heldOutLoss.toFixed(3)}`);
    if (tokensPerSecond !== null) parts.push(`${Math.round(tokensPerSecond)} tokens/s`);
    if (phase !== "training") parts.push(detail);
    return parts.join(" · ");
  }
}

/** Waits until a count has not changed for a while: the last receipts are counted after the last step. */
async function settled(count: () => number): Promise<void> {
  const deadline = performance.now() + EARNINGS_DEADLINE_MS;
  let seen = count();
  let since = performance.now();
  while (performance.now() - since < EARNINGS_SETTLED_MS && performance.now() < deadline) {
    await wait(LOOK_EVERY_MS);
    if (count() === seen) continue;
    seen = count();
    since = performance.now();
  }
}

function rounded(loss: number): number {
  return Math.round(loss * 10_000) / 10_000;
}
