import type { DecoderSpec, Rope } from "../../src-protocol/decoder.ts";
import type { GraphBuilder } from "../graph-builder.ts";
import type { MicroBatchShape } from "../llama.ts";
import type { Tensor } from "../tensor.ts";
import { type FamilyLayout, LAYOUTS, SCORES } from "./layout.ts";
import { rotaryTables } from "./rotary.ts";

/** The forward graph of a decoder. Activations are `[batch·sequence, width]`, row-major. */
export class Decoder {
  readonly #graph: GraphBuilder;
  readonly #spec: DecoderSpec;
  readonly #shape: MicroBatchShape;
  readonly #layout: FamilyLayout;
  readonly #parameter: (name: string) => Tensor;
  readonly #tables = new Map<Rope, [Tensor, Tensor]>();

  /** `parameter` gives the tensor of a name in the files. */
  constructor(
    graph: GraphBuilder,
    spec: DecoderSpec,
    shape: MicroBatchShape,
    parameter: (name: string) => Tensor,
  ) {
    this.#graph = graph;
    this.#spec = spec;
    this.#shape = shape;
    this.#layout = LAYOUTS[spec.family];
    this.#parameter = parameter;
  }

  /** Scores [batch·sequence, vocabulary] of the token after each of `tokens` [batch·sequence]. */
  scores(tokens: Tensor): Tensor {
    const { prefix, blocks, tied, bias, scoresCap } = this.#spec;
    let x = this.#embed(tokens);
    for (let index = 0; index < blocks; index++)
      x = this.#graph.within(`block.${index}`, () => this.#block(x, index));
    const last = this.#norm(x, `${prefix}${this.#layout.names.lastNorm}`);
    const plus = bias.scores ? this.#parameter(`${SCORES}.bias`) : undefined;
    const scores = tied
      ? last.gemm(this.#embedding(), { transB: true, plus })
      : this.#product(last, this.#parameter(`${SCORES}.weight`), plus);
    return scoresCap === null
      ? scores
      : scores
          .mul(1 / scoresCap)
          .tanh()
          .mul(scoresCap);
  }

  #embedding(): Tensor {
    return this.#parameter(`${this.#spec.prefix}${this.#layout.names.embedding}.weight`);
  }

