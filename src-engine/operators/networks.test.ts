import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../graph-builder.ts";
import { OPERATORS } from "../operators.ts";
import { randomStream } from "../random.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type Feeds, worstDifference } from "./differences.test-support.ts";

/** Operators as exports of whole networks join them; every parameter is trained. */
class Network {
  readonly graph = new GraphBuilder(OPERATORS, "float64");
  readonly feeds: Feeds = {};
  readonly parameters: Tensor[] = [];
  readonly random = randomStream("networks");

  input(name: string, shape: Shape): Tensor {
    const data = Array.from({ length: sizeOf(shape) }, () => 2 * this.random() - 1);
    this.feeds[name] = { shape, data, type: "float64" };
    return this.graph.input(name, shape);
  }
  parameter(...shape: number[]): Tensor {
    const tensor = this.input(`p${this.parameters.length}`, shape);
    this.parameters.push(tensor);
    return tensor;
  }
  ids(name: string, shape: Shape, below: number): Tensor {
    const data = Array.from({ length: sizeOf(shape) }, () => Math.floor(this.random() * below));
    this.feeds[name] = { shape, data, type: "int32" };
    return this.graph.input(name, shape, "int32");
  }
  /** `x · w + b` over the last axis. */
  linear(x: Tensor, width: number): Tensor {
    return x.matmul(this.parameter(x.dim(-1), width)).add(this.parameter(width));
  }
  layerNorm(x: Tensor): Tensor {
    const width = x.dim(-1);
    return this.graph.apply("LayerNormalization", [x, this.parameter(width), this.parameter(width)], {
      epsilon: 0.0625,
    });
  }
  /** A block of BERT (norms after) or of GPT-2 and ViT (norms before), on [batch, sequence, width]. */
  block(
    x: Tensor,
    { heads, causal, normFirst }: { heads: number; causal: boolean; normFirst: boolean },
  ): Tensor {
    const width = x.dim(-1);
    const before = (each: Tensor): Tensor => (normFirst ? this.layerNorm(each) : each);
    const after = (each: Tensor): Tensor => (normFirst ? each : this.layerNorm(each));
    const [q, k, v] = this.linear(before(x), 3 * width).split(-1, [width, width, width]) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const mixed = this.graph.apply("Attention", [q, k, v], {
      q_num_heads: heads,
      kv_num_heads: heads,
      is_causal: Number(causal),
    });
    const attended = after(x.add(this.linear(mixed, width)));
    const hidden = this.graph.apply("Gelu", [this.linear(before(attended), 2 * width)], {
      approximate: causal ? "tanh" : "none",
    });
    return after(attended.add(this.linear(hidden, width)));
  }
  convolution(x: Tensor, channels: number, size: number, stride: number): Tensor {
    const weights = this.parameter(channels, x.dim(1), size, size);
    const pads = Array.from({ length: 4 }, () => (size - 1) / 2);
    const y = this.graph.apply("Conv", [x, weights], { strides: [stride, stride], pads });
    const fixed = (value: number): Tensor => this.graph.full([channels], value);
    const norm = [y, this.parameter(channels), this.parameter(channels), fixed(0), fixed(1)];
    return this.graph.applyAll("BatchNormalization", norm, {
      training_mode: 1,
      epsilon: 0.0625,
    })[0] as Tensor;
  }
  relu(x: Tensor): Tensor {
    return this.graph.apply("Relu", [x]);
  }
  async worstError(scores: Tensor, labels: Tensor): Promise<number> {
    const { graph, feeds, random } = this;
    const loss = graph.apply("SoftmaxCrossEntropyLoss", [scores, labels]);
    const seeds = new Map([[loss, graph.full([], 1)]]);
    return worstDifference({ graph, seeds, targets: this.parameters, feeds, random });
  }
}

describe("a whole network's gradients equal central differences", () => {
  it("GPT-2: tied embedding and output, learned positions, causal blocks", async () => {
    const net = new Network();
    const [table, positions] = [net.parameter(11, 4), net.parameter(8, 4)];
    const tokens = net.ids("tokens", [2, 5], 11);
    let x = table.gather(tokens).add(positions.gather(net.graph.indices([0, 1, 2, 3, 4])));
    for (let i = 0; i < 2; i++) x = net.block(x, { heads: 2, causal: true, normFirst: true });
    const scores = net.layerNorm(x).rows().gemm(table, { transB: true });
    expect(await net.worstError(scores, net.ids("labels", [10], 11))).toBeLessThan(1e-6);
  });

  it("BERT: norms after the blocks, classified by its first token through a tanh", async () => {
    const net = new Network();
    const words = net.parameter(13, 4).gather(net.ids("tokens", [3, 4], 13));
    const kinds = net.parameter(2, 4).gather(net.ids("kinds", [3, 4], 2));
    let x = net.layerNorm(words.add(kinds));
    for (let i = 0; i < 2; i++) x = net.block(x, { heads: 2, causal: false, normFirst: false });
    const first = net.graph.apply("Gather", [x, net.graph.constant("int64", [], [0])], { axis: 1 });
    const scores = net.linear(net.linear(first, 4).tanh(), 3);
    expect(await net.worstError(scores, net.ids("labels", [3], 3))).toBeLessThan(1e-6);
  });

  it("ViT: patches by a convolution, a class token before them", async () => {
    const net = new Network();
    const patches = net.graph.apply(
      "Conv",
      [net.input("image", [2, 3, 6, 6]), net.parameter(4, 3, 2, 2), net.parameter(4)],
      { strides: [2, 2] },
    );
    const tokens = patches.reshape([2, 4, 9]).transpose(0, 2, 1);
    const classToken = net.parameter(1, 1, 4).expand([2, 1, 4]);
    let x = classToken.concat([tokens], 1).add(net.parameter(1, 10, 4));
    x = net.block(x, { heads: 2, causal: false, normFirst: true });
    const scores = net.linear(net.layerNorm(x).slice(1, 0, 1).reshape([2, 4]), 3);
    expect(await net.worstError(scores, net.ids("labels", [2], 3))).toBeLessThan(1e-6);
  });

  it("ResNet: batch statistics, pooling, a residual block with a shortcut, global average", async () => {
    const net = new Network();
    const stem = net.relu(net.convolution(net.input("image", [2, 3, 12, 12]), 4, 7, 2));
    const pooled = net.graph.apply("MaxPool", [stem], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    });
    const inner = net.convolution(net.relu(net.convolution(pooled, 4, 3, 2)), 6, 3, 1);
    const block = net.relu(inner.add(net.convolution(pooled, 6, 1, 2)));
    const features = net.graph.apply("Flatten", [net.graph.apply("GlobalAveragePool", [block])]);
    const scores = features.gemm(net.parameter(5, 6), { transB: true, plus: net.parameter(5) });
    expect(await net.worstError(scores, net.ids("labels", [2], 5))).toBeLessThan(1e-6);
  });
});
