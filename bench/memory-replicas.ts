import { readFileSync } from "node:fs";
import { leastKept } from "../src-engine/recompute.ts";
import { replicaBytes, sumValues, tiedValues } from "../src-engine/replica-memory.ts";
import { stagesOf } from "../src-engine/stages.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import { DEFAULT_MODEL } from "../src-protocol/model.ts";
import { predictedBytes } from "../src-worker/stage/memory-budget.ts";
import type { Progress } from "./bench.ts";
import { ReplicaNetwork } from "./recovery-network.ts";

/** What a stage's computers held at most, in processes as the daemon starts them. */
export interface ReplicasMemory {
  readonly arithmetic: Arithmetic;
  /** Of each stage; 1: it is a plain pipeline. */
  readonly replicas: number;
  readonly microBatches: number;
  readonly parameters: number;
  /** What the program said before, and of that, what replicas keep. */
  readonly statedBytes: number;
  readonly replicaBytes: number;
  /** Of the one that held most. */
  readonly peakBytes: number;
}

/** Two stages of 6.5 M parameters. */
const MODEL = { ...DEFAULT_MODEL, width: 512, hidden: 1376, heads: 8, blocks: 4 };
const STAGES = 2;
/** The tail. */
const STAGE = 1;
const STEPS = 4;
const WITHIN_MS = 120_000;
const CASES = [1, 2].flatMap((replicas) =>
  (["fast", "exact"] as const).map((arithmetic) => ({ arithmetic, replicas })),
);

/** One and two computers for each stage, in both classes. */
export async function measureReplicas(progress: Progress): Promise<readonly ReplicasMemory[]> {
  if (process.platform !== "linux")
    throw new Failure(
      "bench-needs-linux",
      "What a process held at most is read from /proc, which only Linux has.",
    );
  const measured: ReplicasMemory[] = [];
  for (const each of CASES) {
    const memory = await measure(each);
    const mb = (bytes: number): number => Math.round(bytes / 1e6);
    progress(
      `${each.arithmetic}, ${each.replicas} for each slice: ${mb(memory.peakBytes)} MB of ${mb(memory.statedBytes)} MB, ${mb(memory.replicaBytes)} MB of it as a replica`,
    );
    measured.push(memory);
  }
  return measured;
}

async function measure({ arithmetic, replicas }: (typeof CASES)[number]): Promise<ReplicasMemory> {
  const network = await ReplicaNetwork.start({
    stages: STAGES,
    replicas,
    size: "default",
    model: MODEL,
    arithmetic,
  });
  try {
    if (replicas > 1) await network.whole(WITHIN_MS);
    await network.steps(STEPS, WITHIN_MS);
    const peakBytes = Math.max(...network.processesOf(STAGE).map(mostHeld));
    const { spec: run } = network;
    const stages = stagesOf(run, null);
    const stage = stages[STAGE];
    if (stage === undefined) throw new RangeError("there is no such stage");
    const boundaryBytes = stage.boundaryBytes.in + stage.boundaryBytes.out;
    const shared = { run, values: sumValues(stage), tiedValues: tiedValues(stages), boundaryBytes, replicas };
    const asReplica = replicas === 1 ? 0 : replicaBytes(shared);
    return {
      arithmetic,
      replicas,
      microBatches: run.microBatches,
      parameters: stage.parameterCount,
      statedBytes: predictedBytes({ ...stage, arithmetic, replicaBytes: asReplica }, leastKept(arithmetic)),
      replicaBytes: asReplica,
      peakBytes,
    };
  } finally {
    await network.end();
  }
}

/** VmHWM is the most until now. */
function mostHeld(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}