  #embed(tokens: Tensor): Tensor {
    const { prefix, embeddingScale, positions, width } = this.#spec;
    const { batch, sequence } = this.#shape;
    const embedded = this.#embedding().gather(tokens).mul(embeddingScale);
    const { positions: name } = this.#layout.names;
    if (positions === null || name === undefined) return embedded;
    const learned = this.#parameter(`${prefix}${name}.weight`).slice(0, 0, sequence);
    return embedded.reshape([batch, sequence, width]).add(learned).reshape(embedded.shape);
  }

  #block(x: Tensor, index: number): Tensor {
    const { names, block } = this.#layout;
    const own = (name: string): string => `${this.#spec.prefix}${names.block}${index}.${name}`;
    const input = this.#norm(x, own(names.attentionNorm));
    const attended = this.#attention(input, index, own);
    if (block === "side by side") return x.add(attended).add(this.#hidden(input, own));
    const after = (added: Tensor, name: string | undefined): Tensor =>
      name === undefined ? added : this.#norm(added, own(name));
    const between = x.add(after(attended, names.afterAttentionNorm));
    const hidden = this.#hidden(this.#norm(between, own(names.hiddenNorm ?? "")), own);
    return between.add(after(hidden, names.afterHiddenNorm));
  }

  /** Over the last axis. */
  #norm(x: Tensor, name: string): Tensor {
    const { normEpsilon: epsilon } = this.#spec;
    const weight = this.#parameter(`${name}.weight`);
    switch (this.#layout.norm) {
      case "rms":
        return this.#graph.apply("RMSNormalization", [x, weight], { epsilon });
      case "rms around 0":
        return this.#graph.apply("RMSNormalization", [x, weight.add(1)], { epsilon });
      case "layer":
        return this.#graph.apply("LayerNormalization", [x, weight, this.#parameter(`${name}.bias`)], {
          epsilon,
        });
    }
  }

  #layer(x: Tensor, name: string, biased: boolean): Tensor {
    return this.#product(
      x,
      this.#parameter(`${name}.weight`),
      biased ? this.#parameter(`${name}.bias`) : undefined,
    );
  }

  #product(x: Tensor, weight: Tensor, plus: Tensor | undefined): Tensor {
    return plus ? x.gemm(weight, { plus }) : x.matmul(weight);
  }

  #attention(x: Tensor, index: number, own: (name: string) => string): Tensor {
    const { heads, keyHeads, headSize, bias, windows, attentionScale, attentionCap, scaledByBlock } =
      this.#spec;
    const { batch, sequence } = this.#shape;
    const { names, headNorms } = this.#layout;
    const perHead = (rows: Tensor, count: number): Tensor =>
      rows
        .reshape([batch, sequence, count, headSize])
        .transpose(0, 2, 1, 3)
        .reshape([batch * count, sequence, headSize]);
    const [first, ...others] = names.queryKeyValue;
    const counts = [heads, keyHeads, keyHeads];
    const parts =
      others.length === 0
        ? this.#layer(x, own(first), bias.query).split(
            -1,
            counts.map((count) => count * headSize),
          )
        : names.queryKeyValue.map((name) => this.#layer(x, own(name), bias.query));
    const [query, key, value] = parts.map((part, i) => perHead(part, counts[i] ?? 0)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const normed = (part: Tensor, name: string | undefined): Tensor =>
      headNorms ? this.#norm(part, own(name ?? "")) : part;
    const window = windows[index % windows.length] ?? null;
    const result = this.#graph.apply(
      "CausalAttention",
      [
        this.#turned(normed(query, names.queryNorm), window !== null),
        this.#turned(normed(key, names.keyNorm), window !== null),
        value,
      ],
      {
        scale: attentionScale / (scaledByBlock ? index + 1 : 1),
        softcap: attentionCap ?? 0,
        window: window ?? 0,
      },
    );
    const rows = result
      .reshape([batch, heads, sequence, headSize])
      .transpose(0, 2, 1, 3)
      .reshape([batch * sequence, heads * headSize]);
    return this.#layer(rows, own(names.attentionOutput), bias.attentionOutput);
  }

  /** By its positions; elements beyond those that are turned stay as they are. */
  #turned(x: Tensor, hasWindow: boolean): Tensor {
    const { rope, ropeOfWindows, headSize } = this.#spec;
    const angles = hasWindow ? (ropeOfWindows ?? rope) : rope;
    if (angles === null) return x;
    const tables = this.#tables.get(angles) ?? rotaryTables(this.#graph, this.#shape.sequence, angles);
    this.#tables.set(angles, tables);
    if (angles.size === headSize) return this.#graph.apply("Rotary", [x, ...tables]);
    const [turned, rest] = x.split(-1, [angles.size, headSize - angles.size]) as [Tensor, Tensor];
    return this.#graph.apply("Rotary", [turned, ...tables]).concat([rest], -1);
  }

  #hidden(x: Tensor, own: (name: string) => string): Tensor {
    const { hidden, bias } = this.#spec;
    const { names } = this.#layout;
    const [first, second] = names.hiddenIn;
    const one = this.#layer(x, own(first), bias.hidden);
    const [gate, up] =
      second === undefined
        ? [one, null]
        : second === "gated"
          ? (one.split(-1, [hidden, hidden]) as [Tensor, Tensor])
          : [one, this.#layer(x, own(second), bias.hidden)];
    return this.#layer(this.#activated(gate, up), own(names.hiddenOut), bias.hidden);
  }

  #activated(gate: Tensor, up: Tensor | null): Tensor {
    const { activation } = this.#spec;
    if (activation === "silu" && up) return this.#graph.apply("SwiGLU", [gate, up]);
    const active =
      activation === "silu"
        ? gate.mul(gate.sigmoid())
        : activation === "relu"
          ? this.#graph.apply("Relu", [gate])
          : this.#graph.apply("Gelu", [gate], { approximate: activation === "gelu-tanh" ? "tanh" : "none" });
    return up ? active.mul(up) : active;
  }
}
