import fc from "fast-check";
import type { ElementType } from "../element-type.ts";
import type { AttributeValue } from "../operator.ts";
import type { OperatorName } from "../operators.ts";
import { type Shape, sizeOf } from "../shape.ts";

/**
 * An input: drawn at random and differentiated, or given, as a constant ("float": of the graph's own
 * type) or fed, so that building does not know its values.
 */
export type Input =
  | { shape: Shape; domain: Domain }
  | { constant: ElementType | "float"; shape: Shape; values: readonly number[]; isFed?: boolean };
/** Where a function is smooth enough for differences; "distinct": no two values are near each other. */
export type Domain = "any" | "positive" | "not zero" | "distinct" | readonly [number, number];
export interface Case {
  inputs: Input[];
  attributes?: Record<string, AttributeValue>;
  /** The first outputs that are differentiated; all if not given. */
  differentiated?: number;
}

const size = fc.integer({ min: 1, max: 5 });
const small = fc.integer({ min: 1, max: 3 });
const bit = fc.nat(1);
const shapes = (minLength: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(size, { minLength, maxLength });
const anyShape = shapes(0, 4);
const trained = (shape: Shape, domain: Domain = "any"): Input => ({ shape, domain });
const list = (values: readonly number[]): Input => ({ constant: "int64", shape: [values.length], values });
const numbers = (shape: Shape, values: readonly number[]): Input => ({ constant: "float", shape, values });
const labels = (shape: Shape, below: number, type: ElementType = "int32"): Input => ({
  constant: type,
  shape,
  values: Array.from({ length: sizeOf(shape) }, (_, i) => (i * 7 + 3) % below),
});
const times = <T>(n: number, drawn: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(drawn, { minLength: n, maxLength: n });

const unary = (
  domain: Domain = "any",
  attributes: Record<string, fc.Arbitrary<AttributeValue>> = {},
): fc.Arbitrary<Case> =>
  fc.tuple(anyShape, fc.record(attributes)).map(([shape, attributes]) => ({
    inputs: [trained(shape, domain)],
    attributes,
  }));
/** A float attribute that float32 holds exactly, as ONNX stores it. */
const half = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: 8 * min, max: 8 * max }).map((n) => n / 8);

/** Two shapes that broadcast: the same one with leading axes dropped and other axes set to 1. */
const broadcastable = shapes(0, 4).chain((shape) => {
  const part = fc
    .tuple(fc.nat(shape.length), times(4, fc.boolean()))
    .map(([drop, single]) => shape.map((n, i) => (single[i] ? 1 : n)).slice(drop));
  return fc.tuple(part, part);
});
const binary = (left: Domain = "any", right: Domain = "any"): fc.Arbitrary<Case> =>
  broadcastable.map(([a, b]) => ({ inputs: [trained(a, left), trained(b, right)] }));
const variadic = (domain: Domain): fc.Arbitrary<Case> =>
  fc.oneof(
    anyShape.map((shape) => ({ inputs: [trained(shape, domain)] })),
    fc.tuple(broadcastable, fc.boolean()).map(([[a, b], third]) => ({
      inputs: [trained(a, domain), trained(b, domain), ...(third ? [trained([], domain)] : [])],
    })),
  );

const axisIn = (rank: number): fc.Arbitrary<number> => fc.integer({ min: -rank, max: rank - 1 });
const alongAxis: fc.Arbitrary<Case> = shapes(1, 4).chain((shape) =>
  axisIn(shape.length).map((axis) => ({ inputs: [trained(shape)], attributes: { axis } })),
);
/** Any set of axes, from either end; none given: all of them. */
const reduction = (domain: Domain = "any"): fc.Arbitrary<Case> =>
  shapes(1, 4).chain((shape) =>
    fc
      .record({
        axes: fc.subarray([...shape.keys()]),
        negative: fc.boolean(),
        keepdims: bit,
        noop: bit,
      })
      .map(({ axes, negative, keepdims, noop }) => ({
        inputs: [
          trained(shape, domain),
          ...(axes.length > 0 ? [list(axes.map((axis) => (negative ? axis - shape.length : axis)))] : []),
        ],
        attributes: { keepdims, noop_with_empty_axes: noop },
      })),
  );
/** Plain, and with heads that share keys, a scale, a cap and a window. */
const causalAttention: fc.Arbitrary<Case> = fc.oneof(
  shapes(4, 4).map((shape) => ({ inputs: [trained(shape), trained(shape), trained(shape)] })),
  fc
    .tuple(fc.tuple(small, size, size), small, fc.constantFrom(0, 0.5), fc.constantFrom(0, 2), fc.nat(4))
    .map(([[heads, sequence, width], shared, scale, softcap, window]) => {
      const own = [heads, sequence, width];
      return {
        inputs: [trained([heads * shared, sequence, width]), trained(own), trained(own)],
        attributes: { scale, softcap, window },
      };
    }),
);
const heads = fc
  .tuple(size, size, size, size)
  .map(([batch, heads, sequence, half]) => [batch, heads, sequence, 2 * half]);

