"""What every script here writes: a model's data, outputs and gradients, as src-engine's tests read them."""

import base64
import itertools
import json
import pathlib

import numpy
import onnx

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "src-engine" / "fixtures"


def base64_of(array):
    """float32, little-endian, row-major."""
    return base64.b64encode(numpy.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def value_of(array):
    array = numpy.asarray(array)
    whole = array.dtype.kind in "iub"
    return {"shape": list(array.shape), **({"integers": array.flatten().tolist()} if whole else {"base64": base64_of(array)})}


# What the exporter says of parameters: the importer goes by it.
SAID = {"pkg.torch.export.ExportedProgram.graph_signature", "pkg.torch.export.graph_signature.InputSpec.kind",
        "pkg.onnxscript.optimizer.folded_from", "pkg.torch.onnx.fx_node"}


def tidy(path, said=False):
    """Keeps of an exporter's notes the module that each node comes from, and with `said` what it says of parameters:
    the rest is this machine's paths."""
    model = onnx.load(path)
    del model.metadata_props[:]
    stored = {each.name for each in model.graph.initializer}
    for node in model.graph.node:
        reads = said and any(name in stored for name in node.input)
        keep(node.metadata_props, {"pkg.torch.onnx.name_scopes"} | (SAID if reads else set()))
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        keep(value.metadata_props, SAID if said else set())
        value.doc_string = ""
    keep(model.graph.metadata_props, SAID if said else set())
    onnx.save(model, path)


def keep(entries, keys):
    kept = [each for each in entries if each.key in keys]
    del entries[:]
    entries.extend(kept)


def as_stored(name, gradients, values):
    """The gradients by the names, and in the shapes and orders of axes, in which the model NAME.onnx stores the
    values: exporters transpose matrices and call them `val_3`. What is found nowhere keeps its own name."""
    graph = onnx.load(FIXTURES / f"{name}.onnx").graph
    used = {each for node in graph.node if node.op_type != "Shape" for each in node.input}
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name in used}
    found = {}
    for key, gradient in gradients.items():
        value, gradient = numpy.asarray(values[key]), numpy.asarray(gradient)
        if key in stored:
            found[key] = gradient
            continue
        match = next(((other, order) for order in itertools.permutations(range(value.ndim)) for other, held in stored.items()
                      if other not in found and numpy.array_equal(held.flatten(), value.transpose(order).flatten())), None)
        if match:
            found[match[0]] = gradient.transpose(match[1]).reshape(stored[match[0]].shape)
        else:
            found[key] = gradient
    return found


def write_golden(name, inputs, output, dy, gradients):
    """Beside the model NAME.onnx: its data by input, its first output, and the gradient of the sum of
    `output * dy` by parameter."""
    golden = {
        "inputs": {key: value_of(value) for key, value in inputs.items()},
        "output": {"shape": list(numpy.shape(output)), "base64": base64_of(output)},
        "dy": base64_of(dy),
        "gradients": {key: base64_of(value) for key, value in gradients.items()},
    }
    (FIXTURES / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")
    size = (FIXTURES / f"{name}.onnx").stat().st_size
    print(f"{name}: {size} bytes, {sum(numpy.asarray(value).size for value in gradients.values())} parameters")


# Where each gate of PyTorch's stands in ONNX's order: i f g o as i o f c, r z n as z r h.
GATES = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}


def as_recurrent(layers, values):
    """Of PyTorch's recurrent modules, by prefix: the values in the form of ONNX's W, R and B, one for all directions."""
    found = {}
    for prefix, module in layers.items():
        order = GATES[module.mode.split("_")[0]]

        def gated(array):
            gates = numpy.split(numpy.asarray(array), len(order), axis=0)
            return numpy.concatenate([gates[i] for i in order])

        directions = ["", "_reverse"] if module.bidirectional else [""]
        for layer in range(module.num_layers):
            def each(kind):
                return [gated(values[f"{prefix}.{kind}_l{layer}{end}"]) for end in directions]
            found[f"{prefix}.W{layer}"] = numpy.stack(each("weight_ih"))
            found[f"{prefix}.R{layer}"] = numpy.stack(each("weight_hh"))
            if module.bias:
                both = zip(each("bias_ih"), each("bias_hh"))
                found[f"{prefix}.B{layer}"] = numpy.stack([numpy.concatenate(pair) for pair in both])
    others = {key: value for key, value in values.items() if not any(key.startswith(f"{each}.") for each in layers)}
    return {**found, **others}
