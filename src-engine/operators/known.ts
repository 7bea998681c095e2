import { Failure } from "../../src-protocol/failure.ts";
import type { Tensor } from "../tensor.ts";

/** The numbers of an input that ONNX takes as a tensor and that must be known when building. */
export function known(tensor: Tensor): readonly number[] {
  if (tensor.value) return tensor.value;
  throw new Failure(
    "bad-shape",
    "A shape, size or axis is computed by the graph. Fix it to a constant: shapes are static.",
  );
}

/** Of the positions that a rule writes into the graph one by one: larger than any vocabulary, 4 MiB as a constant. */
export const LARGEST_LISTED = 2 ** 20;

/**
 * Asked before memory is taken for a list of `count` positions.
 *
 * @throws Failure `model-too-large`
 */
export function listable(what: string, count: number): void {
  if (count <= LARGEST_LISTED) return;
  throw new Failure(
    "model-too-large",
    `${what} over ${count} positions, which would be written into the graph one by one; at most ${LARGEST_LISTED} are.`,
  );
}