const slice: fc.Arbitrary<Case> = shapes(1, 4).chain((shape) =>
  fc.subarray([...shape.keys()], { minLength: 1 }).chain((axes) =>
    fc
      .tuple(
        ...axes.map((axis) => {
          const n = shape[axis] ?? 1;
          return fc
            .record({
              from: fc.nat(n - 1),
              count: fc.integer({ min: 1, max: n }),
              step: fc.constantFrom(1, 2, 3, -1, -2),
            })
            .chain(({ from, count, step }) =>
              fc.record({
                // Counted from the end, or past the end, which is cut off.
                start: fc.constantFrom(from, from - n),
                end: fc.constant(from + count * step).map((end) => {
                  if (end < 0) return -(2 ** 31);
                  return end >= n ? 2 ** 31 : end;
                }),
                step: fc.constant(step),
              }),
            );
        }),
      )
      .chain((ranges) =>
        fc.boolean().map((isPlain) => {
          const isWhole = isPlain && axes.length === shape.length;
          return {
            inputs: [
              trained(shape),
              list(ranges.map(({ start }) => start)),
              list(ranges.map(({ end, step }) => (isWhole && step < 0 ? 2 ** 31 : end))),
              ...(isWhole ? [] : [list(axes), list(ranges.map(({ step }) => step))]),
            ],
          };
        }),
      ),
  ),
);

const pad: fc.Arbitrary<Case> = fc.constantFrom("constant", "edge", "reflect", "wrap").chain((mode) =>
  fc.array(fc.integer({ min: 2, max: 5 }), { minLength: 1, maxLength: 3 }).chain((shape) =>
    fc
      .record({
        axes: fc.subarray([...shape.keys()], { minLength: 1 }),
        amounts: times(6, fc.integer({ min: mode === "constant" ? -1 : 0, max: 1 })),
        isPlain: fc.boolean(),
      })
      .map(({ axes, amounts, isPlain }) => {
        const named = isPlain ? [...shape.keys()] : axes;
        const pads = Array.from({ length: 2 * named.length }, (_, i) => amounts[i] ?? 0);
        return {
          inputs: [trained(shape), list(pads), ...(isPlain ? [] : [numbers([], [0.5]), list(named)])],
          attributes: { mode },
        };
      })
      .filter(({ inputs: [, pads, , axes] }) => {
        const named = axes && "values" in axes ? axes.values : [...shape.keys()];
        const amounts = pads && "values" in pads ? pads.values : [];
        return named.every(
          (axis, i) => (shape[axis] ?? 1) + (amounts[i] ?? 0) + (amounts[named.length + i] ?? 0) > 0,
        );
      }),
  ),
);

/** A window along one axis, and a size that it fits in. */
const windowAlong = fc
  .record({
    kernel: small,
    stride: small,
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.nat(2),
    after: fc.nat(2),
    room: fc.nat(4),
  })
  .map(({ kernel, stride, dilation, before, after, room }) => {
    const reach = (kernel - 1) * dilation + 1;
    // Runtimes refuse a padding that is as large as the window.
    const [front, back] = [Math.min(before, kernel - 1), Math.min(after, kernel - 1)];
    return {
      kernel,
      stride,
      dilation,
      before: front,
      after: back,
      size: Math.max(1, reach - front - back) + room,
    };
  });
type WindowAlong = typeof windowAlong extends fc.Arbitrary<infer T> ? T : never;
const windowAttributes = (windows: readonly WindowAlong[]) => ({
  kernel_shape: windows.map(({ kernel }) => kernel),
  strides: windows.map(({ stride }) => stride),
  dilations: windows.map(({ dilation }) => dilation),
  pads: [...windows.map(({ before }) => before), ...windows.map(({ after }) => after)],
});
const automatic = fc.constantFrom("NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID");
const windows: fc.Arbitrary<WindowAlong[]> = fc
  .integer({ min: 1, max: 2 })
  .chain((rank) => times(rank, windowAlong));
