import { setTimeout as wait } from "node:timers/promises";
import { availableParallelism, loadavg } from "node:os";
import type { BenchOptions, Progress } from "./bench.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { LossAlone } from "./loss-alone.ts";
import { median } from "./median.ts";
import { ReplicaNetwork } from "./recovery-network.ts";
import type { PassAgain } from "./recovery-network.ts";

interface Fault {
  /** Whose first replica it happens to; a stage that is named twice gives two. */
  readonly stages: readonly number[];
  readonly does:
    | { readonly type: "kill"; readonly isStartedAgain?: boolean }
    | { readonly type: "stop"; readonly ms: number }
    /** It gets a fifth of the processor, for so long. */
    | { readonly type: "slow"; readonly ms: number }
    | { readonly type: "orchestrator" }
    /** All stand still for a moment, and so much later it is by the wall clock. */
    | { readonly type: "sleep"; readonly ms: number }
    /** Its busiest link, in a way that its ends notice. */
    | { readonly type: "cut" }
    /** One bit of what comes to it next. */
    | { readonly type: "corrupt" }
    /** It says once that it came to another result. */
    | { readonly type: "lie" };
  /** Of each stage; left out: two. */
  readonly replicas?: number;
}

/** What goes wrong in each of the runs. */
const FAULTS = {
  "kill head": { stages: [0], does: { type: "kill" } },
  "kill middle": { stages: [1], does: { type: "kill" } },
  "kill tail": { stages: [2], does: { type: "kill" } },
  "kill head and tail": { stages: [0, 2], does: { type: "kill" } },
  // As the daemon of each does: it starts another process at once.
  "kill a whole stage": { stages: [1, 1], does: { type: "kill", isStartedAgain: true } },
  // Nobody comes in their place until the others go on, with what they have.
  "a whole stage gone": { stages: [1, 1], does: { type: "kill" } },
  "kill the orchestrator": { stages: [], does: { type: "orchestrator" } },
  "stop 4 s": { stages: [1], does: { type: "stop", ms: 4_000 } },
  "stop 10 s": { stages: [1], does: { type: "stop", ms: 10_000 } },
  "stop 60 s": { stages: [1], does: { type: "stop", ms: 60_000 } },
  "cut link": { stages: [1], does: { type: "cut" } },
  "corrupt frame": { stages: [1], does: { type: "corrupt" } },
  "five times slower": { stages: [1], does: { type: "slow", ms: 20_000 } },
  // Of three, so that two agree.
  "wrong digest": { stages: [1], does: { type: "lie" }, replicas: 3 },
  "an hour asleep": { stages: [], does: { type: "sleep", ms: 3_600_000 } },
} as const satisfies Record<string, Fault>;
type FaultName = keyof typeof FAULTS;

/** Slices of time in which a slow node stands still, four of five. */
const SLICE_MS = 20;
const STEP_WITHIN_MS = 180_000;
const WARM_STEPS = 4;
const RUNS = 20;
const STAGES = 3;
const MOST_TOLD = 100;
/** A connection that has lasted is looked for at once when it is gone (control.ts). */
const STEADY_MS = 5_000;
/** Clocks that nobody sets stand still in a sleep: shortly, so that these nearly do. */
const ASLEEP_MS = 300;

export interface RecoveryRow {
  readonly fault: string;
  readonly runs: number;
  /** From the fault to the next work of the stage; where none was lost, or all of it, to the next finished step. */
  readonly movingAgainMsP50: number;
  readonly movingAgainMsMax: number;
  /** How often a stage lost a replica. */
  readonly losses: number;
  /** Steps that were finished and had to be done again. */
  readonly stepsLost: number;
  /** Micro-batches that the orchestrator has counted again; one that begins anew knows nothing of what was before it. */
  readonly redoneByItsStage: number;
  readonly redoneByOthers: number;
  /** Passes of a micro-batch that compute threads were given beyond what the finished steps take, over all generations. */
  readonly passesAgainByItsStage: number;
  readonly passesAgainByOthers: number;
  /** Which these were; a step that some were told with before its own comes with too few. */
  readonly othersAgain: readonly PassAgain[];
  /** Null: it was stopped before. */
  readonly receiptsLost: number | null;
  /** Of all told losses, the largest to training undisturbed in one process: none, in the class exact; nats. */
  readonly lossDifference: number | null;
  readonly lossesCompared: number;
  /** With the way back to all replicas. */
  readonly secondsPerRun: number;
  /** 1 minute, at the end: figures under load are longer. */
  readonly load: number;
}

