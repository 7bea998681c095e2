import { Failure } from "../../src-protocol/failure.ts";
import { type Call, composite, float, int } from "../operator.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Attention and positions. What is differentiated as a whole is what the built-in models use. */
export const attention = {
  /**
   * Rotary positions in the half-split form (arXiv:2104.09864): turns the pair (x_i, x_{i+w/2}) of
   * each row of x [..., sequence, w] by an angle, given as cos and sin [sequence, w/2].
   */
  Rotary: composite({
    inputs: 3,
    // x ⊙ (cos, cos) + (x with its halves exchanged) ⊙ (−sin, sin): fewer passes than half by half.
    expand: ({ inputs: [x, cos, sin] }) =>
      x.mul(cos.concat([cos], -1)).add(exchangedHalves(x).mul(sin.neg().concat([sin], -1))),
    gradient: ({ inputs: [, cos, sin], dy }) => [() => rotary(dy, cos, sin.neg()), null, null],
  }),

  /**
   * `softmax(cap(query · keyᵀ · scale) + mask) · value` for query, key, value [..., sequence, w], where
   * a position sees itself and what came before; with a window, only so many tokens, itself included.
   * `cap(x) = c · tanh(x / c)`. Of rank 3, key and value may have fewer heads along their first axis:
   * each is shared by as many neighbours of query. Scale 0: 1/√w. Cap and window 0: none.
   */
  CausalAttention: composite({
    inputs: 3,
    attributes: { scale: float(0), softcap: float(0), window: int(0) },
    expand: ({ inputs: [query, key, value], attributes }) =>
      apart(together(attentionWeights(query, key, attributes), key).matmul(value), query),
    gradient: ({ inputs: [query, key, value], attributes, y, dy }) => {
      const weights = attentionWeights(query, key, attributes);
      const scale = attentionScale(query, attributes);
      // rowsum(dWeights ⊙ weights) equals rowsum(dy ⊙ y), which has w columns instead of sequence.
      const dScores = (): Tensor => {
        const dWeights = apart(together(dy, key).matmul(value.transposed()), weights);
        const dCapped = weights.mul(dWeights.sub(dy.mul(y).sum(-1)));
        const { softcap } = attributes;
        if (softcap === 0) return together(dCapped, key);
        const bent = bentScores(query, key, attributes);
        return together(dCapped.sub(dCapped.mul(bent.mul(bent))), key);
      };
      return [
        () => apart(dScores().matmul(key).mul(scale), query),
        () => dScores().transposed().matmul(together(query, key)).mul(scale),
        () => together(weights, key).transposed().matmul(together(dy, key)),
      ];
    },
  }),

  /**
   * Rotary positions of op set 23, for `x` [batch, heads, sequence, w] or [batch, sequence, heads·w]:
   * turns pairs of the first `rotary_embedding_dim` (0: all) of each w, which lie side by side
   * (interleaved) or half apart. cos and sin are [batch, sequence, pairs], or tables from which
   * `positions` [batch, sequence] choose.
   */
  RotaryEmbedding: composite({
    inputs: "3-4",
    attributes: { interleaved: int(0), num_heads: int(0), rotary_embedding_dim: int(0) },
    expand: ({ inputs: [given, ...angles], attributes }) => {
      const isFlat = given.rank === 3;
      const heads = isFlat ? attributes.num_heads : given.dim(1);
      const [batch, sequence] = [given.dim(0), given.dim(isFlat ? 1 : 2)];
      const x = isFlat ? given.reshape([batch, sequence, heads, given.dim(2) / heads]) : given;
      const turned = attributes.rotary_embedding_dim || x.dim(-1);
      const [cos, sin] = chosenAngles(angles).map((table) =>
        table.reshape(isFlat ? [batch, sequence, 1, turned / 2] : [batch, 1, sequence, turned / 2]),
      ) as [Tensor, Tensor];
      const [part = x, ...rest] = turned === x.dim(-1) ? [x] : x.split(-1, [turned, x.dim(-1) - turned]);
      const result =
        attributes.interleaved === 1 ? turnedPairs(part, cos, sin) : turnedHalves(part, cos, sin);
      return (rest.length > 0 ? result.concat(rest, -1) : result).reshape(given.shape);
    },
  }),

  /**
   * Attention of op set 23 without a cache: `softmax(query · keyᵀ · scale + mask) · value` for inputs
   * [batch, heads, sequence, w] or [batch, sequence, heads·w]. Fewer heads of key and value are
   * shared by neighbouring query heads. The mask is added, or (bool) says what is seen.
   */
  Attention: composite({
    inputs: "3-4",
    attributes: {
      is_causal: int(0),
      kv_num_heads: int(0),
      q_num_heads: int(0),
      qk_matmul_output_mode: int(0),
      /** 0: 1/√w. */
      scale: float(0),
      softcap: float(0),
      softmax_precision: int(1),
    },
    expand: ({ inputs: [query, key, value, mask], attributes }) => {
      const [queryHeads, keyHeads] =
        query.rank === 3 ? [attributes.q_num_heads, attributes.kv_num_heads] : [query.dim(1), key.dim(1)];
      if (!(queryHeads > 0 && keyHeads > 0 && queryHeads % keyHeads === 0)) {
        throw new Failure("bad-node", `Attention of ${queryHeads} query heads over ${keyHeads} key heads.`);
      }
      const shared = queryHeads / keyHeads;
      // [batch, key heads, query heads of each, sequence, w]; without sharing, one axis less.
      const split = (x: Tensor, heads: number): Tensor => {
        const perHead =
          x.rank === 3 ? x.reshape([x.dim(0), x.dim(1), heads, x.dim(2) / heads]).transpose(0, 2, 1, 3) : x;
        const [batch, , sequence, width] = perHead.shape as [number, number, number, number];
        return shared === 1 ? perHead : perHead.reshape([batch, keyHeads, heads / keyHeads, sequence, width]);
      };
      const [q, k, v] = [split(query, queryHeads), split(key, keyHeads), split(value, keyHeads)];
      const scale = attributes.scale || 1 / Math.sqrt(q.dim(-1));
      const scores = masked(
        capped(q.matmul(k.transposed()).mul(scale), attributes.softcap),
        mask,
        attributes,
        keyHeads,
      );
      const heads = scores.softmax().matmul(v);
      const [batch, sequence, width] = [query.dim(0), q.dim(-2), v.dim(-1)];
      const y = heads.reshape([batch, queryHeads, sequence, width]);
      return query.rank === 3 ? y.transpose(0, 2, 1, 3).reshape([batch, sequence, queryHeads * width]) : y;
    },
  }),
};