/** A pooling whose window sees only padding is refused. */
const seesNothing = (windows: readonly WindowAlong[], ceil_mode: number): boolean =>
  windows.some(({ kernel, stride, dilation, before, after, size }) => {
    const room = size + before + after - (kernel - 1) * dilation - 1;
    const count = (ceil_mode === 1 ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
    return Array.from({ length: count }, (_, o) => o * stride - before).some((start) =>
      Array.from({ length: kernel }, (_, k) => start + k * dilation).every((at) => at < 0 || at >= size),
    );
  });
const pool = (more: Record<string, fc.Arbitrary<AttributeValue>>, domain: Domain): fc.Arbitrary<Case> =>
  fc
    .record({
      batch: fc.integer({ min: 1, max: 2 }),
      channels: fc.integer({ min: 1, max: 2 }),
      windows,
      more: fc.record(more),
    })
    .filter(({ windows, more }) => !seesNothing(windows, Number(more["ceil_mode"])))
    .map(({ batch, channels, windows, more }) => ({
      inputs: [trained([batch, channels, ...windows.map(({ size }) => size)], domain)],
      attributes: {
        ...windowAttributes(windows),
        ...more,
      },
    }));
/** A window of one position, which a convolution may also pad or move by more than one. */
const pointAlong = fc
  .record({
    stride: fc.constantFrom(1, 1, 2),
    before: fc.constantFrom(0, 0, 1),
    after: fc.constantFrom(0, 0, 1),
    size,
  })
  .map((drawn) => Object.assign(drawn, { kernel: 1, dilation: 1 }));
const points: fc.Arbitrary<WindowAlong[]> = fc
  .integer({ min: 1, max: 2 })
  .chain((rank) => times(rank, pointAlong));
const convolution = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    ins: small,
    outs: small,
    windows: fc.oneof({ weight: 3, arbitrary: windows }, { weight: 2, arbitrary: points }),
    bias: fc.boolean(),
    automatic,
  })
  .map(({ batch, group, ins, outs, windows, bias, automatic }) => {
    const { pads, kernel_shape, strides, dilations } = windowAttributes(windows);
    const isSame = automatic.startsWith("SAME");
    const isValid = automatic === "VALID";
    return {
      inputs: [
        trained([
          batch,
          group * ins,
          ...windows.map(({ size, before, after }) => (isValid ? size + before + after : size)),
        ]),
        trained([group * outs, ins, ...kernel_shape]),
        ...(bias ? [trained([group * outs])] : []),
      ],
      attributes: {
        group,
        strides,
        // Runtimes do not pad dilated windows by themselves.
        dilations: isSame ? dilations.map(() => 1) : dilations,
        ...(automatic === "NOTSET" ? { pads } : { auto_pad: automatic }),
      },
    };
  });
const transposedConvolution = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    ins: small,
    outs: small,
    windows,
    counts: times(2, small),
    extra: fc.boolean(),
    bias: fc.boolean(),
  })
  .map(({ batch, group, ins, outs, windows, counts, extra, bias }) => {
    const { pads, kernel_shape, strides, dilations } = windowAttributes(windows);
    const enough = windows.map(({ kernel, stride, dilation, before, after }, i) => {
      const reach = (kernel - 1) * dilation + 1;
      return Math.max(counts[i] ?? 1, Math.ceil((before + after + 1 - reach) / stride) + 1);
    });
    return {
      inputs: [
        trained([batch, group * ins, ...enough]),
        trained([group * ins, outs, ...kernel_shape]),
        ...(bias ? [trained([group * outs])] : []),
      ],
      attributes: {
        group,
        strides,
        dilations,
        pads,
        output_padding: strides.map((stride) => (extra ? stride - 1 : 0)),
      },
    };
  });

const normalised = (hasBias: boolean): fc.Arbitrary<Case> =>
  fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
    fc.tuple(axisIn(shape.length), fc.boolean()).map(([axis, bias]) => {
      const weight = shape.slice(axis < 0 ? axis + shape.length : axis);
      return {
        inputs: [trained(shape, "not zero"), trained(weight), ...(bias && hasBias ? [trained(weight)] : [])],
        attributes: { axis, epsilon: 0.0625 },
      };
    }),
  );
const channelwise = fc
  .record({
    batch: fc.integer({ min: 2, max: 3 }),
    channels: fc.integer({ min: 1, max: 3 }),
    space: fc.array(fc.integer({ min: 2, max: 3 }), { minLength: 1, maxLength: 2 }),
  })
  .map(({ batch, channels, space }) => [batch, channels].concat(space));

const gather = (elementwise: boolean): fc.Arbitrary<Case> =>
  shapes(1, 4).chain((shape) =>
    fc
      .record({
        axis: axisIn(shape.length),
        ids: shapes(0, 2),
        isRun: fc.boolean(),
        negative: fc.boolean(),
        type: fc.constantFrom("int32" as const, "int64" as const),
      })
      .map(({ axis, ids, isRun, negative, type }) => {
        const front = axis < 0 ? axis + shape.length : axis;
        const n = shape[front] ?? 1;
        const at = elementwise ? shape.map((size, i) => (i === front ? 2 : size)) : ids;
        const drawn = labels(at, n, type) as Extract<Input, { constant: unknown }>;
        const values = drawn.values.map((id, i) => (isRun ? i % n : id) - (negative ? n : 0));
        return { inputs: [trained(shape), { ...drawn, values }], attributes: { axis } };
      }),
  );

