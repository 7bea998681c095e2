import { Failure } from "../../src-protocol/failure.ts";

/**
 * What a model file may ask for. Each is checked before memory is taken, so that a file of a few
 * bytes cannot claim gigabytes.
 */
export const IMPORT_LIMITS = {
  /** Protobuf's own limit; larger models keep their parameters in external data files. */
  fileBytes: 2 ** 31 - 1,
  nodes: 200_000,
  initializers: 100_000,
  inputsPerNode: 10_000,
  /** Ifs inside of branches of Ifs. */
  branchDepth: 8,
  rank: 8,
  /** Elements of one tensor, parameter or activation: 8 GiB in float32. */
  tensorElements: 2 ** 31,
  /** Elements of one constant that is computed while importing. */
  constantElements: 2 ** 22,
  /** Elements of all constants of one import together: 128 MiB. */
  allConstantElements: 2 ** 24,
} as const;

/** Counts what constants have taken, and refuses before it is too much. */
export class ConstantBudget {
  #left: number = IMPORT_LIMITS.allConstantElements;

  /** @throws Failure `model-too-large` */
  take(elements: number): void {
    if (!(elements <= IMPORT_LIMITS.constantElements)) {
      throw new Failure(
        "model-too-large",
        `A constant of ${elements} numbers is computed in the model; at most ${IMPORT_LIMITS.constantElements} are taken. ` +
          "Export the model for a shorter sequence, or with this table as an input.",
      );
    }
    this.#left -= elements;
    if (this.#left < 0) {
      throw new Failure(
        "model-too-large",
        `The model's constants take more than ${IMPORT_LIMITS.allConstantElements} numbers. ` +
          "Export it for a shorter sequence, or with constant folding.",
      );
    }
  }
}

/**
 * A shape from a file, with its sizes in bounds.
 *
 * @throws Failure `bad-model-file` for sizes that are not counts, `model-too-large` beyond the limits
 */
export function checkedShape(what: string, sizes: readonly (number | bigint)[]): number[] {
  if (sizes.length > IMPORT_LIMITS.rank) {
    throw new Failure(
      "model-too-large",
      `${what} has ${sizes.length} dimensions; at most ${IMPORT_LIMITS.rank} are taken. Reshape it before exporting.`,
    );
  }
  const shape = sizes.map(Number);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new Failure(
      "bad-model-file",
      `${what} has the shape [${shape}], which is not one of a tensor. The file is damaged: export it again.`,
    );
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  if (elements > IMPORT_LIMITS.tensorElements) {
    throw new Failure(
      "model-too-large",
      `${what} has ${elements} elements; at most ${IMPORT_LIMITS.tensorElements} are taken. Use a smaller batch or sequence.`,
    );
  }
  return shape;
}
