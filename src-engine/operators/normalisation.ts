import { Failure } from "../../src-protocol/failure.ts";
import { composite, float, int } from "../operator.ts";
import { axisOf, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

const attributes = { axis: int(-1), epsilon: float(1e-5), stash_type: int(1) };

/**
 * `x` as a matrix of which each row is normalised: all axes from `axis` on. Sums over rows and
 * columns are products with a column or row of ones: a GEMM is faster than a reduction.
 */
function rowsFrom(x: Tensor, axis: number): Tensor {
  const width = sizeOf(x.shape.slice(axisOf(axis, x.rank)));
  return x.reshape([sizeOf(x.shape) / width, width]);
}

/** The mean of each row, [rows, 1]. */
function rowMeans(x: Tensor): Tensor {
  const width = x.dim(1);
  return x.matmul(x.graph.full([width, 1], 1 / width));
}

/** The sum of all rows, [width]. */
function columnSums(x: Tensor): Tensor {
  return x.graph
    .full([1, x.dim(0)], 1)
    .matmul(x)
    .reshape([x.dim(1)]);
}

/** A weight or bias of the normalised axes, as one row [width]. */
function asRow(weight: Tensor, x: Tensor, axis: number): Tensor {
  const shape = x.shape.slice(axisOf(axis, x.rank));
  if (weight.rank > shape.length) {
    throw new Failure("bad-shape", `A normalisation of [${x.shape}] has a weight of [${weight.shape}].`);
  }
  return weight.expand(shape).reshape([sizeOf(shape)]);
}

/** A gradient of one row, of the shape that the weight was repeated to. */
function fromRow(gradient: Tensor, x: Tensor, axis: number): Tensor {
  return gradient.reshape(x.shape.slice(axisOf(axis, x.rank)));
}

function inverseRms(x: Tensor, epsilon: number): Tensor {
  return x.mul(x).mean(-1).add(epsilon).sqrt().reciprocal();
}

function centred(x: Tensor): Tensor {
  return x.sub(rowMeans(x));
}

/** What a batch normalisation needs of an input [batch, channels, …]. */
function channels(x: Tensor) {
  const others = [...x.shape.keys()].filter((axis) => axis !== 1);
  const perChannel = x.shape.map((size, axis) => (axis === 1 ? size : 1));
  return {
    /** [channels] as it broadcasts to `x`. */
    spread: (values: Tensor): Tensor => values.reshape(perChannel),
    means: (values: Tensor): Tensor => values.mean(...others),
    sums: (values: Tensor): Tensor => values.sum(...others).reshape([x.dim(1)]),
  };
}

/** The means and variances of a batch, or those given, as they broadcast to `x`. */
function statistics(x: Tensor, mean: Tensor, variance: Tensor, training: number): [Tensor, Tensor] {
  const { spread, means } = channels(x);
  if (training !== 1) return [spread(mean), spread(variance)];
  const middle = means(x);
  const away = x.sub(middle);
  return [middle, means(away.mul(away))];
}

/** Normalisations. Variances are means of squares, divided by the full count. */
export const normalisation = {
  /** `x / √(mean(x²) + ε) ⊙ weight` over the axes from `axis` on (arXiv:1910.07467). */
  RMSNormalization: composite({
    inputs: 2,
    attributes,
    expand: ({ inputs: [x, weight], attributes: { axis, epsilon } }) => {
      const rows = rowsFrom(x, axis);
      // Written so that ONNX Runtime finds its own fused kernel in it.
      return rows
        .div(rows.pow(2).mean(-1).add(epsilon).sqrt())
        .mul(asRow(weight, x, axis))
        .reshape(x.shape);
    },
    gradient: ({ inputs: [x, weight], attributes: { axis, epsilon }, dy }) => {
      const rows = rowsFrom(x, axis);
      const inverse = inverseRms(rows, epsilon);
      const dRows = dy.reshape(rows.shape);
      const product = dRows.mul(rows);
      const scale = asRow(weight, x, axis);
      const width = rows.dim(1);
      return [
        () => {
          const cubed = inverse.mul(inverse).mul(inverse);
          const along = product.matmul(scale.mul(1 / width).reshape([width, 1])).mul(cubed);
          return dRows.mul(scale).mul(inverse).sub(rows.mul(along)).reshape(x.shape);
        },
        () => fromRow(inverse.reshape([1, rows.dim(0)]).matmul(product), x, axis),
      ];
    },
  }),
  /** `(x − mean) / √(variance + ε) ⊙ weight + bias` over the axes from `axis` on (arXiv:1607.06450). */
  LayerNormalization: composite({
    inputs: "2-3",
    attributes,
    expand: ({ inputs: [x, weight, bias], attributes: { axis, epsilon } }) => {
      const away = centred(rowsFrom(x, axis));
      const scaled = away.mul(inverseRms(away, epsilon)).mul(asRow(weight, x, axis));
      return (bias ? scaled.add(asRow(bias, x, axis)) : scaled).reshape(x.shape);
    },
    gradient: ({ inputs: [x, weight, bias], attributes: { axis, epsilon }, dy }) => {
      const away = centred(rowsFrom(x, axis));
      const inverse = inverseRms(away, epsilon);
      const direction = away.mul(inverse);
      const dRows = dy.reshape(away.shape);
      return [
        () => {
          const d = dRows.mul(asRow(weight, x, axis));
          const along = rowMeans(d.mul(direction));
          return centred(d).sub(direction.mul(along)).mul(inverse).reshape(x.shape);
        },
        () => fromRow(columnSums(dRows.mul(direction)), x, axis),
        ...(bias ? [() => fromRow(columnSums(dRows), x, axis)] : []),
      ];
    },
  }),
  /**
   * Each channel of `x` [batch, channels, …] over all else (arXiv:1502.03167). In training form by
   * the batch's own mean and variance, with the running ones moved by `1 − momentum` as further
   * outputs; else by those given. Running statistics are not trained: they have no gradient.
   */
  BatchNormalization: composite({
    inputs: 5,
    attributes: { epsilon: float(1e-5), momentum: float(0.9), training_mode: int(0) },
    expand: ({
      inputs: [x, weight, bias, mean, variance],
      attributes: { epsilon, momentum, training_mode },
    }) => {
      const { spread } = channels(x);
      const [middle, square] = statistics(x, mean, variance, training_mode);
      const factor = square.add(epsilon).sqrt().reciprocal().mul(spread(weight));
      const y = x.sub(middle).mul(factor).add(spread(bias));
      const moved = (old: Tensor, now: Tensor): Tensor =>
        old.mul(momentum).add(now.reshape(old.shape).mul(1 - momentum));
      return training_mode === 1 ? [y, moved(mean, middle), moved(variance, square)] : y;
    },
    gradient: ({ inputs: [x, weight, , mean, variance], attributes: { epsilon, training_mode }, dy }) => {
      const { spread, means, sums } = channels(x);
      const [middle, square] = statistics(x, mean, variance, training_mode);
      const inverse = square.add(epsilon).sqrt().reciprocal();
      const direction = x.sub(middle).mul(inverse);
      const factor = inverse.mul(spread(weight));
      return [
        () => {
          if (training_mode !== 1) return dy.mul(factor);
          const along = direction.mul(means(dy.mul(direction)));
          return dy.sub(means(dy)).sub(along).mul(factor);
        },
        () => sums(dy.mul(direction)),
        () => sums(dy),
        null,
        null,
      ];
    },
  }),
  /** Each channel of each example over its positions, weight and bias [channels] (arXiv:1607.08022). */
  InstanceNormalization: composite({
    inputs: 3,
    attributes: { epsilon: float(1e-5) },
    expand: ({ inputs: [x, weight, bias], attributes: { epsilon } }) =>
      groupwise(x, weight, bias, x.dim(1), epsilon),
  }),
  /** Groups of channels of each example, weight and bias [channels] (arXiv:1803.08494). */
  GroupNormalization: composite({
    inputs: 3,
    attributes: { epsilon: float(1e-5), num_groups: int(1), stash_type: int(1) },
    expand: ({ inputs: [x, weight, bias], attributes: { epsilon, num_groups } }) =>
      groupwise(x, weight, bias, num_groups, epsilon),
  }),
};

function groupwise(x: Tensor, weight: Tensor, bias: Tensor, groups: number, epsilon: number): Tensor {
  if (!(groups > 0 && x.dim(1) % groups === 0)) {
    throw new Failure(
      "bad-shape",
      `The ${x.dim(1)} channels of [${x.shape}] are not ${groups} equal groups.`,
    );
  }
  const { spread } = channels(x);
  const rows = x.dim(0) * groups;
  const away = centred(x.reshape([rows, sizeOf(x.shape) / rows]));
  return away.mul(inverseRms(away, epsilon)).reshape(x.shape).mul(spread(weight)).add(spread(bias));
}
