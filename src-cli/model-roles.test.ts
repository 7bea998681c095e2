import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ModelProtoSchema, NodeProtoSchema, ValueInfoProtoSchema } from "../src-engine/onnx_pb.js";
import { fixedNotes, rolesOf } from "./model-roles.ts";
import type { RoleOptions } from "./model-roles.ts";

const [FLOAT, INT64, BOOL] = [1, 7, 9];
type Shape = readonly (number | string)[];

function value(name: string, elemType: number, shape: Shape) {
  const dim = shape.map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : { value: { case: "dimParam" as const, value: size } },
  );
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
  });
}

/** A file with these inputs, all read by one node for each output; it is not computed with. */
function file(
  inputs: readonly [name: string, type: number, shape: Shape][],
  outputs: readonly string[] = ["logits"],
  unread: readonly [name: string, type: number, shape: Shape][] = [],
): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        input: [...inputs, ...unread].map((row) => value(...row)),
        output: outputs.map((name) => value(name, FLOAT, [])),
        node: outputs.map((name) =>
          create(NodeProtoSchema, { opType: "Any", input: inputs.map(([input]) => input), output: [name] }),
        ),
      },
    }),
  );
}

const NOTHING: RoleOptions = {
  tokens: null,
  scores: null,
  fixed: {},
  sizes: {},
  batch: null,
  sequence: null,
};
const ids: [name: string, type: number, shape: Shape] = ["input_ids", INT64, ["batch", "sequence"]];
const codeOf = (act: () => unknown): string => {
  try {
    act();
    return "accepted";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("the inputs and outputs of a language model", () => {
  it("are found by type and name, and what is constant in training is filled in", () => {
    const model = file([
      ["attention_mask", INT64, ["batch", "past + sequence"]],
      ids,
      ["token_type_ids", INT64, ["batch", "sequence"]],
      ["use_causal_mask", BOOL, [1, 1]],
    ]);
    expect(rolesOf(model, NOTHING)).toEqual({
      tokens: "input_ids",
      scores: "logits",
      fixed: { attention_mask: 1, token_type_ids: 0, use_causal_mask: 1 },
      sizes: { batch: 4, sequence: 128, "past + sequence": 128 },
      batch: 4,
      sequence: 128,
      open: { batch: true, sequence: true },
    });
  });

  it("are those of Optimum's files: a cache is empty, for nothing came before the first token", () => {
    const model = file([
      ["input_ids", INT64, ["batch_size", "sequence_length"]],
      ["attention_mask", INT64, ["batch_size", "past_sequence_length + sequence_length"]],
      ["position_ids", INT64, ["batch_size", "sequence_length"]],
      ["past_key_values.0.key", FLOAT, ["batch_size", 2, "past_sequence_length", 8]],
    ]);
    const roles = rolesOf(model, { ...NOTHING, batch: 2, sequence: 6 });
    expect(roles).toMatchObject({
      fixed: { attention_mask: 1, position_ids: "positions", "past_key_values.0.key": 0 },
      sizes: {
        batch_size: 2,
        sequence_length: 6,
        past_sequence_length: 0,
        "past_sequence_length + sequence_length": 6,
      },
    });
    expect(fixedNotes(roles)).toEqual([
      expect.stringContaining('"attention_mask" is filled with 1'),
      expect.stringContaining('"position_ids" is filled with 0, 1, 2'),
      expect.stringContaining('"past_key_values.0.key", a cache of earlier tokens, is empty'),
    ]);
  });

  it("may have any name, and no name for their dimensions", () => {
    const model = file([["x.1", INT64, [0, 0]]], ["y.2"]);
    expect(rolesOf(model, { ...NOTHING, sequence: 7 })).toMatchObject({
      tokens: "x.1",
      scores: "y.2",
      sizes: { "x.1[0]": 4, "x.1[1]": 7 },
    });
  });

  it("may be called like things that every object has", () => {
    const model = file([["constructor", INT64, ["valueOf", "toString"]]]);
    expect(rolesOf(model, NOTHING)).toMatchObject({
      tokens: "constructor",
      sizes: { valueOf: 4, toString: 128 },
      fixed: {},
    });
  });

  it("have the sizes that the file fixes", () => {
    const model = file([["ids", INT64, [2, 6]]]);
    expect(rolesOf(model, NOTHING)).toMatchObject({ batch: 2, sequence: 6, sizes: {} });
    expect(rolesOf(model, { ...NOTHING, sequence: 6 })).toMatchObject({ sequence: 6 });
    expect(() => rolesOf(model, { ...NOTHING, sequence: 8 })).toThrow(/takes 6 tokens a sequence/);
  });

  it("that no score depends on do not matter", () => {
    const model = file([ids], ["logits"], [["past_key_values.0.key", FLOAT, ["batch", 2, "past", 8]]]);
    expect(rolesOf(model, NOTHING).fixed).toEqual({});
  });

  it("are what a person says they are", () => {
    const model = file(
      [
        ["a", INT64, ["n", "t"]],
        ["b", INT64, ["n", "t"]],
        ["scale", FLOAT, ["k"]],
      ],
      ["p", "q"],
    );
    expect(
      rolesOf(model, {
        ...NOTHING,
        tokens: "b",
        scores: "q",
        fixed: { a: 3, scale: 0.5 },
        sizes: { k: 2, n: 8 },
      }),
    ).toEqual({
      tokens: "b",
      scores: "q",
      open: { batch: false, sequence: true },
      fixed: { a: 3, scale: 0.5 },
      sizes: { n: 8, t: 128, k: 2 },
      batch: 8,
      sequence: 128,
    });
  });

  const two = file([
    ["a", INT64, ["n", "t"]],
    ["b", INT64, ["n", "t"]],
  ]);
  const usual = file([ids]);
  it("positions are counted from 0 along the sequence", () => {
    const roles = rolesOf(file([ids, ["position_ids", INT64, ["n", "t"]]]), NOTHING);
    expect(roles.fixed).toEqual({ position_ids: "positions" });
  });

  it.each<[string, Uint8Array, Partial<RoleOptions>, string, RegExp]>([
    ["two candidates", two, {}, "which-tokens", /--tokens NAME: a \[n, t\], b \[n, t\]/],
    ["a name that is not there", usual, { tokens: "ids" }, "which-tokens", /no input "ids"/],
    ["no tokens at all", file([["x", FLOAT, ["n", 10]]]), {}, "which-tokens", /Only language models/],
    ["several outputs", file([ids], ["p", "q"]), {}, "which-scores", /--scores NAME: p, q/],
    ["an output that is not there", usual, { scores: "q" }, "which-scores", /no output "q"/],
    ["a cache", file([ids, ["past.0", FLOAT, ["n", 2]]]), {}, "model-input", /use_cache=False/],
    ["an added mask", file([ids, ["mask", FLOAT, ["n", 1]]]), {}, "model-input", /--fixed mask=NUMBER/],
    ["a fixed number for tokens", usual, { fixed: { input_ids: 1 } }, "which-tokens", /--tokens/],
    ["a size that is not open", usual, { sizes: { heads: 2 } }, "bad-size", /batch, sequence/],
    ["two sizes for one", usual, { batch: 2, sizes: { batch: 3 } }, "bad-size", /contradict/],
    ["an open size", file([ids, ["m", FLOAT, ["k"]]]), { fixed: { m: 0 } }, "bad-size", /--size k=N/],
  ])("%s: one sentence says what to do", (_, model, options, code, sentence) => {
    const act = (): unknown => rolesOf(model, { ...NOTHING, ...options });
    expect(codeOf(act)).toBe(code);
    expect(act).toThrow(sentence);
  });
});
