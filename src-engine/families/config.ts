import {
  type DecoderSpec,
  decoderSpec,
  FAMILIES,
  type Family,
  type Rope,
} from "../../src-protocol/decoder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";
import { log } from "../portable-math.ts";
import { ConfigFields } from "./config-fields.ts";

/** What a config.json says of a model; the rest is in its files. */
export type DecoderConfig = Omit<DecoderSpec, "files" | "prefix" | "freeze" | "train">;

export interface ReadConfig {
  readonly config: DecoderConfig;
  readonly notes: readonly string[];
}

/** The functions that a config may name, by what they compute. */
const ACTIVATIONS: Readonly<Record<string, DecoderSpec["activation"]>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_python: "gelu",
  gelu_new: "gelu-tanh",
  gelu_fast: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  relu: "relu",
};

const USUAL_ROPE_BASE = 10_000;

/**
 * A config.json of Transformers, of version 4 or 5, whose defaults are those of its class. A value that
 * would change the mathematics and is not known is refused by name; a field that is not known at all is
 * noted.
 *
 * @throws Failure `unsupported-model` for another `model_type`, `unsupported-config`
 */
export function readConfig(value: unknown): ReadConfig {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Failure("unsupported-config", "config.json is no JSON object.");
  const fields = new ConfigFields(value as Record<string, unknown>);
  const family = familyOf(fields);
  if (fields.has("quantization_config"))
    throw fields.refused(
      "quantization_config",
      "and numbers of fewer bits cannot be trained: save the model in bfloat16 or float32",
    );
  const config = {
    kind: "decoder" as const,
    family,
    ...(family === "gpt2" ? gpt2(fields) : withRotary(fields, family)),
  };
  const parsed = decoderSpec.omit({ files: true, prefix: true }).safeParse(config);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Failure(
      "unsupported-config",
      `config.json describes a model that cannot be trained here: ${issue?.path.join(".")}: ${issue?.message}.`,
    );
  }
  const { heads, keyHeads } = parsed.data;
  if (heads % keyHeads !== 0)
    throw new Failure(
      "unsupported-config",
      `config.json has ${heads} heads of attention that would share ${keyHeads} heads of keys, which does not come out even.`,
    );
  return { config: parsed.data, notes: [...dropped(fields), ...unknown(fields)] };
}

/** How many there are, in the configs of mixtures of experts. */
const EXPERTS = ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];

function familyOf(fields: ConfigFields): Family {
  const type = fields.text("model_type");
  if ((FAMILIES as readonly string[]).includes(type)) return type as Family;
  if (EXPERTS.some((name) => fields.has(name)) || /moe|mixtral/i.test(type))
    throw new Failure(
      "unsupported-model",
      `config.json says "model_type": "${printable(type)}", a mixture of experts: its data decide which parts compute, and that is not trained here, from an ONNX file neither. Known are ${FAMILIES.join(", ")}.`,
    );
  const hint = type === "gemma3" ? " (gemma3 has images; its text models are gemma3_text)" : "";
  throw new Failure(
    "unsupported-model",
    `config.json says "model_type": "${printable(type)}", which is not known here${hint}. Known are ${FAMILIES.join(", ")}; any other model can be exported to ONNX.`,
  );
}

type Own = Omit<DecoderConfig, "kind" | "family">;

function gpt2(fields: ConfigFields): Own {
  const [width, heads] = [fields.whole("n_embd"), fields.whole("n_head")];
  const headSize = divided(fields, width, heads);
  for (const name of ["add_cross_attention"]) fields.mustBe(name, false);
  fields.flag("reorder_and_upcast_attn", false);
  return {
    vocabulary: fields.whole("vocab_size"),
    width,
    heads,
    keyHeads: heads,
    headSize,
    blocks: fields.whole("n_layer"),
    hidden: fields.maybeNumber("n_inner") === null ? 4 * width : fields.whole("n_inner"),
    activation: activation(fields, "activation_function", "gelu_new"),
    normEpsilon: fields.number("layer_norm_epsilon", 1e-5),
    tied: fields.flag("tie_word_embeddings", true),
    bias: biasOf(fields, "gpt2"),
    positions: fields.whole("n_positions", 1024),
    rope: null,
    ropeOfWindows: null,
    windows: [null],
    attentionScale: fields.flag("scale_attn_weights", true) ? 1 / Math.sqrt(headSize) : 1,
    scaledByBlock: fields.flag("scale_attn_by_inverse_layer_idx", false),
    attentionCap: null,
    scoresCap: null,
    embeddingScale: 1,
  };
}