export interface RecoveryResult {
  readonly rows: readonly RecoveryRow[];
  /** It was interrupted (Ctrl-C): these are the faults, and the runs of the last one, that were done before. */
  readonly isStopped: boolean;
  /** Faults from which the network did not come back in time. */
  readonly stuck: readonly { readonly fault: string; readonly message: string }[];
  /** 1 minute, at the end: figures under load are longer. */
  readonly load: number;
}

/**
 * Three stages of two replicas in six processes; every fault happens while a step is worked on. In the class exact:
 * sums of floats in another order lead `fast` away from itself, 3e-2 after 120 steps without any fault.
 */
export async function benchRecovery(
  progress: Progress,
  { only, runs = RUNS }: BenchOptions,
): Promise<RecoveryResult> {
  const names = Object.keys(FAULTS) as FaultName[];
  const unknown = only.filter((name) => !Object.hasOwn(FAULTS, name));
  if (unknown.length > 0)
    throw new Failure(
      "bad-option",
      `There is no fault "${unknown[0] ?? ""}". There are: ${names.join(", ")}.`,
    );
  const chosen = only.length === 0 ? names : names.filter((name) => only.includes(name));
  const rows: RecoveryRow[] = [];
  const stuck: { fault: string; message: string }[] = [];
  let alone: LossAlone | null = null;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  for (const name of chosen) {
    if (stop.signal.aborted) break;
    const { stages, does, replicas = 2 }: Fault = FAULTS[name];
    const network = await ReplicaNetwork.start({
      stages: STAGES,
      replicas,
      size: "default",
      arithmetic: "exact",
      isProxied: does.type === "cut" || does.type === "corrupt",
      mayLie: does.type === "lie",
      maySleep: does.type === "sleep",
      tellsPasses: true,
      signal: stop.signal,
    });
    const others = Array.from({ length: STAGES }, (_, stage) => stage).filter(
      (stage) => !stages.includes(stage),
    );
    const took: number[] = [];
    let began = performance.now();
    let before = network.redone();
    let { recoveries, work } = network;
    const measured = (): Omit<RecoveryRow, "receiptsLost" | "lossDifference" | "lossesCompared"> => {
      const after = network.redone();
      const again = network.workSince(work);
      const byItsStage = sum(again.passes.filter((_, stage) => stages.includes(stage)));
      return {
        fault: name,
        runs: took.length,
        movingAgainMsP50: Math.round(median(took)),
        movingAgainMsMax: Math.round(Math.max(...took)),
        losses: network.recoveries - recoveries,
        stepsLost: again.stepsLost,
        redoneByItsStage: after.byLostStages - before.byLostStages,
        redoneByOthers: after.byOthers - before.byOthers,
        passesAgainByItsStage: byItsStage,
        passesAgainByOthers: sum(again.passes) - byItsStage,
        othersAgain: network.againSince(work, others).slice(0, MOST_TOLD),
        secondsPerRun: Math.round((performance.now() - began) / took.length / 100) / 10,
        load: loadavg()[0] ?? 0,
      };
    };
    const tell = (row: RecoveryRow): void => {
      rows.push(row);
      // What was measured is not lost with a fault that comes after it.
      progress(JSON.stringify(row));
    };
    try {
      await network.whole(STEP_WITHIN_MS);
      await network.steps(WARM_STEPS, STEP_WITHIN_MS);
      [began, before] = [performance.now(), network.redone()];
      ({ recoveries, work } = network);
      for (let run = 1; run <= runs; run++) {
        took.push(await once(network, name, stop.signal));
        const losses = network.recoveries - recoveries;
        progress(
          `${name}: run ${run} of ${runs}, ${Math.round(took.at(-1) ?? 0)} ms, ${losses} put aside so far`,
        );
      }
      await network.whole(STEP_WITHIN_MS);
      // Passes are told apart by steps of all replicas, that have an end.
      await network.steps(1, STEP_WITHIN_MS);
      const row = { ...measured(), receiptsLost: await network.receiptsLost() };
      // One process has the processors to itself.
      await network.end();
      // All faults happen to the same training.
      alone ??= new LossAlone(network.spec, network.corpus, availableParallelism());
      const { points } = network;
      const lossDifference = await alone.differenceOf(points, stop.signal);
      tell({ ...row, lossDifference, lossesCompared: points.length });
    } catch (error) {
      if (stop.signal.aborted) {
        if (took.length > 0)
          tell({ ...measured(), receiptsLost: null, lossDifference: null, lossesCompared: 0 });
        continue;
      }
      // The other faults are still worth their time.
      stuck.push({ fault: name, message: failureBody(error).message });
      progress(JSON.stringify(stuck.at(-1)));
    } finally {
      await network.end();
    }
  }
  await alone?.end();
  return { rows, isStopped: stop.signal.aborted, stuck, load: loadavg()[0] ?? 0 };
}