const attention: fc.Arbitrary<Case> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    shared: fc.integer({ min: 1, max: 2 }),
    queries: small,
    keys: small,
    width: small,
    valueWidth: small,
    isFlat: fc.boolean(),
    is_causal: bit,
    mask: fc.constantFrom("none", "matrix", "heads", "bool"),
    scale: fc.constantFrom(0, 0.75),
    softcap: fc.constantFrom(0, 0, 0.5),
  })
  .map(
    ({
      batch,
      keyHeads,
      shared,
      queries,
      keys,
      width,
      valueWidth,
      isFlat,
      is_causal,
      mask,
      scale,
      softcap,
    }) => {
      const tensor = (heads: number, sequence: number, width: number): Input =>
        trained(isFlat ? [batch, sequence, heads * width] : [batch, heads, sequence, width]);
      const seen = Array.from({ length: queries * keys }, (_, i) => (i % keys === 0 ? 1 : (i * 5) % 2));
      const masks: Input[] = {
        none: [],
        matrix: [trained([queries, keys])],
        heads: [trained([batch, keyHeads * shared, queries, keys])],
        bool: [{ constant: "bool" as const, shape: [queries, keys], values: seen }],
      }[mask];
      return {
        inputs: [
          tensor(keyHeads * shared, queries, width),
          tensor(keyHeads, keys, width),
          tensor(keyHeads, keys, valueWidth),
          ...masks,
        ],
        attributes: {
          is_causal,
          ...(isFlat ? { q_num_heads: keyHeads * shared, kv_num_heads: keyHeads } : {}),
          ...(scale > 0 ? { scale } : {}),
          ...(softcap > 0 ? { softcap } : {}),
        },
      };
    },
  );

const rotary: fc.Arbitrary<Case> = fc
  .record({
    batch: small,
    heads: small,
    sequence: small,
    pairs: small,
    rest: fc.nat(1),
    isFlat: fc.boolean(),
    isTable: fc.boolean(),
    interleaved: bit,
  })
  .map(({ batch, heads, sequence, pairs, rest, isFlat, isTable, interleaved }) => {
    const width = 2 * pairs + 2 * rest;
    const shape = isTable ? [7, pairs] : [batch, sequence, pairs];
    const angles = Array.from({ length: sizeOf(shape) }, (_, i) => i * 0.7);
    return {
      inputs: [
        trained(isFlat ? [batch, sequence, heads * width] : [batch, heads, sequence, width]),
        numbers(shape, angles.map(Math.cos)),
        numbers(shape, angles.map(Math.sin)),
        ...(isTable ? [labels([batch, sequence], 7, "int64")] : []),
      ],
      attributes: {
        interleaved,
        ...(isFlat || rest > 0 ? { num_heads: heads } : {}),
        ...(rest > 0 ? { rotary_embedding_dim: 2 * pairs } : {}),
      },
    };
  });

const crossEntropy: fc.Arbitrary<Case> = fc
  .record({
    batch: small,
    classes: fc.integer({ min: 2, max: 5 }),
    space: fc.array(small, { maxLength: 2 }),
    weighted: fc.boolean(),
    reduction: fc.constantFrom("mean", "sum", "none"),
    ignore: fc.boolean(),
    type: fc.constantFrom("int32" as const, "int64" as const),
  })
  .map(({ batch, classes, space, weighted, reduction, ignore, type }) => ({
    inputs: [
      trained([batch, classes, ...space]),
      labels([batch, ...space], classes, type),
      ...(weighted
        ? [
            numbers(
              [classes],
              Array.from({ length: classes }, (_, i) => 0.5 + i / 4),
            ),
          ]
        : []),
    ],
    // The first label is 3 mod classes; one class of several is ignored.
    attributes: { reduction, ...(ignore && batch > 1 ? { ignore_index: 3 % classes } : {}) },
  }))
  .filter(({ inputs: [, labels], attributes }) => {
    const ignored = (attributes as { ignore_index?: number }).ignore_index;
    return (
      "values" in (labels as Input) &&
      (labels as unknown as { values: number[] }).values.some((label) => label !== ignored)
    );
  });

/** Equations of one, two and three inputs; letters become sizes. */
const einsum: fc.Arbitrary<Case> = fc
  .record({
    equation: fc.constantFrom(
      "ij->ji",
      "ij->",
      "ijk->ik",
      "ii->i",
      "iij->ji",
      "i,i->",
      "i,j->ij",
      "ij,jk",
      "ij,jk->ki",
      "ij,ik->jk",
      "ij,ij->ij",
      "bij,bkj->bik",
      "bhid,bhjd->bhij",
      "abc,cd->abd",
      "abc,cde->abde",
      "bthd,hde->bte",
      "ij,jk,kl->il",
      "i,ij,j->",
      "bi,bj,b->ij",
      "...ij,...jk->...ik",
      "...i,i->...",
      "b...->...",
      "ab,bc,ab->ac",
    ),
    sizes: times(8, fc.integer({ min: 1, max: 4 })),
    open: times(2, fc.nat(2)),
  })
  .map(({ equation, sizes, open }) => {
    const [left = ""] = equation.split("->");
    const letters = [...new Set(left.replaceAll(/[^a-z]/g, ""))];
    const inputs = left.split(",").map((term, i) => {
      const of = (part: string): number[] => [...part].map((letter) => sizes[letters.indexOf(letter)] ?? 1);
      const [before = "", after] = term.split("...");
      const broadcast = after === undefined ? [] : [2, 3].slice((open[i] ?? 0) % 3);
      return trained([...of(before), ...broadcast, ...of(after ?? "")]);
    });
    return { inputs, attributes: { equation } };
  });