function withRotary(fields: ConfigFields, family: Family): Own {
  const isGemma = family.startsWith("gemma");
  const [width, heads, blocks] = [
    fields.whole("hidden_size"),
    fields.whole("num_attention_heads"),
    fields.whole("num_hidden_layers"),
  ];
  const headSize = fields.has("head_dim")
    ? fields.whole("head_dim")
    : usualHeadSize(fields, family, width, heads);
  fields.mustBe("use_bidirectional_attention", false);
  fields.mustBe("qk_layernorm", false);
  fields.mustBe("pretraining_tp", 1);
  const capped = family === "gemma2";
  const scale =
    family === "gemma2" || family === "gemma3_text" ? fields.number("query_pre_attn_scalar", 256) : headSize;
  const { rope, ropeOfWindows } = ropesOf(fields, family, headSize);
  return {
    vocabulary: fields.whole("vocab_size"),
    width,
    heads,
    keyHeads: fields.whole("num_key_value_heads", family === "mistral" ? 8 : heads),
    headSize,
    blocks,
    hidden: fields.whole("intermediate_size"),
    activation: activation(
      fields,
      family === "gemma2" || family === "gemma3_text" ? "hidden_activation" : "hidden_act",
      isGemma ? "gelu_pytorch_tanh" : family === "phi" ? "gelu_new" : "silu",
    ),
    normEpsilon:
      family === "phi"
        ? fields.number("layer_norm_eps", 1e-5)
        : fields.number("rms_norm_eps", family === "phi3" ? 1e-5 : 1e-6),
    tied: fields.flag("tie_word_embeddings", isGemma),
    bias: biasOf(fields, family),
    positions: null,
    rope,
    ropeOfWindows,
    windows: windowsOf(fields, family, blocks),
    attentionScale: 1 / Math.sqrt(scale),
    scaledByBlock: false,
    attentionCap: capped
      ? fields.maybeNumber("attn_logit_softcapping", 50)
      : noCap(fields, "attn_logit_softcapping"),
    scoresCap: capped
      ? fields.maybeNumber("final_logit_softcapping", 30)
      : family === "gemma3_text"
        ? fields.maybeNumber("final_logit_softcapping")
        : null,
    embeddingScale: isGemma ? Math.sqrt(width) : 1,
  };
}

/** Transformers does not use it in Gemma 3, whatever it says. */
function noCap(fields: ConfigFields, name: string): null {
  if (fields.has(name)) throw fields.refused(name, "and such a cap is known of Gemma 2 alone");
  return null;
}

function usualHeadSize(fields: ConfigFields, family: Family, width: number, heads: number): number {
  if (family === "qwen3") return 128;
  if (family.startsWith("gemma")) return 256;
  return divided(fields, width, heads);
}

function divided(fields: ConfigFields, width: number, heads: number): number {
  if (width % heads === 0) return width / heads;
  throw fields.refused(
    fields.has("n_head") ? "n_head" : "num_attention_heads",
    `and the width ${width} cannot be divided among so many heads`,
  );
}

function activation(fields: ConfigFields, name: string, usual: string): DecoderSpec["activation"] {
  const found = ACTIVATIONS[fields.text(name, usual)];
  if (found) return found;
  throw fields.refused(name, `which is not known here. Known are ${Object.keys(ACTIVATIONS).join(", ")}`);
}

function biasOf(fields: ConfigFields, family: Family): DecoderSpec["bias"] {
  const none = { query: false, attentionOutput: false, hidden: false, scores: false };
  switch (family) {
    case "gpt2":
    case "phi":
      return { query: true, attentionOutput: true, hidden: true, scores: family === "phi" };
    case "qwen2":
      return { ...none, query: true };
    case "mistral":
    case "phi3":
      return none;
    default: {
      const ofAttention = fields.flag("attention_bias", false);
      const hidden = family === "llama" && fields.flag("mlp_bias", false);
      return { ...none, query: ofAttention, attentionOutput: ofAttention, hidden };
    }
  }
}

