import { Failure } from "../../src-protocol/failure.ts";
import { type Call, composite, int, text } from "../operator.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { oneHot } from "./lookup.ts";

/** No label: labels are at least as large as this. */
const NOTHING_IGNORED = -(2 ** 31);

const attributes = { reduction: text("mean"), ignore_index: int(NOTHING_IGNORED) };
type Loss = Call<"2-3", typeof attributes>;

/** Scores [batch, classes, …] as rows [n, classes]. */
function rowsOf(scores: Tensor): Tensor {
  if (scores.rank === 2) return scores;
  const axes = [...scores.shape.keys()];
  const last = scores.transpose(0, ...axes.slice(2), 1);
  return last.rows();
}

/** Rows of scores less their greatest, and the sums of their exponentials: [n, classes], [n, 1]. */
function shifted(rows: Tensor): { scores: Tensor; total: Tensor } {
  const scores = rows.sub(rows.max(-1));
  return { scores, total: scores.exp().sum(-1) };
}

/** What each example's loss is multiplied by, [n, 1], or one number for all. */
function shares({
  inputs: [scores, labels, weights],
  attributes: { reduction, ignore_index },
}: Loss): Tensor {
  const { graph } = scores;
  const n = sizeOf(labels.shape);
  const one = graph.full([], 1);
  const weighted = weights ? oneHot(labels, scores.dim(1)).matmul(weights.reshape([scores.dim(1), 1])) : one;
  const isIgnored = (): Tensor =>
    labels.reshape([n, 1]).equal(graph.constant(labels.type, [], [ignore_index]));
  const counted =
    ignore_index === NOTHING_IGNORED ? weighted : isIgnored().where(graph.full([], 0), weighted);
  if (reduction !== "mean") return counted;
  return counted === one ? graph.full([], 1 / n) : counted.div(counted.expand([n, 1]).sum(0, 1));
}

export const loss = {
  /**
   * Cross-entropy of scores [batch, classes, …] and labels [batch, …], with class weights [classes]:
   * its mean (weighted), sum, or "none". The log of the sum is written out, as WebGPU has no
   * LogSoftmax, and rows are shifted by their greatest score, so that no exponential overflows.
   */
  SoftmaxCrossEntropyLoss: composite({
    inputs: "2-3",
    attributes,
    expand: (call) => {
      const [given, labels] = call.inputs;
      const { reduction } = call.attributes;
      if (!["mean", "sum", "none"].includes(reduction)) {
        throw new Failure("bad-node", `A loss has the reduction "${reduction}", which is not one of ONNX.`);
      }
      const { scores, total } = shifted(rowsOf(given));
      const wanted = scores.mul(oneHot(labels, given.dim(1))).sum(-1);
      const losses = total.log().sub(wanted).mul(shares(call));
      return reduction === "none" ? losses.reshape(labels.shape) : losses.sum(0, 1).reshape([]);
    },
    gradient: (call) => {
      const [given, labels] = call.inputs;
      return [
        () => {
          const rows = rowsOf(given);
          const { scores, total } = shifted(rows);
          const difference = scores
            .exp()
            .div(total)
            .sub(oneHot(labels, given.dim(1)));
          const perExample =
            call.attributes.reduction === "none" ? call.dy.reshape([rows.dim(0), 1]) : call.dy;
          const gradient = difference.mul(shares(call).mul(perExample));
          if (given.rank === 2) return gradient;
          const [batch, classes, ...others] = given.shape as [number, number, ...number[]];
          const axes = others.map((_, i) => i + 1);
          return gradient.reshape([batch, ...others, classes]).transpose(0, given.rank - 1, ...axes);
        },
        null,
        null,
      ];
    },
  }),
};
