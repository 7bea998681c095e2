import { Failure } from "../../src-protocol/failure.ts";
import { float, int, primitive } from "../operator.ts";
import { broadcast } from "../shape.ts";

/** Matrix products. Their gradients are products too, and a Gemm adds onto other gradients for free. */
export const product = {
  /** Of matrices, or of stacks of matrices with broadcasting. */
  MatMul: primitive({
    inputs: 2,
    infer: ({ inputs: [a, b] }) => {
      if (a.rank < 2 || b.rank < 2 || a.dim(-1) !== b.dim(-2)) {
        throw new Failure("bad-shape", `Matrices [${a.shape}] and [${b.shape}] cannot be multiplied.`);
      }
      const stack = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
      return [{ type: a.type, shape: [...stack, a.dim(-2), b.dim(-1)] }];
    },
    gradient: ({ inputs: [a, b], dy }) =>
      b.rank === 2
        ? [
            // One large product instead of a stack of small ones and their sum.
            { onto: (plus) => dy.rows().gemm(b, { transB: true, plus: plus?.rows() }).reshape(a.shape) },
            { onto: (plus) => a.rows().gemm(dy.rows(), { transA: true, plus }) },
          ]
        : [() => dy.matmul(b.transposed()), () => a.transposed().matmul(dy)],
  }),
  /** `alpha · op(a) · op(b) + beta · c`, where op transposes if asked. */
  Gemm: primitive({
    inputs: "2-3",
    attributes: { transA: int(0), transB: int(0), alpha: float(1), beta: float(1) },
    infer: ({ inputs: [a, b, c], attributes: { transA, transB } }) => {
      const [m, k] = transA ? [a.dim(1), a.dim(0)] : [a.dim(0), a.dim(1)];
      const [k2, n] = transB ? [b.dim(1), b.dim(0)] : [b.dim(0), b.dim(1)];
      if (a.rank !== 2 || b.rank !== 2 || k !== k2) {
        throw new Failure(
          "bad-shape",
          `Gemm of [${a.shape}] and [${b.shape}] (transA ${transA}, transB ${transB}).`,
        );
      }
      if (c) broadcast(c.shape, [m, n]);
      return [{ type: a.type, shape: [m, n] }];
    },
    gradient: ({ inputs: [a, b, c], attributes: { transA, transB, alpha, beta }, dy: gradient }) => {
      const dy = gradient.mul(alpha);
      const tA = transA === 1;
      const tB = transB === 1;
      return [
        {
          onto: (plus) =>
            tA ? b.gemm(dy, { transA: tB, transB: true, plus }) : dy.gemm(b, { transB: !tB, plus }),
        },
        {
          onto: (plus) =>
            tB ? dy.gemm(a, { transA: true, transB: tA, plus }) : a.gemm(dy, { transA: !tA, plus }),
        },
        ...(c ? [() => gradient.mul(beta)] : []),
      ];
    },
  }),
};
