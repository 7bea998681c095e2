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


class Chunked(nn.Module):
    """Without the exporter's optimiser a chunk is a list of tensors that is read at fixed places."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 8), nn.Linear(8, 24)

    def forward(self, ids):
        first, second = self.embed(ids).chunk(2, -1)
        return self.head(torch.cat((second.tanh(), first), -1))


class Scanned(nn.Module):
    """A loop over the places as the exporter writes it: Scan."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(24, 8), nn.Linear(8, 8), nn.Linear(8, 24)

    def forward(self, ids):
        from torch._higher_order_ops import scan

        def step(state, x):
            state = torch.tanh(self.cell(state) + x)
            return state, state.clone()

        x = self.embed(ids).transpose(0, 1)
        return self.head(scan(step, torch.zeros(ids.shape[0], 8), x)[1].transpose(0, 1))


class Counted(nn.Module):
    """A loop of a scripted model: Loop."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(24, 8), nn.Linear(8, 8), nn.Linear(8, 24)

    def forward(self, ids):
        x = self.embed(ids)
        for _ in range(ids.size(1)):
            x = x + torch.tanh(self.cell(x))
        return self.head(x)


class Cached(nn.Module):
    """Attention with a cache, with the inputs and outputs of Optimum's files."""

    def __init__(self):
        super().__init__()
        self.embed, self.places = nn.Embedding(24, 16), nn.Embedding(12, 16)
        self.qkv, self.out, self.head = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 24)

    def forward(self, input_ids, attention_mask, position_ids, past_key, past_value):
        x = self.embed(input_ids) + self.places(position_ids)
        q, k, v = (each.unflatten(-1, (2, 8)).transpose(1, 2) for each in self.qkv(x).split(16, -1))
        k, v = torch.cat((past_key, k), 2), torch.cat((past_value, v), 2)
        places = torch.arange(k.shape[2])
        seen = places[None, :] <= places[k.shape[2] - q.shape[2]:, None]
        seen = seen[None, None] & (attention_mask[:, None, None, :] > 0)
        scores = (q @ k.transpose(-1, -2) / 8 ** 0.5).masked_fill(~seen, torch.finfo(q.dtype).min)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.head(x + self.out(mixed)), k, v


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.conv, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.conv(torch.max_pool2d(self.embed(x).tanh(), 2)).flatten(1))


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


class Packed(nn.Module):
    """An LSTM over texts of different lengths, told by their padding: sequence_lens."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 6), nn.Linear(16, 24)
        self.cell = nn.LSTM(6, 8, batch_first=True, bidirectional=True)

    def forward(self, ids):
        lengths = (ids != 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths, batch_first=True)
        return self.head(nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True)[0])


class Adapted(nn.Module):
    """A layer that is frozen, with a product of two thin matrices beside it that learns (arXiv:2106.09685)."""

    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, base.in_features) / 4)
        self.lora_b = nn.Parameter(torch.randn(base.out_features, rank) / 4)

    def forward(self, x):
        return self.base(x) + 2.0 * (x @ self.lora_a.T @ self.lora_b.T)


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(24, 8).requires_grad_(False)
        self.first, self.second = Adapted(nn.Linear(8, 12)), Adapted(nn.Linear(12, 8))
        self.head = nn.Linear(8, 24)

    def forward(self, ids):
        x = self.embed(ids)
        return self.head(x + self.second(self.first(x).tanh()))


def constants(path):
    """The convolution's weights as Constant nodes, as some exporters write them."""
    model = onnx.load(path)
    for tensor in [each for each in model.graph.initializer if each.name.startswith("conv")]:
        model.graph.initializer.remove(tensor)
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    onnx.save(model, path)


def pooled(path):
    """The pooling as JAX and Keras write it: over four axes, of which two have a window of 1."""
    model = onnx.load(path)
    graph = model.graph
    at = next(i for i, node in enumerate(graph.node) if node.op_type == "MaxPool")
    x, y = graph.node[at].input[0], graph.node[at].output[0]
    del graph.node[at]
    graph.initializer.extend([onnx.helper.make_tensor("more", 7, [6], [1, 1, 2, 4, 8, 8]),
                              onnx.helper.make_tensor("fewer", 7, [4], [2, 4, 4, 4])])
    node = onnx.helper.make_node
    for each in reversed([
        node("Reshape", [x, "more"], ["six"], name="six"),
        node("MaxPool", ["six"], ["pooled"], name="pool", kernel_shape=[1, 1, 2, 2], strides=[1, 1, 2, 2]),
        node("Reshape", ["pooled", "fewer"], [y], name="four"),
    ]):
        graph.node.insert(at, each)
    onnx.save(model, path)


