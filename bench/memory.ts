import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../src-daemon/children/child.ts";
import { RECOMPUTE } from "../src-engine/recompute.ts";
import type { Recompute } from "../src-engine/recompute.ts";
import { Failure } from "../src-protocol/failure.ts";
import type { BenchOptions, Progress } from "./bench.ts";
import { median } from "./median.ts";
import { measureFolder } from "./memory-folder.ts";
import type { FolderMemory } from "./memory-folder.ts";
import { measureReplicas } from "./memory-replicas.ts";
import type { ReplicasMemory } from "./memory-replicas.ts";
import type { MemoryCase, MemoryStage } from "./memory-stage.ts";

/** 101 M parameters: two blocks of width 2048. */
const STAGE = { width: 2048, hidden: 5504, blocks: 2, tokens: 512 };
const ROUNDS = 5;

interface Measured extends MemoryStage {
  recompute: Recompute;
  /** Peak resident set without the stated activations and the program itself; 20 is promised. */
  bytesPerParameter: number;
  /** Below 1: less than was said before. */
  measuredOverPredicted: number;
}

interface StageMemory {
  bytesPerParameter: number;
  measuredOverPredicted: number;
  /** Time of a step that keeps the results of products, over one that computes them again. */
  selectiveOverFullTime: number;
  threads: number;
  tokens: number;
  stages: Measured[];
}

export interface MemoryResult {
  stage: StageMemory | null;
  /** A folder of Hugging Face of 1 GB (BENCH_FOLDER_GB: another size) in three stages, each in a process; Linux only. */
  folder: FolderMemory | null;
  /** Of a stage of 6.5 M parameters, with one and with two computers, in each class; Linux only. */
  replicas: readonly ReplicasMemory[] | null;
}

/** Bytes; beyond 2 GB no process could have read the file at once. */
const FOLDER_BYTES = Number(process.env["BENCH_FOLDER_GB"] ?? 1) * 1e9;

const PARTS = ["stage", "folder", "replicas"];

/** What training takes in memory, against what is said before it is accepted. */
export async function benchMemory(
  progress: Progress,
  { only }: Pick<BenchOptions, "only">,
): Promise<MemoryResult> {
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    throw new Failure("unknown-part", `"memory" has no part "${unknown}". It has: ${PARTS.join(", ")}.`);
  const isWanted = (part: string): boolean => only.length === 0 || only.includes(part);
  return {
    stage: isWanted("stage") ? await measureStage(progress) : null,
    folder:
      isWanted("folder") && process.platform === "linux"
        ? await measureFolder(FOLDER_BYTES, process.env["BENCH_FOLDER_TIED"] === "1", progress)
        : null,
    replicas: isWanted("replicas") && process.platform === "linux" ? await measureReplicas(progress) : null,
  };
}

/** A stage of 100 M parameters, trained by each way of recomputing. */
async function measureStage(progress: Progress): Promise<StageMemory> {
  const threads = availableParallelism();
  const children = await Promise.all(
    RECOMPUTE.map(async (recompute) => ({ recompute, child: await start({ ...STAGE, recompute, threads }) })),
  );
  const rounds: MemoryStage[][] = [];
  try {
    // The first round is warm-up; the two take turns, so that a slow moment meets both.
    for (let round = 0; round <= ROUNDS; round++) {
      const measured: MemoryStage[] = [];
      for (const { recompute, child } of children) {
        const stage = await step(child);
        measured.push(stage);
        progress(
          `${recompute}: ${Math.round(stage.msPerStep)} ms a step, peak ${Math.round(stage.peakRssBytes / 1e6)} MB of ${Math.round(stage.predictedBytes / 1e6)} MB`,
        );
      }
      if (round > 0) rounds.push(measured);
    }
  } finally {
    for (const { child } of children) child.disconnect();
  }
  const stages = children.map(({ recompute }, i) => measuredOf(recompute, rounds, i));
  const [full, selective] = RECOMPUTE.map((_, i) => rounds.map((round) => round[i]?.msPerStep ?? Number.NaN));
  return {
    bytesPerParameter: Math.max(...stages.map(({ bytesPerParameter }) => bytesPerParameter)),
    measuredOverPredicted: Math.max(...stages.map(({ measuredOverPredicted }) => measuredOverPredicted)),
    selectiveOverFullTime: rounded(median((selective ?? []).map((ms, i) => ms / (full?.[i] ?? ms)))),
    threads,
    tokens: STAGE.tokens,
    stages,
  };
}

function measuredOf(recompute: Recompute, rounds: readonly (readonly MemoryStage[])[], i: number): Measured {
  const last = rounds.at(-1)?.[i];
  if (last === undefined) throw new RangeError("nothing was measured");
  const stated = last.activationBytes + last.programBytes;
  return {
    recompute,
    ...last,
    msPerStep: Math.round(median(rounds.map((round) => round[i]?.msPerStep ?? Number.NaN))),
    bytesPerParameter: rounded((last.peakRssBytes - stated) / last.parameters),
    measuredOverPredicted: rounded(last.peakRssBytes / last.predictedBytes),
  };
}

async function start(stage: MemoryCase): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, "memory-stage.ts"), [JSON.stringify(stage)], {
    env: childEnvironment(process.env, process.platform),
  });
  await once(child, "message");
  return child;
}

async function step(child: ChildProcess): Promise<MemoryStage> {
  const answered = once(child, "message");
  child.send("step");
  const [measured] = (await answered) as [MemoryStage];
  return measured;
}

function rounded(ratio: number): number {
  return Number(ratio.toFixed(3));
}
