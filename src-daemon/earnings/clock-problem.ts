import { Failure } from "../../src-protocol/failure.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";

/** Code of a refusal because of the clock; its sentence says by how many seconds. */
export const STALE_REQUEST = "stale-request";

/** What the owner is told when the network refuses requests because of this computer's clock; null: it is something else. */
export function clockProblem(error: unknown): FailureBody | null {
  if (!(error instanceof Failure) || error.code !== STALE_REQUEST) return null;
  return {
    code: "clock-wrong",
    message: `${error.message} Training goes on meanwhile, and nothing that was earned is lost.`,
  };
}
