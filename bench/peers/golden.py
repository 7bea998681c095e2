"""Makes the ONNX fixtures of src-engine and PyTorch's own numbers for them.

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install torch onnx onnxscript transformers
    /tmp/peers/bin/python bench/peers/golden.py [NAME ...] && npm run fix

For each model NAME, or those named, it writes src-engine/fixtures/NAME.onnx and NAME.json. The JSON holds
the data that was fed, the output, and the gradient of the sum of `output * dy` with respect to every
parameter, as float32 in base64. Parameters carry PyTorch's names; a tied one appears once, with its summed
gradient. BERT and ViT are those of Hugging Face's library, made small. golden_tensorflow.py does the same
for TensorFlow. The product and its tests need no Python: the files are committed.
"""

import math
import sys

import torch
from torch import nn
from torch.nn import functional as F

from golden_file import FIXTURES, as_stored, tidy, write_golden


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


class LlamaBlock(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin, mask):
        b, t, d = x.shape
        def split(y):
            return y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        def turn(y):
            half = y.shape[-1] // 2
            return y * cos + torch.cat((-y[..., half:], y[..., :half]), dim=-1) * sin
        h = self.norm1(x)
        q, k, v = turn(split(self.q(h))), turn(split(self.k(h))), split(self.v(h))
        scores = q @ k.transpose(2, 3) / math.sqrt(d // self.heads) + mask
        x = x + self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    """As Hugging Face writes it: positions and mask made of the input's shape."""

    def __init__(self, vocabulary=24, width=16, heads=2, hidden=24, blocks=2, tied=True):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(LlamaBlock(width, heads, hidden) for _ in range(blocks))
        self.norm = RmsNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embed.weight
        size = width // heads
        self.register_buffer("inv_freq", 100.0 ** (-torch.arange(0, size, 2).float() / size))

    def forward(self, ids):
        b, t = ids.shape
        x = self.embed(ids)
        angles = torch.arange(t)[:, None].float() * self.inv_freq[None, :]
        angles = torch.cat((angles, angles), dim=-1)
        mask = torch.full((t, t), -1e9).triu(1)
        for block in self.blocks:
            x = block(x, angles.cos(), angles.sin(), mask)
        return self.head(self.norm(x))


class GptBlock(nn.Module):
    def __init__(self, width, heads, context, sliced):
        super().__init__()
        self.heads, self.sliced = heads, sliced
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.register_buffer("mask", torch.ones(context, context).tril().bool()[None, None])

    def forward(self, x):
        b, t, d = x.shape
        def split(y):
            return y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        merged = self.qkv(self.ln1(x))
        # The dynamo exporter writes split() as a sequence, which only its optimiser undoes.
        parts = [merged[..., i * d:(i + 1) * d] for i in range(3)] if self.sliced else merged.split(d, dim=2)
        q, k, v = (split(y) for y in parts)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)
        scores = torch.where(self.mask[:, :, :t, :t], scores, torch.tensor(-1e9))
        x = x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.out(F.gelu(self.fc(self.ln2(x))))


