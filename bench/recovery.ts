import { setTimeout as wait } from "node:timers/promises";
import { loadavg } from "node:os";
import type { BenchOptions, Progress } from "./bench.ts";
import { median } from "./median.ts";
import { ReplicaNetwork } from "./recovery-network.ts";

/** What goes wrong in each of the runs, by the stages whose first replica it happens to. */
const FAULTS = {
  "kill head": { stages: [0], signal: "SIGKILL", pauseMs: null },
  "kill middle": { stages: [1], signal: "SIGKILL", pauseMs: null },
  "kill tail": { stages: [2], signal: "SIGKILL", pauseMs: null },
  "kill head and tail": { stages: [0, 2], signal: "SIGKILL", pauseMs: null },
  "kill a whole stage": { stages: [1, 1], signal: "SIGKILL", pauseMs: null },
  "stop 4 s": { stages: [1], signal: "SIGSTOP", pauseMs: 4_000 },
  "stop 10 s": { stages: [1], signal: "SIGSTOP", pauseMs: 10_000 },
} as const;
type FaultName = keyof typeof FAULTS;

const STEP_WITHIN_MS = 180_000;
const WARM_STEPS = 4;

export interface RecoveryRow {
  readonly fault: string;
  readonly runs: number;
  /** From the fault to the next work of the stage; of a whole stage, to the next finished step. */
  readonly movingAgainMsP50: number;
  readonly movingAgainMsMax: number;
  readonly redoneByItsStage: number;
  readonly redoneByOthers: number;
}

export interface RecoveryResult {
  readonly rows: readonly RecoveryRow[];
  /** 1 minute, at the end: figures under load are longer. */
  readonly load: number;
}

/** Three stages of two replicas in six processes; every fault happens while a step is worked on. */
export async function benchRecovery(
  progress: Progress,
  { only, runs = 3 }: BenchOptions,
): Promise<RecoveryResult> {
  const names = Object.keys(FAULTS) as FaultName[];
  const chosen = only.length === 0 ? names : names.filter((name) => only.includes(name));
  const rows: RecoveryRow[] = [];
  for (const name of chosen) {
    const network = await ReplicaNetwork.start(3, 2);
    try {
      await network.whole(STEP_WITHIN_MS);
      await network.steps(WARM_STEPS, STEP_WITHIN_MS);
      const took: number[] = [];
      const before = network.redone();
      for (let run = 1; run <= runs; run++) {
        took.push(await once(network, name));
        progress(`${name}: run ${run} of ${runs}, ${Math.round(took.at(-1) ?? 0)} ms`);
      }
      const after = network.redone();
      rows.push({
        fault: name,
        runs,
        movingAgainMsP50: Math.round(median(took)),
        movingAgainMsMax: Math.round(Math.max(...took)),
        redoneByItsStage: after.byLostStages - before.byLostStages,
        redoneByOthers: after.byOthers - before.byOthers,
      });
    } finally {
      await network.end();
    }
  }
  return { rows, load: loadavg()[0] ?? 0 };
}

async function once(network: ReplicaNetwork, name: FaultName): Promise<number> {
  const { stages, signal, pauseMs } = FAULTS[name];
  await network.whole(STEP_WITHIN_MS);
  await network.steps(1, STEP_WITHIN_MS);
  // In the middle of a step, wherever that is.
  await wait(network.stepMs() * (0.2 + 0.5 * Math.random()));
  const victims = network.victims(stages);
  const from = network.moves();
  const at = performance.now();
  for (const { pid } of victims) process.kill(pid, signal);
  const back = pauseMs === null ? null : wait(pauseMs).then(() => network.resume(victims));
  await network.movedSince(from, STEP_WITHIN_MS);
  const ms = performance.now() - at;
  await back;
  if (signal === "SIGKILL") for (const victim of victims) await network.replace(victim);
  return ms;
}