/** An image [batch, channels, height, width] in another size: by sizes, or by ratios that float32 holds. */
const resized: fc.Arbitrary<Case> = fc
  .record({
    shape: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 }), size, size),
    ratios: times(2, fc.constantFrom(0.5, 1, 1.5, 2, 2.5, 3)),
    isBySize: fc.boolean(),
    mode: fc.constantFrom("nearest", "linear", "cubic"),
    coordinate_transformation_mode: fc.constantFrom(
      "half_pixel",
      "pytorch_half_pixel",
      "half_pixel_symmetric",
      "align_corners",
      "asymmetric",
    ),
    nearest_mode: fc.constantFrom("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    exclude_outside: bit,
  })
  .map(({ shape: [batch, channels, height, width], ratios, isBySize, exclude_outside, ...attributes }) => {
    const [tall = 1, wide = 1] = ratios;
    const sizes = [Math.max(1, Math.floor(height * tall)), Math.max(1, Math.floor(width * wide))];
    const none = { constant: "float" as const, shape: [0], values: [] };
    // A ratio may not leave an axis empty.
    const scales = [1, 1, Math.max(tall, 1 / height), Math.max(wide, 1 / width)];
    return {
      inputs: [
        trained([batch, channels, height, width]),
        none,
        ...(isBySize ? [none, list([batch, channels, ...sizes])] : [numbers([4], scales)]),
      ],
      attributes:
        attributes.mode === "cubic" ? { ...attributes, exclude_outside, cubic_coeff_a: -0.5 } : attributes,
    };
  });

/** Coordinates of `depth` axes after `batch` common ones, constant or fed. */
const gatherNd: fc.Arbitrary<Case> = fc
  .record({
    stack: shapes(0, 1),
    indexed: shapes(1, 2),
    rest: shapes(0, 2),
    places: shapes(0, 2),
    isFed: fc.boolean(),
    negative: fc.boolean(),
  })
  .map(({ stack, indexed, rest, places, isFed, negative }) => {
    const shape = [...stack, ...places, indexed.length];
    const values = Array.from({ length: sizeOf(shape) }, (_, i) => {
      const n = indexed[i % indexed.length] ?? 1;
      return ((i * 7 + 3) % n) - (negative ? n : 0);
    });
    return {
      inputs: [
        trained([...stack, ...indexed, ...rest]),
        { constant: "int64" as const, shape, values, isFed },
      ],
      attributes: { batch_dims: stack.length },
    };
  });

const scatterNd: fc.Arbitrary<Case> = fc
  .record({
    indexed: shapes(1, 2),
    rest: shapes(0, 2),
    count: small,
    isFed: fc.boolean(),
    reduction: fc.constantFrom("none", "add"),
  })
  .map(({ indexed, rest, count, isFed, reduction }) => {
    // Where values are put, each place occurs once.
    const n = reduction === "add" ? count : Math.min(count, indexed[0] ?? 1);
    const values = Array.from({ length: n }, (_, i) => [
      reduction === "add" ? (i * 3) % (indexed[0] ?? 1) : i,
      ...indexed.slice(1).map(() => -1),
    ]).flat();
    return {
      inputs: [
        trained([...indexed, ...rest]),
        { constant: "int64" as const, shape: [n, indexed.length], values, isFed },
        trained([n, ...rest]),
      ],
      attributes: { reduction },
    };
  });