class Gpt2(nn.Module):
    def __init__(self, vocabulary=24, width=16, heads=2, blocks=2, context=12, sliced=False):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(GptBlock(width, heads, context, sliced) for _ in range(blocks))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Residual(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outside), nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(inside, outside, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.short(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Residual(6, 6, 1), Residual(6, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


class Shapes(nn.Module):
    """Little arithmetic and many operators that only make shapes, masks and tables."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3))

    def forward(self, x):
        b, t, d = x.shape
        places = torch.arange(t, device=x.device)
        mask = torch.full((t, t), -1e9).triu(1)[None].expand(b, t, t)
        wave = torch.cat((places.sin()[:, None], places.cos()[:, None]), -1).repeat(1, 2)
        y = (x.view(b * t, d) @ self.weight).view(b, t, 3) + wave[:, :3]
        y = (y @ y.transpose(1, 2) + mask).softmax(-1) @ y
        last = y[:, -1:, ::2].flip(1)
        first = torch.where(places[:1] > 0, y[:, :1, :2], y[:, :1, 1:])
        return torch.cat((first, last), dim=1).flatten(1)


class Attentive(nn.Module):
    """In the fused operators of operator set 23: RMSNormalization, RotaryEmbedding, Attention."""

    def __init__(self, vocabulary=24, width=16, heads=4, key_heads=2, context=8):
        super().__init__()
        self.heads, self.key_heads = heads, key_heads
        self.embed = nn.Embedding(vocabulary, width)
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.LayerNorm(width)
        self.q, self.o = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(width, width * key_heads // heads, bias=False) for _ in range(2))
        self.fc, self.out = nn.Linear(width, 24), nn.Linear(24, vocabulary)
        size = width // heads
        angles = torch.arange(context)[:, None] * 100.0 ** (-torch.arange(0, size, 2).float() / size)[None, :]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids):
        b, t = ids.shape
        x = self.embed(ids)
        h = self.norm1(x)
        places = torch.arange(t)[None].expand(b, t)
        def split(y, heads):
            return y.view(b, t, heads, -1).transpose(1, 2)
        def turn(y):
            if torch.compiler.is_exporting():
                return torch.onnx.ops.rotary_embedding(y, self.cos, self.sin, places)
            # The same, written out: PyTorch has no gradient for the operator.
            (one, two), cos, sin = y.chunk(2, -1), self.cos[:t], self.sin[:t]
            return torch.cat((one * cos - two * sin, two * cos + one * sin), -1)
        q, k = turn(split(self.q(h), self.heads)), turn(split(self.k(h), self.key_heads))
        y = F.scaled_dot_product_attention(q, k, split(self.v(h), self.key_heads), is_causal=True, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, -1))
        return self.out(F.gelu(self.fc(self.norm2(x)), approximate="tanh"))


class Images(nn.Module):
    """A small U-net, with what such networks move and measure images by."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(12, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.slope = nn.PReLU(8)
        self.mix = nn.Parameter(torch.randn(8, 8))
        self.back = nn.ConvTranspose2d(8, 8, 2, stride=2)

    def forward(self, x):
        h = F.silu(self.norm(self.down(F.pixel_unshuffle(x, 2))))
        low = F.selu(self.inner(h))
        low = torch.einsum("bchw,cd->bdhw", low, self.mix)
        smooth = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        sharp = F.interpolate(F.avg_pool2d(h, 2), size=(4, 4), mode="nearest")
        joined = self.slope(smooth + sharp) + F.softsign(self.back(low)) * F.adaptive_avg_pool2d(h, 1)
        best = joined.flatten(2).topk(3, dim=2).values.mean(2)
        return F.pixel_shuffle(self.up(joined), 2).flatten(1) * best.norm(dim=1, keepdim=True)


class Only(nn.Module):
    """One output of a model that returns many, for inputs by name."""

    def __init__(self, model, output, names):
        super().__init__()
        self.model, self.output, self.names = model, output, names

    def forward(self, *inputs):
        return self.model(**dict(zip(self.names, inputs, strict=True)))[self.output]


def bert():
    from transformers import BertConfig, BertForMaskedLM
    config = BertConfig(vocab_size=24, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=24, max_position_embeddings=12)
    return Only(BertForMaskedLM(config), "loss", ["input_ids", "token_type_ids", "attention_mask", "labels"])


def vit():
    from transformers import ViTConfig, ViTForImageClassification
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                       image_size=8, patch_size=4, num_labels=5)
    return Only(ViTForImageClassification(config), "logits", ["pixel_values"])


def write(name, model, inputs, *, output="output", dynamo=False, optimize=True, dynamic=None, training=False, opset=None,
          varied=False):
    torch.manual_seed(7)
    for key, parameter in model.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.4 if "embed" in key else 1 / math.sqrt(parameter[0].numel()))
        elif varied or key.endswith("bias"):
            nn.init.normal_(parameter, mean=0.0 if key.endswith("bias") else 1.0, std=0.1)
    # Else norm weights stay 1: exporters merge them into one tensor, which an importer has to undo.
    model.train(training)
    path = FIXTURES / f"{name}.onnx"
    data, names = tuple(inputs.values()), {"input_names": list(inputs), "output_names": [output]}
    if dynamo:
        torch.onnx.export(model, data, path, dynamo=True, optimize=optimize, opset_version=opset, **names,
                          external_data=False, verbose=False)
    else:
        mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(model, data, path, dynamo=False, opset_version=opset or 17, do_constant_folding=False,
                          dynamic_axes=dynamic, training=mode, **names)
    tidy(path)
    y = model(*data)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)) if y.dim() else torch.ones([])
    (y * dy).sum().backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}
    values = {key: parameter.detach() for key, parameter in model.named_parameters()}
    write_golden(name, inputs, y.detach(), dy, as_stored(name, gradients, values) if varied else gradients)


