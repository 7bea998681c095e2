import { expect, it } from "vitest";
import type { TensorMeta } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { refusalOf } from "./tensor-message.ts";

const [rows, width] = [32, 24];
const stage = { input: [rows, width], output: [rows, width], ties: [] };

function tensor(change: (values: Float32Array<ArrayBuffer>) => void = () => undefined): {
  meta: TensorMeta;
  payload: Uint8Array<ArrayBuffer>;
} {
  const values = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i));
  change(values);
  const payload = new Uint8Array(values.buffer);
  const meta: TensorMeta = {
    type: "tensor",
    generation: 1,
    step: 0,
    microBatch: 0,
    pass: "forward",
    dtype: "float32",
    shape: [rows, width],
    codec: "f32",
    sha256: sha256(payload),
  };
  return { meta, payload };
}

it("a sound tensor is taken", () => {
  const { meta, payload } = tensor();
  expect(refusalOf(stage, "previous", meta, payload)).toBeNull();
});

it.each([Number.NaN, Infinity, -Infinity])("one value of %s is refused before it is computed with", (bad) => {
  const { meta, payload } = tensor((values) => {
    values[values.length - 1] = bad;
  });
  expect(refusalOf(stage, "previous", meta, payload)?.code).toBe("tensor-not-finite");
});

it("a tensor of another shape, size, digest or direction is refused", () => {
  const { meta, payload } = tensor();
  const code = (change: Partial<TensorMeta>, bytes = payload, from: "previous" | "next" = "previous") =>
    refusalOf(stage, from, { ...meta, ...change }, bytes)?.code;
  expect(code({ shape: [rows, width + 1] })).toBe("bad-tensor");
  expect(code({ shape: [rows * width] })).toBe("bad-tensor");
  expect(code({ codec: "f16" })).toBe("bad-tensor");
  expect(code({}, payload.subarray(4))).toBe("bad-tensor");
  expect(code({ sha256: "0".repeat(64) })).toBe("bad-tensor");
  expect(code({ pass: "backward" })).toBe("bad-tensor");
  expect(code({}, payload, "next")).toBe("bad-tensor");
});
