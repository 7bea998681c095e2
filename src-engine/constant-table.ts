import type { ElementType } from "./element-type.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Constants of a graph by what they hold, so that equal ones are made once. */
export class ConstantTable {
  readonly #alike = new Map<string, Tensor[]>();

  /** The constant of these numbers; else makes it. Numbers are equal as by `Object.is`: 0 is not -0. */
  get(type: ElementType, shape: Shape, values: readonly number[], make: () => Tensor): Tensor {
    const key = `${type} [${shape}] ${digest(values)}`;
    const alike = this.#alike.get(key) ?? [];
    const known = alike.find(({ value }) => value?.every((each, i) => Object.is(each, values[i])));
    if (known) return known;
    const made = make();
    this.#alike.set(key, [...alike, made]);
    return made;
  }
}

const scratch = new Float64Array(1);
const words = new Int32Array(scratch.buffer);

/** FNV-1a over the bits of the numbers, a word at a time: without a text of millions of digits. */
function digest(values: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const value of values) {
    scratch[0] = value;
    for (const word of words) {
      // FNV reads bytes: shifting mixes the upper bits of a whole word down.
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
  }
  return hash >>> 0;
}
