"""Makes the ONNX fixtures of src-engine and PyTorch's own numbers for them.

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install torch onnx onnxscript
    /tmp/peers/bin/python bench/peers/golden.py && npm run fix

For each model NAME it writes src-engine/fixtures/NAME.onnx and NAME.json. The JSON holds the data that
was fed, the outputs, and the gradient of the sum of `output * dy` with respect to every parameter, as
float32 in base64. Parameters carry PyTorch's names; a tied one appears once, with its summed gradient.
The product and its tests need no Python: the files are committed.
"""

import base64
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "src-engine" / "fixtures"


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


def base64_of(tensor):
    return base64.b64encode(tensor.detach().float().contiguous().numpy().tobytes()).decode()


def write(name, model, data, *, dynamo=False, optimize=True, dynamic=None, training=False):
    torch.manual_seed(7)
    for key, parameter in model.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.4 if "embed" in key else 1 / math.sqrt(parameter[0].numel()))
        elif key.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    # Norm weights stay 1: exporters then merge them into one tensor, which an importer has to undo.
    model.train(training)
    path = FIXTURES / f"{name}.onnx"
    if dynamo:
        torch.onnx.export(model, (data,), path, dynamo=True, optimize=optimize, input_names=["input"], output_names=["output"],
                          external_data=False, verbose=False)
    else:
        mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(model, (data,), path, dynamo=False, opset_version=17, do_constant_folding=False,
                          input_names=["input"], output_names=["output"], dynamic_axes=dynamic, training=mode)
    output = model(data)
    dy = torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
    (output * dy).sum().backward()
    golden = {
        "input": {"shape": list(data.shape), "integers" if data.dtype == torch.int64 else "base64":
                  data.flatten().tolist() if data.dtype == torch.int64 else base64_of(data)},
        "output": {"shape": list(output.shape), "base64": base64_of(output)},
        "dy": base64_of(dy),
        "gradients": {key: base64_of(parameter.grad) for key, parameter in model.named_parameters()},
    }
    (FIXTURES / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{name}: {path.stat().st_size} bytes, {sum(p.numel() for p in model.parameters())} parameters")


def main():
    FIXTURES.mkdir(exist_ok=True)
    torch.manual_seed(1)
    ids = torch.randint(0, 24, (2, 6))
    free = {"input": {0: "batch", 1: "sequence"}, "output": {0: "batch", 1: "sequence"}}
    write("llama-tied", Llama(), ids, dynamic=free)
    write("llama-dynamo", Llama(tied=False), ids, dynamo=True)
    write("gpt2-tied", Gpt2(), ids, dynamic=free)
    write("gpt2-dynamo", Gpt2(sliced=True), ids, dynamo=True, optimize=False)
    mlp = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(-1))
    write("mlp", mlp, torch.randn(5, 10), dynamic={"input": {0: "batch"}, "output": {0: "batch"}})
    write("shapes", Shapes(), torch.randn(2, 5, 4), dynamic={"input": {0: "batch", 1: "sequence"}})
    write("resnet", resnet(), torch.randn(2, 3, 12, 12), training=True)
    write("resnet-eval", resnet(), torch.randn(2, 3, 12, 12))


if __name__ == "__main__":
    main()