async function once(network: ReplicaNetwork, name: FaultName, signal: AbortSignal): Promise<number> {
  const { stages, does }: Fault = FAULTS[name];
  await network.whole(STEP_WITHIN_MS);
  if (does.type === "orchestrator") await wait(STEADY_MS, undefined, { signal });
  await network.steps(1, STEP_WITHIN_MS);
  // In the middle of a step, wherever that is.
  await wait(network.stepMs() * (0.2 + 0.5 * Math.random()));
  const victims = network.victims(stages);
  if (does.type === "sleep") {
    network.stopAll();
    // What they had said before is heard.
    await wait(ASLEEP_MS);
  }
  const from = network.moves();
  const at = performance.now();
  const replace = async (): Promise<void> => {
    for (const victim of victims) await network.replace(victim);
  };
  const isStartedAgain = does.type === "kill" && does.isStartedAgain === true;
  const over = happens(network, does, victims, signal).then(isStartedAgain ? replace : undefined);
  const moved = network.movedSince(from, STEP_WITHIN_MS).then(() => performance.now() - at);
  const [ms] = await Promise.all([moved, over]);
  if (does.type === "kill" && !isStartedAgain) await replace();
  return ms;
}

async function happens(
  network: ReplicaNetwork,
  does: Fault["does"],
  victims: ReturnType<ReplicaNetwork["victims"]>,
  signal: AbortSignal,
): Promise<void> {
  switch (does.type) {
    case "kill":
      for (const { pid } of victims) process.kill(pid, "SIGKILL");
      return;
    case "stop":
      for (const { pid } of victims) process.kill(pid, "SIGSTOP");
      await wait(does.ms, undefined, { signal });
      return network.resume(victims);
    case "slow":
      for (let ms = 0; ms < does.ms; ms += 5 * SLICE_MS) {
        for (const { pid } of victims) process.kill(pid, "SIGSTOP");
        await wait(4 * SLICE_MS, undefined, { signal });
        network.resume(victims);
        await wait(SLICE_MS);
      }
      return;
    case "orchestrator":
      return await network.killOrchestrator();
    case "sleep":
      return network.wakeAll(does.ms);
    case "cut":
      for (const victim of victims) network.proxyOf(victim).cut();
      return;
    case "corrupt":
      for (const victim of victims) network.proxyOf(victim).corrupt();
      return;
    case "lie":
      for (const { pid } of victims) process.kill(pid, "SIGUSR2");
      return;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