const FULL = "full_attention";
const SLIDING = "sliding_attention";

/** Which blocks see so many tokens only. */
function windowsOf(fields: ConfigFields, family: Family, blocks: number): DecoderSpec["windows"] {
  const window = (usual: number | null): number | null => {
    const size = fields.maybeNumber("sliding_window", usual);
    return size === null ? null : fields.whole("sliding_window", usual ?? undefined);
  };
  switch (family) {
    case "mistral":
      return [window(4096)];
    case "phi3":
      return [window(null)];
    case "qwen2":
    case "qwen3": {
      const size = fields.flag("use_sliding_window", false) ? window(4096) : null;
      const first = fields.whole("max_window_layers", 28);
      if (fields.has("layer_types")) return typed(fields, blocks, size);
      return repeated(blocks, (i) => (i >= first ? size : null));
    }
    case "gemma2":
    case "gemma3_text": {
      const size = window(4096);
      if (fields.has("layer_types")) return typed(fields, blocks, size);
      const every =
        family === "gemma2"
          ? 2
          : fields.whole("sliding_window_pattern", fields.whole("_sliding_window_pattern", 6));
      return repeated(blocks, (i) => ((i + 1) % every === 0 ? null : size));
    }
    default:
      return [null];
  }
}

function repeated(blocks: number, of: (index: number) => number | null): (number | null)[] {
  return Array.from({ length: blocks }, (_, i) => of(i));
}

function typed(fields: ConfigFields, blocks: number, size: number | null): (number | null)[] {
  const types = fields.texts("layer_types");
  if (types.length < blocks) throw fields.refused("layer_types", `and the model has ${blocks} blocks`);
  const strange = types.find((each) => each !== FULL && each !== SLIDING);
  if (strange !== undefined)
    throw fields.refused("layer_types", `of which "${printable(strange)}" is not known here`);
  return types.slice(0, blocks).map((each) => (each === SLIDING ? size : null));
}

function ropesOf(
  fields: ConfigFields,
  family: Family,
  headSize: number,
): Pick<Own, "rope" | "ropeOfWindows"> {
  const share = fields.maybeNumber("partial_rotary_factor", family === "phi" ? 0.5 : null);
  const plain = {
    base: fields.number("rope_theta", family === "gemma3_text" ? 1_000_000 : USUAL_ROPE_BASE),
    share,
  };
  const own = (settings: ConfigFields | null, usual: { base: number; share: number | null }): Rope =>
    ropeOf(fields, settings, usual, family, headSize);
  const settings = fields.group("rope_parameters");
  const scaling = fields.group("rope_scaling");
  if (family !== "gemma3_text") return { rope: own(settings ?? scaling, plain), ropeOfWindows: null };
  // Gemma 3 turns by other angles where a block has a window.
  const local = { base: fields.number("rope_local_base_freq", USUAL_ROPE_BASE), share };
  if (settings === null) return { rope: own(scaling, plain), ropeOfWindows: own(null, local) };
  return {
    rope: own(settings.group(FULL), plain),
    ropeOfWindows: own(settings.group(SLIDING), local),
  };
}

function ropeOf(
  fields: ConfigFields,
  settings: ConfigFields | null,
  usual: { base: number; share: number | null },
  family: Family,
  headSize: number,
): Rope {
  const base = settings?.number("rope_theta", usual.base) ?? usual.base;
  const share = settings?.maybeNumber("partial_rotary_factor", usual.share) ?? usual.share ?? 1;
  if (share !== 1 && family !== "phi" && family !== "phi3")
    throw (settings?.has("partial_rotary_factor") ? settings : fields).refused(
      "partial_rotary_factor",
      `and ${family} turns whole heads`,
    );
  const size = Math.trunc(headSize * share);
  if (size < 2 || size % 2 !== 0 || size > headSize)
    throw new Failure(
      "unsupported-config",
      `config.json asks for rotary positions of ${size} of ${headSize} elements of a head, which cannot be.`,
    );
  return { size, base, scaling: settings === null ? null : scalingOf(fields, settings, size) };
}

