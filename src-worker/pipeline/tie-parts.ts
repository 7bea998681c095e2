import { Failure } from "../../src-protocol/failure.ts";
import type { Activations, StageInfo } from "../compute/compute-call.ts";
import type { Neighbour } from "./receipts.ts";
import { tiePartsOf } from "../stage/tensor-message.ts";

/** The gradients of tied parameters in parts that fit into a frame each, and put together again. */
export class TieParts {
  readonly #sizes: readonly number[];
  readonly #arrived: Record<Neighbour, { values: Activations; parts: number } | null> = {
    previous: null,
    next: null,
  };

  constructor(stage: Pick<StageInfo, "ties" | "input" | "output">) {
    this.#sizes = tiePartsOf(stage);
  }

  split(values: Activations): Activations[] {
    let offset = 0;
    return this.#sizes.map((size) => {
      offset += size;
      return values.subarray(offset - size, offset);
    });
  }

  /** The whole, with its last part; null before. Parts come in order: links keep it. */
  arrived(from: Neighbour, part: number, values: Activations): Activations | Failure | null {
    const total = this.#sizes.reduce((sum, size) => sum + size, 0);
    const found = this.#arrived[from] ?? { values: new Float32Array(total), parts: 0 };
    if (part !== found.parts) {
      return new Failure(
        "out-of-order",
        `Part ${part} of the tied gradients came from the ${from} stage; part ${found.parts} is due.`,
      );
    }
    found.values.set(
      values,
      this.#sizes.slice(0, part).reduce((sum, size) => sum + size, 0),
    );
    found.parts += 1;
    const isWhole = found.parts === this.#sizes.length;
    this.#arrived[from] = isWhole ? null : found;
    return isWhole ? found.values : null;
  }
}
