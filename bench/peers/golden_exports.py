"""Fixtures of what exporters write by default, where the file alone must tell what trains, and PyTorch's gradients.

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 transformers==5.24.0
    /tmp/peers/bin/python bench/peers/golden_exports.py [NAME ...]

As golden.py, for files with folded tables, merged parameters, tied matrices that are stored twice, buffers, masks and
constants. Gradients carry PyTorch's names; the files' names differ.
"""

import sys
import warnings

import onnx
import torch
from torch import nn

from golden_file import FIXTURES, as_recurrent, tidy, write_golden

PLACES = 6


class Logits(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(input_ids=ids, use_cache=False).logits


def hugging_face(kind):
    import transformers as hf
    sizes = dict(vocab_size=24, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                 num_key_value_heads=1, head_dim=8, max_position_embeddings=PLACES)
    if kind == "llama":
        return Logits(hf.LlamaForCausalLM(hf.LlamaConfig(**sizes)))
    if kind == "qwen3":
        return Logits(hf.Qwen3ForCausalLM(hf.Qwen3Config(**sizes, tie_word_embeddings=True)))
    if kind == "gemma3":
        return Logits(hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**sizes)))
    return Logits(hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=24, n_positions=PLACES, n_embd=16, n_layer=2, n_head=2)))


class Waves(nn.Module):
    """A table that is folded, a buffer, and a learned token that is called a mask."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 8), nn.Linear(8, 24)
        self.mask_token = nn.Parameter(torch.randn(1, 1, 8))
        self.register_buffer("pe", torch.randn(PLACES, 8) / 10)

    def forward(self, ids):
        angles = torch.arange(PLACES)[:, None] / 100 ** (torch.arange(4) / 8)
        x = torch.where((ids == 0)[..., None], self.mask_token, self.embed(ids))
        return self.head(torch.tanh(x + torch.cat((angles.sin(), angles.cos()), -1) + self.pe))


class Alibi(nn.Module):
    """A buffer that holds -inf and slopes."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 8), nn.Linear(8, 24)
        at = torch.arange(PLACES)
        self.register_buffer("bias", torch.full((PLACES, PLACES), -torch.inf).triu(1) - (at[:, None] - at).abs() * 0.1)

    def forward(self, ids):
        x = self.embed(ids)
        return self.head((x @ x.mT + self.bias).softmax(-1) @ x)


class Loop(nn.Module):
    """One bias, all of one number, that every step of a written-out loop reads."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(24, 8), nn.Linear(8, 8), nn.Linear(8, 24)

    def forward(self, ids):
        x, states = self.embed(ids), []
        state = x[:, -1]
        for at in range(PLACES):
            state = torch.tanh(self.cell(state) + x[:, at])
            states.append(state)
        return self.head(torch.stack(states, 1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 8), nn.Linear(8, 24, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.embed(ids)))


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.conv, self.head = nn.Embedding(24, 8), nn.Conv1d(8, 8, 3), nn.Linear(8, 24, bias=False)

    def forward(self, ids):
        x = self.embed(ids)
        h = nn.functional.pad(x.transpose(1, 2), (2, 0))
        return self.head(x + self.conv(h).tanh().transpose(1, 2))


class Recurrent(nn.Module):
    """A recurrent layer between an embedding and a head, [batch, places, width]."""

    def __init__(self, kind, **options):
        super().__init__()
        self.embed = nn.Embedding(24, 6)
        self.cell = getattr(nn, kind)(6, 8, batch_first=True, **options)
        self.head = nn.Linear(16 if options.get("bidirectional") else 8, 24)

    def forward(self, ids):
        return self.head(self.cell(self.embed(ids))[0])


class Started(nn.Module):
    """A recurrent layer that begins with a learned state."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(24, 6), nn.GRU(6, 8), nn.Linear(8, 24)
        self.start = nn.Parameter(torch.randn(1, 2, 8))

    def forward(self, ids):
        return self.head(self.cell(self.embed(ids).transpose(0, 1), self.start)[0].transpose(0, 1))


def constants(path):
    """The convolution's weights as Constant nodes, as some exporters write them."""
    model = onnx.load(path)
    for tensor in [each for each in model.graph.initializer if each.name.startswith("conv")]:
        model.graph.initializer.remove(tensor)
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    onnx.save(model, path)


def zero_biases(model):
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return model


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def models():
    # Not 0: PyTorch gives the padding's row no gradient, which a file does not say.
    ids = torch.randint(1, 24, (2, PLACES), generator=torch.Generator().manual_seed(1))
    masked = ids.where(ids > 4, 0)
    return {
        **{f"hf-{kind}": lambda kind=kind: (hugging_face(kind), ids, {}) for kind in ("llama", "qwen3", "gemma3", "gpt2")},
        "waves": lambda: (Waves(), masked, {}),
        "alibi": lambda: (Alibi(), ids, {}),
        "loop": lambda: (zero_biases(Loop()), ids, {}),
        "loop-old": lambda: (zero_biases(Loop()), ids, {"dynamo": False, "opset_version": 17}),
        "tied-folded": lambda: (Tied(), ids, {}),
        "tied-old": lambda: (Tied(), ids, {"dynamo": False, "opset_version": 17}),
        "encoder": lambda: (encoder(), torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2)), {}),
        "lstm": lambda: (Recurrent("LSTM", num_layers=2), ids, {}),
        "lstm-old": lambda: (Recurrent("LSTM", bidirectional=True), ids, {"dynamo": False, "opset_version": 17}),
        "gru": lambda: (Recurrent("GRU", bidirectional=True), ids, {}),
        "gru-state": lambda: (Started(), ids, {"dynamo": False, "opset_version": 17}),
        "rnn": lambda: (Recurrent("RNN", nonlinearity="relu"), ids, {}),
        "rnn-old": lambda: (Recurrent("RNN", bidirectional=True), ids, {"dynamo": False, "opset_version": 17}),
        "constants": lambda: (Convolution(), ids, {"dynamo": False, "opset_version": 17}),
    }


def write(name, model, data, options):
    model.eval()
    path = FIXTURES / f"{name}.onnx"
    options = {"dynamo": True, **options}
    if options["dynamo"]:
        options["external_data"], options["verbose"] = False, False
    torch.onnx.export(model, (data,), path, input_names=["input"], output_names=["output"], **options)
    tidy(path, said=True)
    if name == "constants":
        constants(path)
    y = model(data)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    (y * dy).sum().backward()
    gradients = {key: each.grad for key, each in model.named_parameters() if each.grad is not None}
    # The exporter stores a recurrent layer's gates in another order, and its directions and biases together.
    if {"LSTM", "GRU", "RNN"} & {node.op_type for node in onnx.load(path).graph.node}:
        gradients = as_recurrent({key: each for key, each in model.named_modules() if isinstance(each, nn.RNNBase)}, gradients)
    write_golden(name, {"input": data}, y.detach(), dy, gradients)


def main():
    warnings.filterwarnings("ignore")
    for name, make in models().items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            torch.manual_seed(1)
            write(name, *make())


if __name__ == "__main__":
    main()
