import { asRow, isRow, type Lowering } from "./import-call.ts";
import { lowerNeural } from "./lowering-neural.ts";
import { lowerRecurrent } from "./lowering-recurrent.ts";
import { lowerShapes } from "./lowering-shapes.ts";
import { lowerWindows } from "./lowering-windows.ts";

/**
 * Operators that files write in more ways than the table has: other versions, other axes, sizes that
 * are still to be resolved. What is missing here and is a row of the table is taken as it is.
 */
const LOWERINGS: Readonly<Record<string, Lowering>> = {
  ...lowerShapes,
  ...lowerNeural,
  ...lowerWindows,
  ...lowerRecurrent,
};

export function lowering(op: string): Lowering | undefined {
  return Object.hasOwn(LOWERINGS, op) ? LOWERINGS[op] : isRow(op) ? asRow : undefined;
}
