import type { Stage } from "../../src-engine/stage.ts";

/** Parameters and AdamW's two moments, each float32 and as long as the stage has parameters. */
const SECTIONS = 3;

/**
 * A stage's training state in one shared block `[parameters | m | v]`: the compute thread updates
 * it in place, the main thread writes the same bytes to disk between two optimiser steps.
 */
export interface StageMemory {
  readonly buffer: SharedArrayBuffer;
  /** In the order of `plan.parameters`; views, not copies. */
  readonly parameters: readonly Float32Array<SharedArrayBuffer>[];
  readonly m: readonly Float32Array<SharedArrayBuffer>[];
  readonly v: readonly Float32Array<SharedArrayBuffer>[];
}

type Sizes = Pick<Stage, "parameters" | "parameterCount">;

export function stageBytes({ parameterCount }: Pick<Stage, "parameterCount">): number {
  return parameterCount * SECTIONS * Float32Array.BYTES_PER_ELEMENT;
}

/** Views over `buffer`, or over a new one full of zeros. */
export function stageMemory(plan: Sizes, buffer = new SharedArrayBuffer(stageBytes(plan))): StageMemory {
  if (buffer.byteLength !== stageBytes(plan)) {
    throw new RangeError(`a stage of ${plan.parameterCount} parameters needs ${stageBytes(plan)} bytes`);
  }
  const section = (index: number): Float32Array<SharedArrayBuffer>[] => {
    let offset = index * plan.parameterCount * Float32Array.BYTES_PER_ELEMENT;
    return plan.parameters.map(({ size }) => {
      const view = new Float32Array(buffer, offset, size);
      offset += view.byteLength;
      return view;
    });
  };
  return { buffer, parameters: section(0), m: section(1), v: section(2) };
}

/** The parameters in a stage's memory, by name; views, not copies. */
export function parametersIn(plan: Sizes, buffer: SharedArrayBuffer): [name: string, values: Float32Array][] {
  const { parameters } = stageMemory(plan, buffer);
  return plan.parameters.map(({ name }, i) => [name, parameters[i] ?? new Float32Array(0)]);
}