def models():
    """Each of the name of its fixture. The dynamo exporter's optimiser would fold parameters that meet
    nothing but constants (the class token, the positions): what is folded cannot be trained as it was."""
    ids = torch.randint(0, 24, (2, 6), generator=torch.Generator().manual_seed(1))
    language = {"input": ids}
    image = {"input": torch.randn(2, 3, 12, 12)}
    free = {"input": {0: "batch", 1: "sequence"}, "output": {0: "batch", 1: "sequence"}}
    batches = {"input": {0: "batch"}, "output": {0: "batch"}}
    # Not 0: PyTorch gives the padding's row no gradient, which a file does not say.
    text = {"input_ids": ids.clamp(min=1), "token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1]]).repeat(2, 1),
            "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
            # -100: no target
            "labels": torch.where(torch.arange(12).view(2, 6) % 3 == 1, ids, torch.tensor(-100))}
    texts = {key: {0: "batch", 1: "sequence"} for key in text}
    pixels = {"pixel_values": torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))}
    mlp = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(-1))
    return {
        "llama-tied": lambda: (Llama(), language, {"dynamic": free}),
        "llama-dynamo": lambda: (Llama(tied=False), language, {"dynamo": True}),
        "gpt2-tied": lambda: (Gpt2(), language, {"dynamic": free}),
        "gpt2-dynamo": lambda: (Gpt2(sliced=True), language, {"dynamo": True, "optimize": False}),
        "mlp": lambda: (mlp, {"input": torch.randn(5, 10)}, {"dynamic": batches}),
        "shapes": lambda: (Shapes(), {"input": torch.randn(2, 5, 4)}, {"dynamic": {"input": {0: "batch", 1: "sequence"}}}),
        "resnet": lambda: (resnet(), image, {"training": True}),
        "resnet-eval": lambda: (resnet(), image, {}),
        "bert": lambda: (bert(), text, {"output": "loss", "dynamic": texts}),
        "bert-dynamo": lambda: (bert(), text, {"output": "loss", "dynamo": True, "varied": True, "optimize": False}),
        "vit": lambda: (vit(), pixels, {"output": "logits", "dynamic": {"pixel_values": {0: "batch"}}}),
        "vit-dynamo": lambda: (vit(), pixels, {"output": "logits", "dynamo": True, "varied": True, "optimize": False}),
        "attentive": lambda: (Attentive(), language, {"dynamo": True, "opset": 23, "varied": True}),
        "images": lambda: (Images(), {"input": pixels["pixel_values"]}, {"varied": True}),
    }


def main():
    FIXTURES.mkdir(exist_ok=True)
    torch.manual_seed(1)
    for name, make in models().items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            model, inputs, options = make()
            write(name, model, inputs, **options)


if __name__ == "__main__":
    main()
