import { Failure } from "../src-protocol/failure.ts";

/** The owner did not want to wait. */
export function interrupted(): Failure {
  return new Failure(
    "interrupted",
    "Interrupted while the data was read, before anything was trained. Starting again goes on from there.",
  );
}
