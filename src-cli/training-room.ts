import { statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { leastKept } from "../src-engine/recompute.ts";
import type { Stage } from "../src-engine/stage.ts";
import { trainingBytes } from "../src-engine/training-memory.ts";
import type { Arithmetic } from "../src-protocol/arithmetic.ts";
import { Failure } from "../src-protocol/failure.ts";
import { size } from "../src-protocol/amounts.ts";

/** A process before it has anything to hold: Node, ONNX Runtime, their threads. */
const PROCESS_BYTES = 120e6;
/** Copies of the model's file in memory: a worker's own cache, its threads and what they read of it. */
const COPIES = { worker: 3, others: 4 };
/** This program, the daemon and the orchestrator. */
const OTHER_PROCESSES = 3;
/** Of this computer's memory, training takes at most so much. */
const MEMORY_SHARE = 0.75;
/** Bytes on disk for each parameter: float32 weight and moments in three snapshots and five checkpoints. */
const DISK_BYTES_PER_PARAMETER = 12 * 8;

/**
 * Bytes of memory that all processes of a training take together.
 *
 * @throws Failure `does-not-fit`
 */
export function mustFitMemory(stages: readonly Stage[], modelBytes: number, arithmetic: Arithmetic): number {
  const needed = stages.reduce(
    (sum, stage) => sum + trainingBytes(stage, leastKept(arithmetic)),
    (stages.length * COPIES.worker + COPIES.others) * modelBytes +
      (stages.length + OTHER_PROCESSES) * PROCESS_BYTES,
  );
  const available = Math.min(totalmem(), process.constrainedMemory() || Infinity) * MEMORY_SHARE;
  if (needed <= available) return needed;
  throw new Failure(
    "does-not-fit",
    `Training this model on this computer takes ${size(needed)} of memory, and it may take ${size(available)}, three quarters of what there is. ` +
      "Use a smaller --batch or --sequence, or a smaller model.",
  );
}

/** @throws Failure `disk-too-small` */
export function mustFitDisk(
  folder: string,
  { parameters, files }: { parameters: number; files: number },
): void {
  const { bavail, bsize } = statfsSync(folder);
  const needed = parameters * DISK_BYTES_PER_PARAMETER + files;
  if (needed <= bavail * bsize) return;
  throw new Failure(
    "disk-too-small",
    `Snapshots and checkpoints of this training take up to ${size(needed)} in ${dirname(folder)}, where ${size(bavail * bsize)} are free. ` +
      "Free some room, or name another data folder with TAH_HOME.",
  );
}
