import type { Tfjs, TfTensor } from "./tfjs-library.ts";

/** The two matrix products of the model; their gradients are most of its work. */
export interface Products {
  /** [n, k] · [k, m] */
  flat(a: TfTensor, b: TfTensor): TfTensor;
  /** [batch, heads, n, k] · [batch, heads, k, m], or of `b` [batch, heads, m, k] transposed. */
  perHead(a: TfTensor, b: TfTensor, transposeB: boolean): TfTensor;
}

/** As everybody writes them: the library differentiates them itself. */
export function plainProducts(tf: Tfjs): Products {
  return {
    flat: (a, b) => tf.matMul(a, b),
    perHead: (a, b, transposeB) => tf.matMul(a, b, false, transposeB),
  };
}

/**
 * Written around the WebAssembly backend: its fast kernel takes two plain matrices, and one that is
 * transposed or has a batch takes a loop ten times slower, as all gradients of products do. Here a
 * transposed factor is transposed first, and each head is a product of its own.
 */
export function tunedProducts(tf: Tfjs): Products {
  const swap = (x: TfTensor): TfTensor => tf.transpose(x, x.shape.length === 2 ? [1, 0] : [0, 2, 1]);
  const differentiable = (product: Products["flat"]): Products["flat"] =>
    tf.customGrad((a, b, save) => {
      save([a, b]);
      const gradFunc = (dy: TfTensor, [a, b]: TfTensor[]): TfTensor[] =>
        a === undefined || b === undefined ? [] : [product(dy, swap(b)), product(swap(a), dy)];
      return { value: product(a, b), gradFunc };
    });
  const flat = differentiable((a, b) => tf.matMul(a, b));
  const headByHead = differentiable((a, b) => {
    const [count = 0, n = 0, k = 0] = a.shape;
    const m = b.shape[2] ?? 0;
    // Rows of a plain matrix lie side by side: cutting them out is one copy.
    const [rowsA, rowsB] = [tf.reshape(a, [count * n, k]), tf.reshape(b, [count * k, m])];
    const products = Array.from({ length: count }, (_, i) =>
      tf.matMul(tf.slice(rowsA, [i * n, 0], [n, k]), tf.slice(rowsB, [i * k, 0], [k, m])),
    );
    return tf.reshape(tf.concat(products, 0), [count, n, m]);
  });
  const together = (x: TfTensor): TfTensor => {
    const [batch = 0, heads = 0, rows = 0, columns = 0] = x.shape;
    return tf.reshape(x, [batch * heads, rows, columns]);
  };
  return {
    flat,
    perHead: (a, b, transposeB) => {
      const factor = together(b);
      const product = headByHead(together(a), transposeB ? swap(factor) : factor);
      return tf.reshape(product, [...a.shape.slice(0, 3), product.shape[2] ?? 0]);
    },
  };
}