function chosenAngles([cos, sin, positions]: readonly (Tensor | undefined)[]): Tensor[] {
  return [cos, sin].flatMap((table) => (table ? [positions ? table.gather(positions) : table] : []));
}

/** Pairs (x_i, x_{i + w/2}), each turned by its angle. */
function turnedHalves(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const half = x.dim(-1) / 2;
  const [a, b] = x.split(-1, [half, half]) as [Tensor, Tensor];
  return a
    .mul(cos)
    .sub(b.mul(sin))
    .concat([b.mul(cos).add(a.mul(sin))], -1);
}

/** Pairs (x_2i, x_2i+1), each turned by its angle. */
function turnedPairs(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const half = x.dim(-1) / 2;
  const front = x.shape.slice(0, -1);
  const [a, b] = x
    .reshape([...front, half, 2])
    .split(-1, [1, 1])
    .map((part) => part.reshape([...front, half])) as [Tensor, Tensor];
  const pair = (part: Tensor): Tensor => part.reshape([...front, half, 1]);
  return pair(a.mul(cos).sub(b.mul(sin)))
    .concat([pair(b.mul(cos).add(a.mul(sin)))], -1)
    .reshape(x.shape);
}

function capped(scores: Tensor, cap: number): Tensor {
  return cap > 0
    ? scores
        .mul(1 / cap)
        .tanh()
        .mul(cap)
    : scores;
}

/** A finite number, not -∞: some providers make NaN of it. */
const UNSEEN = -1e9;

/** [queries, keys]: `UNSEEN` where the key comes after the query, else 0. */
function laterUnseen({ graph }: Tensor, queries: number, keys: number): Tensor {
  const positions = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  // Made in the graph, where the runtime folds it: as a constant it would be the largest part of the file.
  const later = graph
    .constant("int32", [1, keys], positions(keys))
    .greater(graph.constant("int32", [queries, 1], positions(queries)));
  return later.where(graph.full([], UNSEEN), graph.full([], 0));
}

