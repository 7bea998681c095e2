import { expect, it } from "vitest";
import { CODECS } from "../../src-engine/codecs/codecs.ts";
import { CODEC_NAMES } from "../../src-protocol/link-codecs.ts";
import type { CodecName } from "../../src-protocol/link-codecs.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { TensorMeta } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { encodedTensor } from "./coded-tensor.ts";
import { tensorOf } from "./tensor-message.ts";

const [rows, width] = [32, 24];
const stage = { input: [rows, width], output: [rows, width], ties: [] };
const run = (codec: CodecName, near?: "f32") => ({
  arithmetic: "fast" as const,
  codecs: { forward: codec, backward: codec, ...(near && { near }) },
});

function tensor(
  codec: CodecName,
  change: (values: Float32Array<ArrayBuffer>) => void = () => undefined,
): { meta: TensorMeta; payload: Uint8Array<ArrayBuffer>; values: Float32Array } {
  const values = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i));
  change(values);
  const payload = encodedTensor(1, { pass: "forward", step: 0, microBatch: 0, stage: 0 }, codec, values);
  const meta: TensorMeta = {
    type: "tensor",
    generation: 1,
    step: 0,
    microBatch: 0,
    pass: "forward",
    dtype: "float32",
    shape: [rows, width],
    codec,
    sha256: sha256(payload),
  };
  return { meta, payload, values };
}

const codeOf = (result: ReturnType<typeof tensorOf>): string | null =>
  result instanceof Failure ? result.code : null;

it.each(CODEC_NAMES)("a sound tensor in %s is taken, with the digest of its bytes", (codec) => {
  const { meta, payload, values } = tensor(codec);
  const taken = tensorOf(run(codec), stage, "previous", meta, payload);
  if (taken instanceof Failure) throw taken;
  expect(taken.sha256).toBe(meta.sha256);
  const worst = { f32: 0, f16: 0.001, int8b64: 0.01, int4h: 0.4 }[codec];
  for (const [i, value] of values.entries())
    expect(Math.abs((taken.values[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(worst);
});

it.each(
  CODEC_NAMES.flatMap((codec) => [Number.NaN, Infinity, -Infinity].map((bad) => [codec, bad] as const)),
)("in %s, one value of %s is refused before it is computed with", (codec, bad) => {
  const { meta, payload } = tensor(codec, (values) => {
    values[values.length - 1] = bad;
  });
  expect(codeOf(tensorOf(run(codec), stage, "previous", meta, payload))).toBe("tensor-not-finite");
});

it("a digest is taken as it is told from a peer of the same owner, and nothing else is", () => {
  const { meta, payload } = tensor("f32");
  const from = (isOwn: boolean, change: Partial<TensorMeta> = {}, bytes = payload) =>
    tensorOf(run("f32"), stage, "previous", { ...meta, ...change }, bytes, isOwn);
  const told = { sha256: sha256("told") };
  expect(codeOf(from(false, told))).toBe("bad-tensor");
  expect(from(true, told)).toMatchObject(told);
  expect(codeOf(from(true, {}, payload.subarray(4)))).toBe("bad-tensor");
  expect(codeOf(from(true, { shape: [rows, width + 1] }))).toBe("bad-tensor");
  payload.fill(255);
  expect(codeOf(from(true))).toBe("tensor-not-finite");
});

it.each(CODEC_NAMES)("in %s, a tensor of another shape, size, digest or direction is refused", (codec) => {
  const { meta, payload } = tensor(codec);
  const code = (change: Partial<TensorMeta>, bytes = payload, from: "previous" | "next" = "previous") =>
    codeOf(tensorOf(run(codec), stage, from, { ...meta, ...change }, bytes));
  expect(code({ shape: [rows, width + 1] })).toBe("bad-tensor");
  expect(code({ shape: [rows * width] })).toBe("bad-tensor");
  expect(code({}, payload.subarray(4))).toBe("bad-tensor");
  expect(code({}, Uint8Array.of(...payload, 0, 0, 0, 0))).toBe("bad-tensor");
  expect(code({ sha256: "0".repeat(64) })).toBe("bad-tensor");
  expect(code({ pass: "backward" })).toBe("bad-tensor");
  expect(code({}, payload, "next")).toBe("bad-tensor");
});

it("a codec that was not agreed is refused; between near computers the values may come as they are", () => {
  for (const agreed of CODEC_NAMES)
    for (const sent of CODEC_NAMES) {
      const { meta, payload } = tensor(sent);
      const code = (of: Parameters<typeof tensorOf>[0]) =>
        codeOf(tensorOf(of, stage, "previous", meta, payload));
      expect(code(run(agreed)), `${sent} for ${agreed}`).toBe(sent === agreed ? null : "bad-tensor");
      expect(code(run(agreed, "f32"))).toBe(sent === agreed || sent === "f32" ? null : "bad-tensor");
      const exact = { ...run(agreed, "f32"), arithmetic: "exact" } as const;
      expect(code(exact), "the road changes no number").toBe(sent === agreed ? null : "bad-tensor");
    }
});

it("nothing of it is given memory before its size is right", () => {
  const { meta, payload } = tensor("int8b64");
  const decode = CODECS.int8b64.decode;
  let decoded = 0;
  CODECS.int8b64.decode = (bytes, into) => {
    decoded += 1;
    decode(bytes, into);
  };
  try {
    tensorOf(run("int8b64"), stage, "previous", { ...meta, shape: [2 ** 30] }, payload);
    tensorOf(run("int8b64"), stage, "previous", meta, payload.subarray(1));
    expect(decoded).toBe(0);
    tensorOf(run("int8b64"), stage, "previous", meta, payload);
    expect(decoded).toBe(1);
  } finally {
    CODECS.int8b64.decode = decode;
  }
});
