import { Failure } from "../../src-protocol/failure.ts";
import type { FloatType } from "../element-type.ts";
import type { GraphProto, NodeProto, TensorProto } from "../onnx_pb.js";
import { type Shape, sizeOf } from "../shape.ts";
import { elementTypeIn, isFloat, STORED } from "./element-types.ts";
import type { ReadExternal } from "./external-data.ts";
import { type Copy, copiesAmong, type FormCandidate } from "./forms.ts";
import { firstFloats, floatAt, tensorFloats } from "./initializer.ts";
import { checkedShape } from "./limits.ts";
import { printable } from "../printable.ts";
import { Ownership } from "./ownership.ts";
import { Patterns, type TrainPatterns } from "./patterns.ts";
import { tableKind } from "./tables.ts";
import { verdictOf, type Verdict } from "./trained.ts";

/** From this input on, what these operators read is never trained: running statistics, ratios of sizes, on and off. */
const UNTRAINED_FROM: Readonly<Record<string, number>> = {
  BatchNormalization: 3,
  OneHot: 2,
  Pad: 1,
  Resize: 1,
  Upsample: 1,
};

/** Of these operators, the inputs that they begin with, from one number to before another; zeros there do not train. */
const STATES: Readonly<Record<string, readonly [from: number, to: number]>> = {
  LSTM: [5, 7],
  GRU: [5, 6],
  RNN: [5, 6],
  Loop: [2, Infinity],
  Scan: [0, Infinity],
};

/** Beyond this, a stored tensor is not looked through for equal values. */
const LARGEST_COMPARED = 2 ** 20;

/** So many numbers show whether a large tensor is a table. */
const SEEN_OF_A_TABLE = 2 ** 22;

export interface StoredFileOptions extends Partial<TrainPatterns> {
  readonly float?: FloatType | undefined;
  readonly readExternal?: ReadExternal | undefined;
}

/**
 * What a file's stored tensors are: whose numbers each holds, whether it trains, and which are one
 * another's copies. It follows from the file (and what a person asked), so that the training and the
 * writing of its result find the same.
 */
export class StoredFile {
  readonly ownership: Ownership;

  readonly #float: FloatType;
  readonly #protos: ReadonlyMap<string, TensorProto>;
  readonly #patterns: Patterns;
  readonly #readExternal: ReadExternal | undefined;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #statistics = new Set<string>();
  readonly #states = new Set<string>();
  #copies: ReadonlyMap<string, Copy> | null = null;

