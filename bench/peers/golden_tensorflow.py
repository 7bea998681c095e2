"""Makes the ONNX fixtures of src-engine that come from TensorFlow, with TensorFlow's own numbers for them.

    python3.11 -m venv /tmp/peers-tf
    /tmp/peers-tf/bin/pip install tensorflow-cpu==2.15.1 tf2onnx==1.16.1 onnx==1.15.0
    /tmp/peers-tf/bin/python bench/peers/golden_tensorflow.py [NAME ...] && npm run fix

Keras models go through tf2onnx; outputs and gradients are those of tf.GradientTape in float32. Parameters
carry the names, and have the order of axes, that they have in the file. See golden.py for what is written.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy
import tensorflow as tf
import tf2onnx
from tf2onnx.optimizer import _get_optimizers
from tensorflow import keras
from tensorflow.keras import layers

from golden_file import FIXTURES, as_stored, write_golden


def cnn():
    image = keras.Input((12, 12, 3), batch_size=2, name="image")
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Conv2D(8, 1, strides=2, activation="swish")(layers.LeakyReLU(0.1)(x))
    wide = layers.UpSampling2D(2, interpolation="bilinear")(x)
    wide = layers.Conv2DTranspose(4, 2, strides=1, padding="same", activation="elu")(wide)
    joined = layers.Concatenate()([layers.AveragePooling2D(2)(wide), x])
    pooled = layers.GlobalAveragePooling2D()(joined)
    return keras.Model(image, layers.Dense(5, activation="softmax")(pooled))


class Positions(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(name="table", shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.table


def text():
    tokens = keras.Input((7,), batch_size=2, dtype=tf.int32, name="tokens")
    x = Positions()(layers.Embedding(24, 16)(tokens))
    for _ in range(2):
        h = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.MultiHeadAttention(2, 8)(h, h, use_causal_mask=True)
        h = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.Dense(16)(layers.Dense(24, activation="gelu")(h))
    return keras.Model(tokens, layers.Dense(24)(x))


def write(name, model, data):
    draw = numpy.random.default_rng(7)
    for variable in model.variables:
        shape = variable.shape
        around = 1.0 if any(part in variable.name for part in ("gamma", "moving_variance")) else 0.0
        spread = 0.1 if len(shape) < 2 else (0.4 if "embed" in variable.name else numpy.prod(shape[:-1]) ** -0.5)
        variable.assign(around + spread * draw.standard_normal(shape))
    # Its last pass merges a batch normalisation into the convolution before it.
    passes = {key: value for key, value in _get_optimizers().items() if key != "remove_back_to_back"}
    signature = [tf.TensorSpec(each.shape, each.dtype, name=each.name) for each in model.inputs]
    tf2onnx.convert.from_keras(model, signature, opset=17, optimizers=passes, output_path=str(FIXTURES / f"{name}.onnx"))
    with tf.GradientTape() as tape:
        y = model(data, training=False)
        dy = tf.constant(draw.standard_normal(y.shape), tf.float32)
        total = tf.reduce_sum(y * dy)
    trained = model.trainable_variables
    gradients = {each.name: tf.convert_to_tensor(d).numpy() for each, d in zip(trained, tape.gradient(total, trained))}
    values = {each.name: each.numpy() for each in trained}
    write_golden(name, {model.inputs[0].name: data}, y.numpy(), dy.numpy(), as_stored(name, gradients, values))


def main():
    draw = numpy.random.default_rng(3)
    image = draw.standard_normal((2, 12, 12, 3)).astype(numpy.float32)
    tokens = draw.integers(0, 24, (2, 7)).astype(numpy.int32)
    for name, make, data in [("keras-cnn", cnn, image), ("keras-text", text, tokens)]:
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write(name, make(), data)


if __name__ == "__main__":
    main()
