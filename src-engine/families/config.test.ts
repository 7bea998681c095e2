import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "./config.ts";
import { FAMILY_FOLDERS, familyFiles, familyFolder } from "./folder.test-support.ts";
import { storedModel } from "./stored-model.ts";

function configOf(name: string, change: object = {}): Record<string, unknown> {
  return {
    ...(JSON.parse(readFileSync(join(familyFolder(name), "config.json"), "utf8")) as object),
    ...change,
  };
}

describe("a config.json", () => {
  it.each(FAMILY_FOLDERS)("%s is understood without a word about strange fields", (name) => {
    expect(readConfig(configOf(name)).notes.filter((note) => note.includes("not known"))).toEqual([]);
  });

  it("of version 4 of Transformers means the same as one of version 5", () => {
    const llama = readConfig(configOf("llama-3")).config;
    const { rope_parameters: rope, ...rest } = configOf("llama-3") as {
      rope_parameters: Record<string, unknown>;
    };
    const { rope_theta, rope_type: type, ...scaling } = rope;
    expect(readConfig({ ...rest, rope_theta, rope_scaling: { ...scaling, type } }).config).toEqual(llama);
    const gemma = readConfig(configOf("gemma3")).config;
    const { rope_parameters: _, ...old } = configOf("gemma3", { rope_theta: 1e6, rope_local_base_freq: 1e4 });
    expect(readConfig(old).config).toEqual(gemma);
    const phi = readConfig(configOf("phi")).config;
    const { rope_parameters: __, ...older } = configOf("phi", { partial_rotary_factor: 0.5 });
    expect(readConfig(older).config).toEqual(phi);
  });

  it.each<[name: string, change: object, field: RegExp]>([
    ["llama", { model_type: "opt" }, /"model_type": "opt".*Known are llama.*exported to ONNX/],
    ["llama", { model_type: "mixtral" }, /"mixtral", a mixture of experts.*not trained here, from an ONNX/],
    ["llama", { model_type: "deepseek_v3", n_routed_experts: 8 }, /"deepseek_v3", a mixture of experts/],
    ["llama", { model_type: "gemma3" }, /gemma3 has images/],
    ["llama", { hidden_size: "16" }, /"hidden_size": "16", which should be a whole number/],
    ["llama", { hidden_size: 18, head_dim: null }, /"num_attention_heads": 4, and the width 18/],
    ["llama", { num_key_value_heads: 3 }, /4 heads.*share 3/],
    ["llama", { num_hidden_layers: 1e9 }, /blocks/],
    ["llama", { hidden_act: "quick_gelu" }, /"hidden_act": "quick_gelu"/],
    ["llama", { pretraining_tp: 2 }, /"pretraining_tp": 2/],
    ["llama", { quantization_config: { bits: 4 } }, /"quantization_config".*bfloat16/],
    [
      "llama",
      { rope_parameters: { rope_type: "proportional", factor: 2 } },
      /"rope_parameters.rope_type": "proportional"/,
    ],
    ["llama", { rope_parameters: { rope_type: "llama3", factor: 2 } }, /"rope_parameters.low_freq_factor"/],
    ["llama", { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } }, /turns whole heads/],
    [
      "qwen3-yarn",
      { rope_parameters: { rope_type: "yarn", factor: 2, mscale: 1 } },
      /"rope_parameters.mscale"/,
    ],
    [
      "phi3-long",
      { rope_parameters: { rope_type: "longrope", short_factor: [1], long_factor: [1] } },
      /short_factor/,
    ],
    ["phi", { qk_layernorm: true }, /"qk_layernorm": true/],
    ["gpt2", { add_cross_attention: true }, /"add_cross_attention": true/],
    ["gemma2", { layer_types: ["full_attention", "chunked"] }, /"chunked"/],
    ["gemma3", { use_bidirectional_attention: true }, /"use_bidirectional_attention": true/],
    ["gemma3", { attn_logit_softcapping: 50 }, /"attn_logit_softcapping": 50/],
  ])("%s with %j is refused by the field's name", (name, change, field) => {
    expect(() => readConfig(configOf(name, change))).toThrow(field);
  });

  it.each([null, [], "llama", 7])("that is %j is refused", (value) => {
    expect(() => readConfig(value)).toThrow(/no JSON object/);
  });

  it("may say things that nobody knows, which are named, and dropout, which is not done", () => {
    const { notes } = readConfig(configOf("gpt2", { my_own_setting: 3, attn_pdrop: 0.1 }));
    expect(notes.join(" ")).toMatch(/my_own_setting/);
    expect(notes.join(" ")).toMatch(/attn_pdrop.*nothing is dropped/);
  });
});

describe("config.json and files together", () => {
  it("say which tensor does not fit", () => {
    const files = familyFiles("llama");
    expect(() => storedModel(configOf("llama", { vocab_size: 50 }), files)).toThrow(
      /"model.embed_tokens.weight" has the shape \[40, 16\], and \[50, 16\] by config.json/,
    );
    expect(() => storedModel(configOf("llama", { num_hidden_layers: 3 }), files)).toThrow(
      /"model.layers.2.input_layernorm.weight" is not in the model's files/,
    );
    expect(() => storedModel(configOf("llama", { num_hidden_layers: 1 }), files)).toThrow(
      /hold "model.layers.1.*which a llama model by config.json does not have/,
    );
  });
});
