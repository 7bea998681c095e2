import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import { sizeOf } from "../shape.ts";
import type { ParameterInfo } from "../stage.ts";
import { LAYOUTS, SCORES } from "./layout.ts";

/** A parameter, and how its file holds it. */
export interface StoredParameter extends ParameterInfo {
  /** The file has the matrix with its axes exchanged. */
  readonly transposed: boolean;
}

/** In the order in which the model reads them, by the names of the files. Matrices of layers are [in, out]. */
export function decoderParameters(spec: DecoderSpec): StoredParameter[] {
  const { width, heads, keyHeads, headSize, hidden, vocabulary, positions, tied, bias, prefix } = spec;
  const { names, norm, inOut, headNorms } = LAYOUTS[spec.family];
  const found: StoredParameter[] = [];
  const add = (name: string, shape: readonly number[], transposed = false): void =>
    void found.push({ name, shape, size: sizeOf(shape), decay: shape.length > 1, transposed });
  const layer = (name: string, from: number, to: number, biased: boolean): void => {
    add(`${name}.weight`, [from, to], !inOut);
    if (biased) add(`${name}.bias`, [to]);
  };
  const normOf = (name: string, size = width): void => {
    add(`${name}.weight`, [size]);
    if (norm === "layer") add(`${name}.bias`, [size]);
  };
  add(`${prefix}${names.embedding}.weight`, [vocabulary, width]);
  if (names.positions !== undefined && positions !== null)
    add(`${prefix}${names.positions}.weight`, [positions, width]);
  for (let index = 0; index < spec.blocks; index++) {
    const own = (name: string): string => `${prefix}${names.block}${index}.${name}`;
    normOf(own(names.attentionNorm));
    const sizes = [heads * headSize, keyHeads * headSize, keyHeads * headSize];
    const [first, ...others] = names.queryKeyValue;
    if (others.length === 0)
      layer(
        own(first),
        width,
        sizes.reduce((a, b) => a + b, 0),
        bias.query,
      );
    else
      for (const [i, name] of names.queryKeyValue.entries())
        layer(own(name), width, sizes[i] ?? 0, bias.query);
    if (headNorms) for (const name of [names.queryNorm, names.keyNorm]) normOf(own(name ?? ""), headSize);
    layer(own(names.attentionOutput), heads * headSize, width, bias.attentionOutput);
    if (names.afterAttentionNorm !== undefined) normOf(own(names.afterAttentionNorm));
    if (names.hiddenNorm !== undefined) normOf(own(names.hiddenNorm));
    const [one, two] = names.hiddenIn;
    layer(own(one), width, two === "gated" ? 2 * hidden : hidden, bias.hidden);
    if (two !== undefined && two !== "gated") layer(own(two), width, hidden, bias.hidden);
    layer(own(names.hiddenOut), hidden, width, bias.hidden);
    if (names.afterHiddenNorm !== undefined) normOf(own(names.afterHiddenNorm));
  }
  normOf(`${prefix}${names.lastNorm}`);
  // PyTorch's, in every family.
  if (!tied) add(`${SCORES}.weight`, [width, vocabulary], true);
  if (bias.scores) add(`${SCORES}.bias`, [vocabulary]);
  return found;
}
