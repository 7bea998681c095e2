import { activation } from "./operators/activation.ts";
import { attention } from "./operators/attention.ts";
import { convolution } from "./operators/convolution.ts";
import { dropout } from "./operators/dropout.ts";
import { elementwise } from "./operators/elementwise.ts";
import { lookup } from "./operators/lookup.ts";
import { loss } from "./operators/loss.ts";
import { normalisation } from "./operators/normalisation.ts";
import { pooling } from "./operators/pooling.ts";
import { product } from "./operators/product.ts";
import { reductions } from "./operators/reduction.ts";
import { reshaping } from "./operators/reshaping.ts";
import { selection } from "./operators/selection.ts";

/** The one table of operators: everything that can be built, differentiated or written to a file. */
export const OPERATORS = {
  ...elementwise,
  ...activation,
  ...reductions,
  ...reshaping,
  ...selection,
  ...product,
  ...lookup,
  ...normalisation,
  ...attention,
  ...convolution,
  ...pooling,
  ...dropout,
  ...loss,
};

export type OperatorName = keyof typeof OPERATORS;
