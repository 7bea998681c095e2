import type { FileHead } from "../disk/header-last.ts";
import type { StepPart } from "./step-memo.ts";

/** Where what is remembered of steps outlives the process. */
export interface KeptSteps {
  /** Where these sums are to be written; null: not this time. */
  place(sums: SumsToKeep): SumsPlace | null;
  /** This step and all after it go another way: what was written of them is believed by nobody any more. */
  forgetFrom(step: number): void;
}

export interface SumsToKeep extends Pick<StepPart, "step" | "link"> {
  /** Of micro-batches that are in them. */
  readonly count: number;
  /** In values. */
  readonly size: number;
  /** What all micro-batches of the step send to both neighbours. */
  readonly crossingBytes: number;
}

export interface SumsPlace {
  readonly file: FileHead;
  /** The sums are there. With the micro-batches that are in them they are believed. */
  done(part: StepPart): void;
  /** They could not be written. */
  failed(): void;
}