/** Scores [batch, (key heads, shared | heads), queries, keys] with what is not seen made small. */
function masked(
  scores: Tensor,
  mask: Tensor | undefined,
  { is_causal }: Call<"3-4", { is_causal: ReturnType<typeof int> }>["attributes"],
  keyHeads: number,
): Tensor {
  const { graph } = scores;
  const causal = is_causal === 1 ? scores.add(laterUnseen(scores, scores.dim(-2), scores.dim(-1))) : scores;
  if (!mask) return causal;
  const added = mask.type === "bool" ? mask.where(graph.full([], 0), graph.full([], UNSEEN)) : mask;
  if (scores.rank === 4 || added.rank < 3) return causal.add(added);
  // A mask of heads follows them into groups.
  const [heads, ...rest] = added.shape.slice(-3) as [number, ...number[]];
  const grouped = heads === 1 ? [1, 1] : [keyHeads, heads / keyHeads];
  return causal.add(added.reshape([...added.shape.slice(0, -3), ...grouped, ...rest]));
}

function exchangedHalves(x: Tensor): Tensor {
  const halves = x.reshape([...x.shape.slice(0, -1), 2, x.dim(-1) / 2]);
  return halves.take(-2, [1, 0]).reshape(x.shape);
}

function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return x.graph.apply("Rotary", [x, cos, sin]);
}

interface CausalAttributes {
  readonly scale: number;
  readonly softcap: number;
  readonly window: number;
}

/** Rows of the query heads that share a key head, under each other: [key heads, shared · sequence, …]. */
function together(x: Tensor, key: Tensor): Tensor {
  if (x.dim(0) === key.dim(0)) return x;
  if (key.rank !== 3 || x.dim(0) % key.dim(0) !== 0)
    throw new Failure("bad-shape", `${x.dim(0)} heads of queries cannot share ${key.dim(0)} heads of keys.`);
  return x.reshape([key.dim(0), sizeOf(x.shape) / (key.dim(0) * x.dim(-1)), x.dim(-1)]);
}

/** As they were: [query heads, sequence, …]. */
function apart(x: Tensor, like: Tensor): Tensor {
  return x.rank === like.rank && x.dim(0) === like.dim(0)
    ? x
    : x.reshape([...like.shape.slice(0, -1), x.dim(-1)]);
}

function attentionScale(query: Tensor, { scale }: CausalAttributes): number {
  return scale || 1 / Math.sqrt(query.dim(-1));
}

/** [..., sequence, sequence], before the mask and without a cap. */
function rawScores(query: Tensor, key: Tensor, attributes: CausalAttributes): Tensor {
  const product = apart(together(query, key).matmul(key.transposed()), query);
  return product.mul(attentionScale(query, attributes));
}

/** `tanh(scores / cap)` */
function bentScores(query: Tensor, key: Tensor, attributes: CausalAttributes): Tensor {
  return rawScores(query, key, attributes)
    .mul(1 / attributes.softcap)
    .tanh();
}

/** [batch, heads, sequence, sequence]; rows sum to 1. */
function attentionWeights(query: Tensor, key: Tensor, attributes: CausalAttributes): Tensor {
  const { softcap, window } = attributes;
  const scores =
    softcap === 0 ? rawScores(query, key, attributes) : bentScores(query, key, attributes).mul(softcap);
  const sequence = query.dim(-2);
  const causal = scores.add(laterUnseen(query, sequence, sequence));
  return (window === 0 || window >= sequence ? causal : causal.add(earlierUnseen(query, window))).softmax();
}

/** [sequence, sequence]: `UNSEEN` where the key lies before the query's window, else 0. */
function earlierUnseen(query: Tensor, window: number): Tensor {
  const { graph } = query;
  const sequence = query.dim(-2);
  const positions = Array.from({ length: sequence }, (_, i) => i);
  const first = graph.constant(
    "int32",
    [sequence, 1],
    positions.map((i) => i - window + 1),
  );
  const before = graph.constant("int32", [1, sequence], positions).less(first);
  return before.where(graph.full([], UNSEEN), graph.full([], 0));
}
