"""Small folders of each family that Transformers writes, with its own losses and gradients: src-engine/fixtures/families.

`python3 golden_families.py [NAME …]`, with torch 2.15 and transformers 5.24. Every parameter is moved from its
first value, so that a norm that is left out, or a bias that is taken twice, changes the numbers.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers as hf
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parents[2] / "src-engine" / "fixtures" / "families"
BATCH, TOKENS, VOCABULARY = 2, 12, 40

SIZES = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
HEADS = dict(SIZES, head_dim=8)
GPT2 = dict(vocab_size=VOCABULARY, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2)
PARTS = dict(short_factor=[1.0, 1.5], long_factor=[2.0, 4.0])

# By folder: a config, and how it is saved.
CASES = {
    "llama": (hf.LlamaConfig, dict(SIZES), {}),
    "llama-3": (hf.LlamaConfig, dict(SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16)), dict(max_shard_size="6KB")),
    "llama-linear": (hf.LlamaConfig, dict(SIZES, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=2.0)), {}),
    "llama-dynamic": (hf.LlamaConfig, dict(SIZES, max_position_embeddings=8, rope_parameters=dict(
        rope_type="dynamic", rope_theta=1e4, factor=2.0)), {}),
    "mistral": (hf.MistralConfig, dict(SIZES, sliding_window=5), {}),
    "qwen2": (hf.Qwen2Config, dict(SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=1), {}),
    "qwen3": (hf.Qwen3Config, dict(HEADS, tie_word_embeddings=True), {}),
    "qwen3-yarn": (hf.Qwen3Config, dict(HEADS, max_position_embeddings=64, rope_parameters=dict(
        rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16)), {}),
    "gemma": (hf.GemmaConfig, dict(HEADS, pad_token_id=0), {}),
    "gemma2": (hf.Gemma2Config, dict(HEADS, pad_token_id=0, query_pre_attn_scalar=12, sliding_window=4,
                                     attn_logit_softcapping=2.0, final_logit_softcapping=3.0), {}),
    "gemma3": (hf.Gemma3TextConfig, dict(HEADS, num_hidden_layers=3, pad_token_id=0, sliding_window=4, query_pre_attn_scalar=12,
                                         layer_types=["sliding_attention", "full_attention", "sliding_attention"]), {}),
    "gpt2": (hf.GPT2Config, dict(GPT2), {}),
    "gpt2-scaled": (hf.GPT2Config, dict(GPT2, n_inner=20, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False), {}),
    "phi": (hf.PhiConfig, dict(SIZES, num_key_value_heads=4, hidden_size=32), {}),
    "phi3": (hf.Phi3Config, dict(SIZES, num_key_value_heads=2, pad_token_id=0), {}),
    "phi3-long": (hf.Phi3Config, dict(SIZES, pad_token_id=0, original_max_position_embeddings=8,
                                      rope_parameters=dict(rope_type="longrope", rope_theta=1e4, **PARTS)), {}),
}


def data():
    random = torch.Generator().manual_seed(1)
    # Not 0: PyTorch gives the padding's row no gradient, which a file does not say.
    draw = lambda: torch.randint(1, VOCABULARY, (BATCH, TOKENS), generator=random)
    return draw(), draw()


def write(name, config, sizes, saving):
    torch.manual_seed(7)
    model = hf.AutoModelForCausalLM.from_config(config(**sizes), attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **saving)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokens, targets = data()
    logits = model(input_ids=tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    gradients = {key: each.grad.contiguous() for key, each in model.named_parameters() if each.grad is not None}
    save_file(gradients, folder / "gradients.golden")
    golden = dict(batch=BATCH, sequence=TOKENS, tokens=tokens.flatten().tolist(), targets=targets.flatten().tolist(), loss=loss.item())
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


def main():
    for name, case in CASES.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write(name, *case)


if __name__ == "__main__":
    main()