def functions(path):
    """Each product of the head and what follows it as a call of a function inside the file, which calls another one."""
    model = onnx.load(path)
    graph, node = model.graph, onnx.helper.make_node
    opset = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    squash = onnx.helper.make_function("own", "Squash", ["x"], ["y"], [node("Tanh", ["x"], ["y"])], opset)
    linear = onnx.helper.make_function("own", "Linear", ["x", "w", "b"], ["y"], [
        node("MatMul", ["x", "w"], ["product"]),
        node("Add", ["product", "b"], ["sum"]),
        node("Squash", ["sum"], ["squashed"], domain="own"),
        node("Concat", ["squashed", "sum"], ["both"]),
        node("Slice", ["both", "zero", "half", "axis"], ["first"]),
        node("Constant", [], ["unused"], value_int=1),
        node("Mul", ["first", "sum"], ["y"]),
    ], opset, ["axis"])
    linear.node[3].attribute.append(onnx.AttributeProto(name="axis", ref_attr_name="axis", type=onnx.AttributeProto.INT))
    for each in [("zero", 0), ("half", 24), ("axis", -1)]:
        linear.node.insert(0, node("Constant", [], [each[0]], value_ints=[each[1]]))
    at = next(i for i, each in enumerate(graph.node) if each.op_type == "MatMul")
    product, add = graph.node[at], graph.node[at + 1]
    bias = next(name for name in add.input if name != product.output[0])
    call = node("Linear", [product.input[0], product.input[1], bias], list(add.output), name="call", domain="own", axis=-1)
    del graph.node[at:at + 2]
    graph.node.insert(at, call)
    model.opset_import.append(opset[1])
    model.functions.extend([squash, linear])
    onnx.checker.check_model(model)
    onnx.save(model, path)


class Called(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(24, 8), nn.Linear(8, 24)

    def forward(self, ids):
        x = self.head(self.embed(ids))
        return x.tanh() * x


class Written(Called):
    """What is exported of it: the rest becomes the function's."""

    def forward(self, ids):
        return self.head(self.embed(ids))


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
        "lstm-packed": lambda: (Packed(), torch.tensor([[3, 7, 1, 9, 2, 5], [8, 4, 6, 0, 0, 0]]), {"dynamo": False, "opset_version": 17}),
        "lora": lambda: (Lora(), ids, {}),
        "lists": lambda: (Chunked(), ids, {"optimize": False}),
        "bag": lambda: (nn.Sequential(nn.EmbeddingBag(24, 8, mode="sum"), nn.Linear(8, 24)), ids, {}),
        "scan": lambda: (Scanned(), ids, {}),
        "turns": lambda: (torch.jit.script(Counted()), ids, {
            "dynamo": False, "opset_version": 17, "dynamic_axes": {"input": {0: "batch", 1: "sequence"}}}),
        "cached": lambda: (Cached(), cached(ids), {
            "dynamo": False, "opset_version": 17,
            "input_names": ["input_ids", "attention_mask", "position_ids", "past_key_values.0.key", "past_key_values.0.value"],
            "output_names": ["logits", "present.0.key", "present.0.value"],
            "dynamic_axes": {"input_ids": {0: "batch_size", 1: "sequence_length"},
                             "attention_mask": {0: "batch_size", 1: "past_sequence_length + sequence_length"},
                             "position_ids": {0: "batch_size", 1: "sequence_length"},
                             **{f"past_key_values.0.{each}": {0: "batch_size", 2: "past_sequence_length"} for each in ("key", "value")}},
        }),
        "pooled": lambda: (Pooled(), torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(2)), {}),
        "functions": lambda: (Written(), ids, {"dynamo": False, "opset_version": 17}),
        "constants": lambda: (Convolution(), ids, {"dynamo": False, "opset_version": 17}),
    }


def cached(ids):
    past = torch.randn(2, 2, 3, 8, generator=torch.Generator().manual_seed(4))
    return ids, torch.ones(2, PLACES + 3, dtype=torch.int64), torch.arange(3, PLACES + 3).expand(2, PLACES), past, past


AFTER = {"constants": constants, "pooled": pooled, "functions": functions}


def write(name, model, data, options):
    model.eval()
    path = FIXTURES / f"{name}.onnx"
    options = {"dynamo": True, "input_names": ["input"], "output_names": ["output"], **options}
    if options["dynamo"]:
        options["external_data"], options["verbose"] = False, False
    given = data if isinstance(data, tuple) else (data,)
    torch.onnx.export(model, given, path, **options)
    tidy(path, said=True)
    if name in AFTER:
        AFTER[name](path)
    if name == "functions":
        called = Called()
        called.load_state_dict(model.state_dict())
        model = called
    if name == "cached":
        # In training there is nothing before the first token.
        ids, empty = given[0], torch.zeros(2, 2, 0, 8)
        given = (ids, torch.ones_like(ids), torch.arange(PLACES).expand(2, PLACES), empty, empty)
    y = model(*given)
    y = y[0] if isinstance(y, tuple) else y
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    (y * dy).sum().backward()
    gradients = {key: each.grad for key, each in model.named_parameters() if each.grad is not None}
    # The exporter stores a recurrent layer's gates in another order, and its directions and biases together.
    if {"LSTM", "GRU", "RNN"} & {node.op_type for node in onnx.load(path).graph.node}:
        gradients = as_recurrent({key: each for key, each in model.named_modules() if isinstance(each, nn.RNNBase)}, gradients)
    write_golden(name, {options["input_names"][0]: given[0]}, y.detach(), dy, gradients)


def main():
    warnings.filterwarnings("ignore")
    for name, make in models().items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            torch.manual_seed(1)
            write(name, *make())


if __name__ == "__main__":
    main()
