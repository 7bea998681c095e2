import { leastKept } from "../../src-engine/recompute.ts";
import type { Recompute } from "../../src-engine/recompute.ts";
import { trainingBytes } from "../../src-engine/training-memory.ts";
import type { Arithmetic } from "../../src-protocol/arithmetic.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { StageInfo } from "../compute/compute-call.ts";

/**
 * Node, ONNX Runtime, the links and the sessions of a stage before it holds anything: 110 to 140 MB
 * were measured on Linux.
 */
export const PROGRAM_BYTES = 150e6;

/** What stays free for the person at the computer, when there is a choice. */
const SPARED = 0.5;

interface Sized extends Pick<StageInfo, "memory" | "index" | "stages" | "isTail"> {
  readonly arithmetic: Arithmetic;
  /** What it keeps as one of its stage's replicas (`replicaBytes`); 0: it has the stage alone. */
  readonly replicaBytes: number;
}

/**
 * Whether so many states of steps before may lie in memory too, beside what training takes: then states need
 * not all go to the disk.
 */
export function hasRoomForStates(
  count: number,
  stage: Sized,
  recompute: Recompute,
  availableBytes: number,
  allowedBytes: number,
): boolean {
  return sparedBeside(count, stage, recompute, availableBytes, allowedBytes) >= 0;
}

/** What may be taken beside training and so many states of steps before, in bytes; negative: they are too much already. */
export function sparedBeside(
  count: number,
  stage: Sized,
  recompute: Recompute,
  availableBytes: number,
  allowedBytes: number,
): number {
  const bytes = predictedBytes(stage, recompute) + count * stage.memory[recompute].stateBytes;
  return Math.min(SPARED * availableBytes, allowedBytes) - bytes;
}

/** Whether so many bytes more may be taken of what is left while a stage is trained already. */
export function isSpared(bytes: number, availableBytes: number): boolean {
  return bytes <= SPARED * availableBytes;
}

/** The most memory that training a stage takes, in bytes: with the program, and what it keeps as a replica. */
export function predictedBytes(stage: Sized, recompute: Recompute): number {
  return PROGRAM_BYTES + stage.replicaBytes + trainingBytes(stage, recompute);
}

/**
 * Keeping the results of products is faster; it is chosen where it leaves half of the memory free and stays
 * within what the owner allows. In the class `exact` there is no choice (`leastKept`), only room or none.
 *
 * @throws Failure `stage-too-large` when the stage does not fit into what is available or allowed
 */
export function chooseRecompute(stage: Sized, availableBytes: number, allowedBytes = Infinity): Recompute {
  const kept = predictedBytes(stage, "selective");
  if (kept <= SPARED * availableBytes && kept <= allowedBytes) return "selective";
  const recompute = leastKept(stage.arithmetic);
  const least = predictedBytes(stage, recompute);
  if (least <= availableBytes && least <= allowedBytes) return recompute;
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  if (least > allowedBytes)
    throw new Failure(
      "stage-too-large",
      `Slice ${stage.index + 1} of ${stage.stages} needs ${gb(least)} of memory while it is trained, and you allow its worker ${gb(allowedBytes)}. ` +
        "Allow more (`tah rules set memory=4GB`), or let the run be cut into more slices.",
    );
  throw new Failure(
    "stage-too-large",
    `Slice ${stage.index + 1} of ${stage.stages} needs ${gb(least)} while it is trained, and this computer has ${gb(availableBytes)} free. ` +
      "Close other programs, or let the run be cut into more slices.",
  );
}
