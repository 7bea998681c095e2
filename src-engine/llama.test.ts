import { describe, expect, it } from "vitest";
import type { LlamaSpec } from "../src-protocol/model.ts";
import { llamaModel } from "./llama-model.ts";
import { randomStream } from "./random.ts";
import { compile, type Values } from "./run.test-support.ts";
import type { Stage } from "./stage.ts";
import { cutModel } from "./stages.ts";

const model: LlamaSpec = {
  kind: "llama",
  vocabulary: 11,
  width: 8,
  heads: 2,
  blocks: 2,
  hidden: 12,
  ropeBase: 100,
  normEpsilon: 1e-3,
};

type Vector = number[];
type Matrix = Vector[];
const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
const plus = (a: Vector, b: Vector): Vector => a.map((x, i) => x + (b[i] ?? 0));
const times = (x: Vector, w: Matrix): Vector =>
  (w[0] ?? []).map((_, j) => x.reduce((sum, value, i) => sum + value * (w[i]?.[j] ?? 0), 0));
const softmax = (x: Vector): Vector => {
  const total = x.reduce((sum, value) => sum + Math.exp(value), 0);
  return x.map((value) => Math.exp(value) / total);
};
const rmsNorm = (x: Vector, weight: Vector): Vector => {
  const rms = Math.sqrt(dot(x, x) / x.length + model.normEpsilon);
  return x.map((value, i) => (value / rms) * (weight[i] ?? 0));
};
/** Complex multiplication of (x_i, x_{i+half}) by e^{iθ}, θ = t·base^(−2i/size). */
const rotate = (x: Vector, t: number): Vector => {
  const half = x.length / 2;
  return x.map((value, i) => {
    const angle = t * model.ropeBase ** ((-2 * (i % half)) / x.length);
    const other = x[(i + half) % x.length] ?? 0;
    return value * Math.cos(angle) + (i < half ? -other : other) * Math.sin(angle);
  });
};

/** One sequence, position by position, as a textbook would write it. */
function textbookLoss(tokens: number[], targets: number[], at: (name: string) => Matrix): number {
  const size = model.width / model.heads;
  let xs = tokens.map((token) => at("embedding")[token] ?? []);
  for (let b = 0; b < model.blocks; b++) {
    const own = (name: string): Matrix => at(`blocks.${b}.${name}`);
    const inputs = xs.map((x) => rmsNorm(x, own("norm1")[0] ?? []));
    const [qs, ks, vs] = ["query", "key", "value"].map((name) => inputs.map((x) => times(x, own(name))));
    xs = xs.map((x, t) => {
      const heads = Array.from({ length: model.heads }, (_, h) => {
        const head = (row: Vector = []): Vector => row.slice(h * size, (h + 1) * size);
        const query = rotate(head(qs?.[t]), t);
        const past = Array.from({ length: t + 1 }, (_, s) => s);
        const weights = softmax(past.map((s) => dot(query, rotate(head(ks?.[s]), s)) / Math.sqrt(size)));
        return times(
          weights,
          past.map((s) => head(vs?.[s])),
        );
      });
      return plus(x, times(heads.flat(), own("output")));
    });
    xs = xs.map((x) => {
      const input = rmsNorm(x, own("norm2")[0] ?? []);
      const up = times(input, own("up"));
      const hidden = times(input, own("gate")).map((g, i) => (g / (1 + Math.exp(-g))) * (up[i] ?? 0));
      return plus(x, times(hidden, own("down")));
    });
  }
  const losses = xs.map((x, t) => {
    const probabilities = softmax(times(rmsNorm(x, at("final.norm")[0] ?? []), at("final.output")));
    return -Math.log(probabilities[targets[t] ?? 0] ?? 0);
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

describe("the Llama model", () => {
  it("gives the loss that a textbook implementation gives, for each sequence of a batch", async () => {
    const [stage] = cutModel(llamaModel(model, { batch: 2, sequence: 5 }, "float64"), 1) as [Stage];
    const random = randomStream("llama.test");
    const values = new Map(
      stage.parameters.map(({ name, shape, size }) => {
        const data = Array.from({ length: size }, () => 1.5 * random() - 0.5);
        return [name, { shape, data }] as const;
      }),
    );
    const matrix = (name: string): Matrix => {
      const { shape, data } = values.get(name) ?? { shape: [], data: [] };
      const width = shape.at(-1) ?? 1;
      return Array.from({ length: data.length / width }, (_, i) => data.slice(i * width, (i + 1) * width));
    };
    const draw = (): number[] => Array.from({ length: 10 }, () => Math.floor(random() * model.vocabulary));
    const [tokens, targets] = [draw(), draw()];
    const ids = (data: number[]): Values => ({ type: "int32", shape: [10], data });

    const run = await compile(stage.train());
    const { loss } = await run({ tokens: ids(tokens), targets: ids(targets), ...Object.fromEntries(values) });

    const expected = [0, 5].map((t) => textbookLoss(tokens.slice(t, t + 5), targets.slice(t, t + 5), matrix));
    expect(loss?.[0]).toBeCloseTo(((expected[0] ?? 0) + (expected[1] ?? 0)) / 2, 10);
  });
});
