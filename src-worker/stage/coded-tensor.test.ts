import { expect, it } from "vitest";
import { CODECS } from "../../src-engine/codecs/codecs.ts";
import { CODEC_NAMES } from "../../src-protocol/link-codecs.ts";
import { decodedTensor, encodedTensor, passedOn } from "./coded-tensor.ts";
import type { TensorPlace } from "./coded-tensor.ts";

const values = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i * i));
const place: TensorPlace = { pass: "backward", step: 3, microBatch: 1, stage: 2 };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

it.each(CODEC_NAMES)(
  "whoever encodes the same gradient for the same place has the same bytes in %s",
  (codec) => {
    const once = encodedTensor(7, place, codec, values);
    expect(hex(encodedTensor(7, place, codec, values.slice()))).toBe(hex(once));
    expect(once).toHaveLength(CODECS[codec].encodedBytes(values.length));
    for (const other of [
      { ...place, step: 4 },
      { ...place, microBatch: 2 },
      { ...place, stage: 1 },
    ])
      expect(hex(encodedTensor(7, other, codec, values)) === hex(once)).toBe(codec === "f32");
    expect(hex(encodedTensor(8, place, codec, values)) === hex(once)).toBe(codec === "f32");
  },
);

it("activations are rounded to the nearest value, wherever they go", () => {
  for (const pass of ["forward", "evaluate"] as const) {
    const forward = encodedTensor(7, { ...place, pass }, "int8b64", values);
    expect(hex(encodedTensor(1, { pass, step: 9, microBatch: 9, stage: 0 }, "int8b64", values))).toBe(
      hex(forward),
    );
  }
});

it("in f32 nothing is copied", () => {
  const bytes = encodedTensor(7, place, "f32", values);
  expect(bytes.buffer).toBe(values.buffer);
  expect(decodedTensor("f32", bytes, values.length).buffer).toBe(values.buffer);
});

it("what a run that is done again passes on is what its receiver had", () => {
  const run = { arithmetic: "exact", seed: 7, codecs: { forward: "f16", backward: "int4h" } } as const;
  const sent = encodedTensor(7, place, "int4h", values);
  expect(passedOn(run, place, values)).toEqual(decodedTensor("int4h", sent, values.length));
  expect(passedOn({ arithmetic: "exact", seed: 7 }, place, values)).toBe(values);
});
