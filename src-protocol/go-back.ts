import { z } from "zod";
import { sessionKey, ss58Address } from "./keys.ts";
import { networkId } from "./networks.ts";

/** A computer that has gone, and has newer work on its disk than those that are here. */
export const awaitedComputer = z.strictObject({
  sessionKey,
  hotkey: ss58Address,
  /** 0-based: what it would bring back. */
  stage: z.int().nonnegative(),
  /** Unix milliseconds. */
  goneAt: z.int().nonnegative(),
});

/** A run stands still until its operator says whether this much work is given up. */
export const goBackQuestion = z.strictObject({
  /** Newest step that all slices can be brought back to by who is there. */
  resumeStep: z.int().nonnegative(),
  lostSteps: z.int().positive(),
  /** Who would bring it back; left out: that is not known. */
  awaited: z.array(awaitedComputer).optional(),
});
export type GoBackQuestion = z.infer<typeof goBackQuestion>;

/** What is given up, as it was read in the question: by the time that this comes it may be another one. */
export const goBackRequest = goBackQuestion.pick({ resumeStep: true, lostSteps: true });
export type GoBackRequest = z.infer<typeof goBackRequest>;

/** What a network asks, and by which name people know it. */
export const askedOperator = z.strictObject({
  id: networkId,
  network: z.string(),
  ...goBackQuestion.shape,
});
export type AskedOperator = z.infer<typeof askedOperator>;

/** `GET /question` of an operator's desk; null: nothing is asked. */
export const askedAnswer = z.strictObject({ asked: askedOperator.nullable() });
export type AskedAnswer = z.infer<typeof askedAnswer>;
