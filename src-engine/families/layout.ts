import type { Family } from "../../src-protocol/decoder.ts";

/** How a family writes a norm: by squares alone, with weights around 1 or around 0; or of mean and variance, with a bias. */
export type NormKind = "rms" | "rms around 0" | "layer";

/**
 * How a block adds to the stream x:
 *
 * - `in turn`: `x += attention(norm(x))`, then `x += hidden(norm(x))`
 * - `between norms`: the same, with another norm on what is added
 * - `side by side`: `x += attention(norm(x)) + hidden(norm(x))`, of one norm
 */
export type BlockKind = "in turn" | "between norms" | "side by side";

/** The tensors of a family's files, without what the names begin with; those of a block after `block(i)`. */
export interface FamilyLayout {
  readonly norm: NormKind;
  readonly block: BlockKind;
  /** Query and key of each head are normalised before they are turned. */
  readonly headNorms: boolean;
  /** Matrices of layers are stored [in, out]; else [out, in], as PyTorch's Linear has them. */
  readonly inOut: boolean;
  readonly names: {
    readonly embedding: string;
    readonly positions?: string;
    readonly block: string;
    readonly attentionNorm: string;
    /** Three matrices, or one that holds all three. */
    readonly queryKeyValue: readonly [string, string, string] | readonly [string];
    readonly queryNorm?: string;
    readonly keyNorm?: string;
    readonly attentionOutput: string;
    readonly afterAttentionNorm?: string;
    readonly hiddenNorm?: string;
    /** A gate and a matrix that it is multiplied with, one that holds both, or no gate. */
    readonly hiddenIn:
      | readonly [gate: string, up: string]
      | readonly [both: string, "gated"]
      | readonly [plain: string];
    readonly hiddenOut: string;
    readonly afterHiddenNorm?: string;
    readonly lastNorm: string;
  };
}

/** Of the output matrix, in every family; nothing stands before it. */
export const SCORES = "lm_head";

const llama: FamilyLayout = {
  norm: "rms",
  block: "in turn",
  headNorms: false,
  inOut: false,
  names: {
    embedding: "embed_tokens",
    block: "layers.",
    attentionNorm: "input_layernorm",
    queryKeyValue: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    attentionOutput: "self_attn.o_proj",
    hiddenNorm: "post_attention_layernorm",
    hiddenIn: ["mlp.gate_proj", "mlp.up_proj"],
    hiddenOut: "mlp.down_proj",
    lastNorm: "norm",
  },
};

const headNorms = { queryNorm: "self_attn.q_norm", keyNorm: "self_attn.k_norm" };
const betweenNorms = {
  ...llama.names,
  afterAttentionNorm: "post_attention_layernorm",
  hiddenNorm: "pre_feedforward_layernorm",
  afterHiddenNorm: "post_feedforward_layernorm",
};

/** One row a family. */
export const LAYOUTS: Readonly<Record<Family, FamilyLayout>> = {
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: { ...llama, headNorms: true, names: { ...llama.names, ...headNorms } },
  gemma: { ...llama, norm: "rms around 0" },
  gemma2: { ...llama, norm: "rms around 0", block: "between norms", names: betweenNorms },
  gemma3_text: {
    ...llama,
    norm: "rms around 0",
    block: "between norms",
    headNorms: true,
    names: { ...betweenNorms, ...headNorms },
  },
  phi3: {
    ...llama,
    names: {
      ...llama.names,
      queryKeyValue: ["self_attn.qkv_proj"],
      hiddenIn: ["mlp.gate_up_proj", "gated"],
    },
  },
  phi: {
    ...llama,
    norm: "layer",
    block: "side by side",
    names: {
      embedding: "embed_tokens",
      block: "layers.",
      attentionNorm: "input_layernorm",
      queryKeyValue: llama.names.queryKeyValue,
      attentionOutput: "self_attn.dense",
      hiddenIn: ["mlp.fc1"],
      hiddenOut: "mlp.fc2",
      lastNorm: "final_layernorm",
    },
  },
  gpt2: {
    norm: "layer",
    block: "in turn",
    headNorms: false,
    inOut: true,
    names: {
      embedding: "wte",
      positions: "wpe",
      block: "h.",
      attentionNorm: "ln_1",
      queryKeyValue: ["attn.c_attn"],
      attentionOutput: "attn.c_proj",
      hiddenNorm: "ln_2",
      hiddenIn: ["mlp.c_fc"],
      hiddenOut: "mlp.c_proj",
      lastNorm: "ln_f",
    },
  },
};