  /** @throws Failure `bad-model-file` when two tensors have one name */
  constructor(
    graph: GraphProto,
    nodes: readonly NodeProto[],
    tensors: readonly TensorProto[],
    { float = "float32", readExternal, freeze = [], train = [] }: StoredFileOptions = {},
  ) {
    this.#float = float;
    this.#protos = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    if (this.#protos.size !== tensors.length || this.#protos.has(""))
      throw new Failure("bad-model-file", "The model stores two tensors of one name. Export it again.");
    this.#patterns = new Patterns({ freeze, train });
    this.#readExternal = readExternal;
    for (const { opType, input } of nodes) {
      const from = Object.hasOwn(UNTRAINED_FROM, opType) ? UNTRAINED_FROM[opType] : input.length;
      for (const name of input.slice(from)) this.#statistics.add(name);
      const [first, last] = (Object.hasOwn(STATES, opType) ? STATES[opType] : undefined) ?? [0, 0];
      for (const name of input.slice(first, last)) this.#states.add(name);
    }
    this.ownership = new Ownership(graph, nodes, tensors, (name) => this.#isOneNumber(name));
  }

  get names(): readonly string[] {
    return [...this.#protos.keys()];
  }

  has(name: string): boolean {
    return this.#protos.has(name);
  }

  proto(name: string): TensorProto {
    const proto = this.#protos.get(name);
    if (!proto) throw new RangeError(`There is no stored tensor ${name}`);
    return proto;
  }

  /** @throws Failure `no-such-parameter` when a pattern met none of `names`, nor anything before */
  checkPatterns(names: readonly string[]): void {
    this.#patterns.mustHaveMatched(names);
  }

  /** Whether it is a vector of one number, or a table of one number: as many parameters begin. */
  #isOneNumber(name: string): boolean {
    const proto = this.proto(name);
    const size = sizeOf(checkedShape(name, proto.dims));
    if (size > LARGEST_COMPARED || !STORED[proto.dataType]) return false;
    if (proto.dims.length !== 1 && this.ownership.signature === null) return false;
    const numbers = tensorFloats(whatIs(name), proto, this.#readExternal);
    return numbers.every((value) => value === numbers[0]);
  }

  /** Of the parameter `owner`, whose numbers the stored tensor `name` holds. */
  verdict(owner: string, name = owner): Verdict {
    const known = this.#verdicts.get(owner);
    if (known) return known;
    const proto = this.proto(name);
    const shape = checkedShape(whatIs(name), proto.dims);
    const parametersIn = this.ownership.parametersIn(name);
    // Of what was merged, the owner's name is its own.
    const from = owner === name ? parametersIn.filter((each) => each !== name) : [];
    const verdict: Verdict = isFloat(elementTypeIn(proto.dataType, this.#float))
      ? this.#asked(
          [owner, ...from],
          verdictOf({
            name: owner,
            shape,
            size: sizeOf(shape),
            signature: this.ownership.signature,
            parametersIn,
            isStatistics: this.#statistics.has(owner),
            isState: this.#states.has(owner),
            isZero: () => tensorFloats(whatIs(name), proto, this.#readExternal).every((value) => value === 0),
            table: () => this.#table(name, proto, shape),
          }),
        )
      : { trains: false, why: "constant", sure: true };
    const named = from.length === 0 ? verdict : { ...verdict, from };
    this.#verdicts.set(owner, named);
    return named;
  }

  #asked(names: readonly string[], verdict: Verdict): Verdict {
    const asked = this.#patterns.asked(names);
    if (asked === null) return verdict;
    if (!asked || verdict.trains) return { trains: asked, why: "asked", sure: true };
    if (verdict.why === "non-finite" || verdict.why === "statistics")
      throw new Failure(
        "cannot-train",
        `"${printable(names[0] ?? "")}" cannot be trained: it holds numbers that are not finite, or an operator reads it as statistics. Leave it out of --train.`,
      );
    return { trains: true, why: "asked", sure: true };
  }

  /** Large tensors are judged by their first rows. */
  #table(name: string, proto: TensorProto, shape: Shape): ReturnType<typeof tableKind> {
    const size = sizeOf(shape);
    if (size <= SEEN_OF_A_TABLE)
      return tableKind(tensorFloats(whatIs(name), proto, this.#readExternal), shape);
    const axis = shape.findIndex((length) => length > 1);
    const row = size / (shape[axis] ?? 1);
    const rows = Math.floor(SEEN_OF_A_TABLE / row);
    if (rows < 1) return null;
    const seen = shape.with(axis, rows);
    return tableKind(firstFloats(whatIs(name), proto, rows * row, this.#readExternal), seen);
  }

  copies(): ReadonlyMap<string, Copy> {
    this.#copies ??= copiesAmong(
      [...this.#protos.values()].flatMap((proto): FormCandidate[] => {
        const { name } = proto;
        const owners = [...this.ownership.ownersOf(name)];
        if (owners.length !== 1 || owners[0] !== name || !STORED[proto.dataType]) return [];
        if (!this.verdict(name).trains) return [];
        const parametersIn = this.ownership.parametersIn(name);
        return [{ name, proto, shape: checkedShape(whatIs(name), proto.dims), parametersIn }];
      }),
      ({ name, proto }, index) => floatAt(whatIs(name), proto, index, this.#readExternal),
      ({ name, proto }) => tensorFloats(whatIs(name), proto, this.#readExternal),
    );
    return this.#copies;
  }
}

function whatIs(name: string): string {
  return `The tensor "${printable(name)}"`;
}
