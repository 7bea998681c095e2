import type { DecoderSpec } from "../../src-protocol/decoder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";
import { readConfig } from "./config.ts";
import { decoderParameters } from "./decoder-parameters.ts";
import { LAYOUTS, SCORES } from "./layout.ts";
import { type ModelFiles, tensorsIn } from "./model-files.ts";
import { tensorOf } from "./stored-parameter.ts";

export interface StoredModel {
  /** All but the digests of its files. */
  readonly model: Omit<DecoderSpec, "files">;
  readonly notes: readonly string[];
}

/** Tables that older files hold, which the model makes by itself. */
const BUFFERS = /(^|\.)(attn\.bias|attn\.masked_bias|rotary_emb\.inv_freq)$/;

/**
 * What a config.json and the safetensors beside it are as a model.
 *
 * @throws Failure of `readConfig`; `bad-weights` where a tensor is missing, has another shape, or is
 * one that the model does not have
 */
export function storedModel(configJson: unknown, files: ModelFiles): StoredModel {
  const { config, notes } = readConfig(configJson);
  const tensors = tensorsIn(files);
  const { names } = LAYOUTS[config.family];
  const usual = config.family === "gpt2" ? "transformer." : "model.";
  const prefix = tensors.has(`${usual}${names.embedding}.weight`) ? usual : "";
  const model = { ...config, prefix } as const;
  const parameters = decoderParameters({ ...model, files: [] });
  for (const parameter of parameters) tensorOf(files, parameter);
  const known = new Set(parameters.map(({ name }) => name));
  const strange = [...tensors.keys()].filter(
    (name) => !known.has(name) && !BUFFERS.test(name) && !isTiedCopy(model, name),
  );
  if (strange.length === 0) return { model, notes };
  throw new Failure(
    "bad-weights",
    `The model's files hold ${strange
      .slice(0, 4)
      .map((name) => `"${printable(name)}"`)
      .join(
        ", ",
      )}${strange.length > 4 ? ` and ${strange.length - 4} more` : ""}, which a ${config.family} model by config.json does not have. If it is an adapter, merge it into its model first.`,
  );
}

/** The embedding once more, as the output matrix. */
export function isTiedCopy({ tied }: Pick<DecoderSpec, "tied">, name: string): boolean {
  return tied && name === `${SCORES}.weight`;
}