function scalingOf(fields: ConfigFields, settings: ConfigFields, size: number): Rope["scaling"] {
  const field = settings.has("rope_type") ? "rope_type" : "type";
  const type = settings.text(field, "default");
  const longest = fields.whole("max_position_embeddings", 2048);
  const original = (): number =>
    fields.has("original_max_position_embeddings")
      ? fields.whole("original_max_position_embeddings")
      : settings.whole("original_max_position_embeddings", longest);
  switch (type) {
    case "default":
      return null;
    case "linear":
      return { kind: "linear", factor: settings.number("factor") };
    case "dynamic":
      if (size <= 2) throw settings.refused(field, `and heads turn only ${size} elements`);
      return { kind: "dynamic", factor: settings.number("factor"), original: longest };
    case "llama3":
      return {
        kind: "llama3",
        factor: settings.number("factor"),
        lowFrequency: settings.number("low_freq_factor"),
        highFrequency: settings.number("high_freq_factor"),
        original: original(),
      };
    case "yarn": {
      for (const name of ["mscale", "mscale_all_dim"])
        if (settings.has(name)) throw settings.refused(name, "which is not known here");
      const factor = settings.maybeNumber("factor") ?? longest / original();
      return {
        kind: "yarn",
        factor,
        attention: settings.maybeNumber("attention_factor") ?? (factor <= 1 ? 1 : 0.1 * log(factor) + 1),
        betaFast: settings.number("beta_fast", 32),
        betaSlow: settings.number("beta_slow", 1),
        original: original(),
        truncate: settings.flag("truncate", true),
      };
    }
    case "longrope":
    case "su": {
      const [short, long] = [settings.numbers("short_factor"), settings.numbers("long_factor")];
      for (const [name, list] of [
        ["short_factor", short],
        ["long_factor", long],
      ] as const)
        if (list.length !== size / 2) throw settings.refused(name, `and ${size / 2} numbers are needed`);
      const factor = settings.maybeNumber("factor") ?? longest / original();
      const attention =
        settings.maybeNumber("attention_factor") ??
        (factor <= 1 ? 1 : Math.sqrt(1 + log(factor) / log(original())));
      return { kind: "longrope", short, long, attention, original: original() };
    }
    default:
      throw settings.refused(field, "a stretching of positions that is not known here");
  }
}

/** What training with Transformers would drop at random, and this does not. */
function dropped(fields: ConfigFields): string[] {
  const names = ["attn_pdrop", "resid_pdrop", "embd_pdrop", "attention_dropout"].filter(
    (name) => fields.maybeDropout(name) > 0,
  );
  return names.length === 0
    ? []
    : [`config.json asks for dropout (${names.join(", ")}); nothing is dropped here.`];
}

/** About files, generation, tokens and first weights: of no matter for training. */
const WITHOUT_EFFECT = new Set(
  (
    "_name_or_path architectures auto_map bos_token_id eos_token_id pad_token_id dtype torch_dtype transformers_version " +
    "use_cache initializer_range max_position_embeddings n_ctx cache_implementation hidden_act hidden_activation " +
    "output_past task_specific_params layer_types max_window_layers sliding_window sliding_window_pattern " +
    "_sliding_window_pattern original_max_position_embeddings embd_layer tokenizer_class head_dim bias " +
    "attention_dropout hidden_dropout num_logits_to_keep rope_theta rope_local_base_freq unsloth_version " +
    "unsloth_fixed id2label label2id return_dict model_name _attn_implementation"
  ).split(" "),
);

function unknown(fields: ConfigFields): string[] {
  const names = fields.unasked().filter((name) => !WITHOUT_EFFECT.has(name) && !name.startsWith("summary_"));
  return names.length === 0
    ? []
    : [
        `config.json says things that are not known here and left aside: ${names.slice(0, 8).map(printable).join(", ")}${names.length > 8 ? ", …" : ""}.`,
      ];
}