/** How inputs and attributes of every differentiable operator are drawn. */
export const CASES: Partial<Record<OperatorName, fc.Arbitrary<Case>>> = {
  Add: binary(),
  Sub: binary(),
  Mul: binary(),
  Div: binary("any", "not zero"),
  Pow: fc.oneof(
    binary("positive"),
    fc.tuple(anyShape, fc.constantFrom(0, 1, 2, 3, 4, -1, -2)).map(([shape, n]) => ({
      inputs: [trained(shape, "not zero"), numbers([], [n])],
    })),
    fc.tuple(anyShape, fc.constantFrom(0.5, 1.5, -0.5)).map(([shape, n]) => ({
      inputs: [trained(shape, "positive"), numbers([1], [n])],
    })),
    anyShape.map((shape) => ({
      inputs: [
        trained([...shape.slice(1), 3], "not zero"),
        { constant: "int64" as const, shape: [3], values: [0, 2, 5] },
      ],
    })),
  ),
  Sum: variadic("any"),
  Mean: variadic("any"),
  Max: variadic("distinct"),
  Min: variadic("distinct"),
  Clip: fc.tuple(anyShape, fc.nat(2)).map(([shape, bounds]) => ({
    inputs: [trained(shape), ...[trained([], [-1.5, -0.5]), trained([], [0.5, 1.5])].slice(0, bounds)],
  })),
  Where: fc.tuple(broadcastable, fc.boolean()).map(([[a, b], swap]) => ({
    inputs: [labels(swap ? b : a, 2, "bool"), trained(a), trained(b)],
  })),
  Mod: broadcastable.map(([a, b]) => ({
    inputs: [trained(a, [1.3, 1.4]), trained(b, [0.9, 1.1])],
    attributes: { fmod: 1 },
  })),
  Identity: unary(),
  Neg: unary(),
  Abs: unary("not zero"),
  Exp: unary(),
  Log: unary("positive"),
  Sqrt: unary("positive"),
  Reciprocal: unary("not zero"),
  Sin: unary(),
  Cos: unary(),
  Erf: unary(),
  Cast: anyShape.map((shape) => ({ inputs: [trained(shape)], attributes: { to: 11 } })),
  Sign: unary("not zero"),
  Floor: unary([0.2, 0.8]),
  Ceil: unary([0.2, 0.8]),
  Round: unary([0.6, 1.4]),

  Tan: unary([-1.2, 1.2]),
  Asin: unary([-0.9, 0.9]),
  Acos: unary([-0.9, 0.9]),
  Atan: unary(),
  Sinh: unary(),
  Cosh: unary(),
  Asinh: unary(),
  Acosh: unary([1.2, 4]),
  Atanh: unary([-0.9, 0.9]),

  Sigmoid: unary(),
  Tanh: unary(),
  Relu: unary("not zero"),
  LeakyRelu: unary("not zero", { alpha: half(-1, 1) }),
  PRelu: broadcastable.map(([a]) => ({
    inputs: [trained(a, "not zero"), trained(a.slice(1).map((n, i) => (i === 0 ? 1 : n)))],
  })),
  Elu: unary("not zero", { alpha: half(0.5, 2) }),
  Softplus: unary(),
  HardSigmoid: unary("any", { alpha: half(0.5, 1), beta: half(0, 0.5) }),
  HardSwish: unary(),
  Swish: unary("any", { alpha: half(0.5, 2) }),
  Mish: unary(),
  Gelu: unary("any", { approximate: fc.constantFrom("none", "tanh") }),
  Selu: unary("not zero", { alpha: half(0.5, 2), gamma: half(0.5, 2) }),
  Celu: unary("not zero", { alpha: half(0.5, 2) }),
  ThresholdedRelu: unary([0.6, 2], { alpha: fc.constantFrom(-1, 0, 0.5) }),
  Softsign: unary("not zero"),
  Shrink: unary("not zero", { bias: half(-1, 1), lambd: fc.constantFrom(0, 0.125, 0.25) }),
  SwiGLU: shapes(2, 2).map((shape) => ({ inputs: [trained(shape), trained(shape)] })),

  ReduceSum: reduction(),
  ReduceMean: reduction(),
  ReduceMax: reduction("distinct"),
  ReduceMin: reduction("distinct"),
  ReduceSumSquare: reduction(),
  ReduceProd: reduction(),
  ReduceL1: reduction("not zero"),
  ReduceLogSum: reduction("positive"),
  ReduceL2: reduction("not zero"),
  ReduceLogSumExp: reduction(),
  Softmax: alongAxis,
  LogSoftmax: alongAxis,

  Reshape: fc.tuple(shapes(1, 4), fc.nat(3)).map(([shape, kind]) => {
    const target = [[sizeOf(shape)], [...shape].reverse(), [1, ...shape], [0, -1]][kind] ?? shape;
    return { inputs: [trained(shape), list(target)] };
  }),
  Flatten: shapes(1, 4).chain((shape) =>
    fc
      .integer({ min: -shape.length, max: shape.length })
      .map((axis) => ({ inputs: [trained(shape)], attributes: { axis } })),
  ),
  Squeeze: fc.tuple(fc.array(fc.constantFrom(1, 1, 3), { maxLength: 4 }), fc.nat(2)).map(([shape, kind]) => {
    const single = shape.flatMap((n, axis) => (n === 1 ? [kind === 1 ? axis : axis - shape.length] : []));
    return {
      inputs: [trained(shape), ...(kind === 0 || single.length === 0 ? [] : [list(single.slice(0, 2))])],
    };
  }),
  Unsqueeze: shapes(0, 3).chain((shape) =>
    fc
      .subarray([...shape.keys(), shape.length, shape.length + 1], { minLength: 2, maxLength: 2 })
      .chain((axes) =>
        fc.boolean().map((negative) => ({
          inputs: [trained(shape), list(axes.map((axis) => (negative ? axis - shape.length - 2 : axis)))],
        })),
      ),
  ),
  Expand: broadcastable.map(([a, b]) => ({ inputs: [trained(a), list(b)] })),
  Transpose: shapes(1, 4).chain((shape) =>
    fc.oneof(
      fc.constant<Case>({ inputs: [trained(shape)] }),
      fc
        .shuffledSubarray([...shape.keys()], { minLength: shape.length })
        .map((perm) => ({ inputs: [trained(shape)], attributes: { perm } })),
    ),
  ),
  Split: fc
    .tuple(shapes(1, 3), shapes(0, 2), shapes(0, 2), fc.boolean())
    .map(([parts, before, after, negative]) => ({
      inputs: [trained([...before, parts.reduce((a, b) => a + b, 0), ...after]), list(parts)],
      attributes: { axis: negative ? -1 - after.length : before.length },
    })),
  Concat: fc
    .tuple(shapes(1, 3), shapes(0, 2), shapes(0, 2), fc.boolean())
    .map(([parts, before, after, negative]) => ({
      inputs: parts.map((part) => trained([...before, part, ...after])),
      attributes: { axis: negative ? -1 - after.length : before.length },
    })),

  Trilu: fc.tuple(shapes(2, 4), fc.nat(6), bit).map(([shape, k, upper]) => ({
    inputs: [
      trained(shape),
      ...(k === 6 ? [] : [{ constant: "int64" as const, shape: [], values: [k - 3] }]),
    ],
    attributes: { upper },
  })),
  CumSum: shapes(1, 4).chain((shape) =>
    fc.tuple(axisIn(shape.length), bit, bit).map(([axis, exclusive, reverse]) => ({
      inputs: [trained(shape), { constant: "int32" as const, shape: [], values: [axis] }],
      attributes: { exclusive, reverse },
    })),
  ),
  Slice: slice,
  Pad: pad,
  Tile: shapes(1, 4).chain((shape) =>
    times(shape.length, small).map((repeats) => ({ inputs: [trained(shape), list(repeats)] })),
  ),

  DepthToSpace: fc
    .tuple(shapes(4, 4), small, fc.constantFrom("DCR", "CRD"))
    .map(([shape, blocksize, mode]) => ({
      inputs: [trained(shape.map((n, axis) => (axis === 1 ? n * blocksize ** 2 : n)))],
      attributes: { blocksize, mode },
    })),
  SpaceToDepth: fc.tuple(shapes(4, 4), small).map(([shape, blocksize]) => ({
    inputs: [trained(shape.map((n, axis) => (axis > 1 ? n * blocksize : n)))],
    attributes: { blocksize },
  })),
  Resize: resized,

  Einsum: einsum,
  MatMul: fc
    .oneof(
      fc
        .tuple(shapes(1, 3), size, size)
        .map(([left, k, n]) => ({ inputs: [trained([...left, k]), trained([k, n])] })),
      fc.tuple(broadcastable, size, size, size).map(([[a, b], m, k, n]) => ({
        inputs: [trained([...a.slice(-2), m, k]), trained([...b.slice(-2), k, n])],
      })),
    )
    .filter(({ inputs }) => inputs.every(({ shape }) => shape.length > 1)),
  Gemm: fc
    .record({
      m: size,
      k: size,
      n: size,
      transA: bit,
      transB: bit,
      bias: fc.nat(4),
      alpha: half(-2, 2),
      beta: half(-2, 2),
    })
    .map(({ m, k, n, transA, transB, bias, alpha, beta }) => ({
      inputs: [
        trained(transA ? [k, m] : [m, k]),
        trained(transB ? [n, k] : [k, n]),
        ...(bias === 0 ? [] : [trained([[n], [m, n], [m, 1], []][bias - 1] ?? [])]),
      ],
      attributes: { transA, transB, alpha, beta },
    })),

  Gather: fc.oneof(
    gather(false),
    // Ids that are known only when the graph runs, in tables of few and of many rows.
    fc
      .record({ rows: fc.constantFrom(3, 1500), width: small, n: fc.integer({ min: 1, max: 6 }), axis: bit })
      .map(({ rows, width, n, axis }) => {
        const values = Array.from({ length: n }, (_, i) => ((i >> 1) * 977) % rows);
        const ids = values.map((id, i) => (i % 3 === 2 ? id - rows : id));
        return {
          inputs: [
            trained(axis === 0 ? [rows, width] : [width, rows]),
            { constant: "int32" as const, shape: [n], values: ids, isFed: true },
          ],
          attributes: { axis },
        };
      }),
    // A table of many rows, of which constants choose a few, again and again.
    fc.tuple(small, fc.integer({ min: 2, max: 6 })).map(([width, n]) => ({
      inputs: [
        trained([1500, width]),
        {
          constant: "int64" as const,
          shape: [n],
          values: Array.from({ length: n }, (_, i) => ((i >> 1) * 977) % 1500),
        },
      ],
    })),
  ),
  OneHot: shapes(1, 3).chain((shape) =>
    fc
      .tuple(axisIn(shape.length + 1), fc.integer({ min: 2, max: 5 }), fc.boolean())
      .map(([axis, depth, isFed]) => {
        const ids = labels(shape, depth, "int64") as Extract<Input, { constant: unknown }>;
        const values = ids.values.map((id, i) => (i % 3 === 2 ? id - depth : id));
        return { inputs: [{ ...ids, values, isFed }, list([depth]), trained([2])], attributes: { axis } };
      }),
  ),
  GatherND: gatherNd,
  ScatterND: scatterNd,
  TopK: shapes(1, 4).chain((shape) =>
    fc.tuple(axisIn(shape.length), fc.nat(4), bit).map(([axis, k, largest]) => ({
      inputs: [trained(shape, "distinct"), list([1 + (k % (shape.at(axis) ?? 1))])],
      attributes: { axis, largest },
      differentiated: 1,
    })),
  ),
  GatherElements: gather(true),
  ScatterElements: shapes(1, 3).chain((shape) =>
    fc.tuple(axisIn(shape.length), fc.constantFrom("none", "add")).map(([axis, reduction]) => {
      const front = axis < 0 ? axis + shape.length : axis;
      const at = shape.map((n, i) => (i === front ? (reduction === "add" ? 2 : 1) : n));
      return {
        inputs: [trained(shape), labels(at, shape[front] ?? 1, "int64"), trained(at)],
        attributes: { axis, reduction },
      };
    }),
  ),

  RMSNormalization: normalised(false),
  LayerNormalization: normalised(true),
  BatchNormalization: fc.tuple(channelwise, bit, half(0.5, 1)).map(([shape, training_mode, momentum]) => {
    const perChannel = [shape[1] ?? 1];
    const fixed = (value: number): Input =>
      numbers(
        perChannel,
        Array.from(perChannel, () => 1).flatMap(() =>
          Array.from({ length: perChannel[0] ?? 1 }, (_, i) => value + i / 4),
        ),
      );
    return {
      inputs: [trained(shape), trained(perChannel), trained(perChannel), fixed(-0.25), fixed(0.5)],
      attributes: { training_mode, momentum, epsilon: 0.0625 },
      differentiated: 1,
    };
  }),
  InstanceNormalization: channelwise.map((shape) => ({
    inputs: [trained(shape), trained([shape[1] ?? 1]), trained([shape[1] ?? 1])],
    attributes: { epsilon: 0.0625 },
  })),
  GroupNormalization: fc.tuple(channelwise, small).map(([[batch = 1, channels = 1, ...space], groups]) => ({
    inputs: [
      trained([batch, channels * groups, ...space]),
      trained([channels * groups]),
      trained([channels * groups]),
    ],
    attributes: { epsilon: 0.0625, num_groups: groups },
  })),

  LpNormalization: shapes(1, 4).chain((shape) =>
    fc.tuple(axisIn(shape.length), fc.integer({ min: 1, max: 2 })).map(([axis, p]) => ({
      inputs: [trained(shape, "not zero")],
      attributes: { axis, p },
    })),
  ),
  LRN: fc
    .tuple(shapes(4, 4), fc.constantFrom(1, 3, 5), half(0.5, 2), half(0.5, 2), half(0.5, 2))
    .map(([shape, window, alpha, beta, bias]) => ({
      inputs: [trained(shape)],
      attributes: { alpha, beta, bias, size: window },
    })),

  Rotary: heads.map((shape) => {
    const table = [shape[2] ?? 1, (shape[3] ?? 2) / 2];
    const angles = Array.from({ length: sizeOf(table) }, (_, i) => i * 0.7);
    return {
      inputs: [trained(shape), numbers(table, angles.map(Math.cos)), numbers(table, angles.map(Math.sin))],
    };
  }),
  RotaryEmbedding: rotary,
  CausalAttention: causalAttention,
  Attention: attention,

  Conv: convolution,
  ConvTranspose: transposedConvolution,
  MaxPool: pool({ ceil_mode: bit }, "distinct"),
  AveragePool: pool({ ceil_mode: bit, count_include_pad: bit }, "any"),
  GlobalAveragePool: channelwise.map((shape) => ({ inputs: [trained(shape)] })),
  GlobalMaxPool: channelwise.map((shape) => ({ inputs: [trained(shape, "distinct")] })),

  Dropout: fc.tuple(anyShape, fc.nat(2)).map(([shape, kind]) => ({
    inputs: [
      trained(shape),
      ...[
        numbers([], [kind === 2 ? 0 : 0.5]),
        { constant: "bool" as const, shape: [], values: [kind === 2 ? 1 : 0] },
      ].slice(0, kind),
    ],
  })),
  MaskedDropout: anyShape.map((shape) => ({
    inputs: [trained(shape), labels(shape, 2, "bool")],
    attributes: { ratio: 0.25 },
  })),
  SoftmaxCrossEntropyLoss: crossEntropy,
};
