import { activation } from "./operators/activation.ts";
import { attention } from "./operators/attention.ts";
import { blocks } from "./operators/blocks.ts";
import { convolution } from "./operators/convolution.ts";
import { coordinates } from "./operators/coordinates.ts";
import { dropout } from "./operators/dropout.ts";
import { einsum } from "./operators/einsum.ts";
import { elementwise } from "./operators/elementwise.ts";
import { lookup } from "./operators/lookup.ts";
import { loss } from "./operators/loss.ts";
import { normalisation } from "./operators/normalisation.ts";
import { piecewise } from "./operators/piecewise.ts";
import { pooling } from "./operators/pooling.ts";
import { product } from "./operators/product.ts";
import { ranking } from "./operators/ranking.ts";
import { reductions } from "./operators/reduction.ts";
import { reshaping } from "./operators/reshaping.ts";
import { resize } from "./operators/resize.ts";
import { scaling } from "./operators/scaling.ts";
import { selection } from "./operators/selection.ts";
import { trigonometry } from "./operators/trigonometry.ts";

/** The one table of operators: everything that can be built, differentiated or written to a file. */
export const OPERATORS = {
  ...elementwise,
  ...trigonometry,
  ...activation,
  ...piecewise,
  ...reductions,
  ...reshaping,
  ...selection,
  ...blocks,
  ...resize,
  ...product,
  ...einsum,
  ...lookup,
  ...coordinates,
  ...ranking,
  ...normalisation,
  ...scaling,
  ...attention,
  ...convolution,
  ...pooling,
  ...dropout,
  ...loss,
};

export type OperatorName = keyof typeof OPERATORS;
