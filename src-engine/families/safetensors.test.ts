import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { randomStream } from "../random.ts";
import { FAMILY_FOLDERS, familyFolder } from "./folder.test-support.ts";
import { headerOf, modelFiles, tensorsIn } from "./model-files.ts";
import type { ModelFiles } from "./model-files.ts";
import { encodeHeader, LENGTH_BYTES } from "./safetensors.ts";
import type { Dtype, StoredTensor } from "./safetensors.ts";
import { decodeNumbers, encodeNumbers } from "./stored-numbers.ts";
import { parameterBytes, readParameter } from "./stored-parameter.ts";

function inMemory(...all: Uint8Array[]): ModelFiles {
  return modelFiles(
    all.map(({ length }) => length),
    (file, bytes, done, position) => {
      const part = all[file]?.subarray(position, position + bytes.length - done) ?? new Uint8Array();
      bytes.set(part, done);
      return part.length;
    },
  );
}

/** A file by its JSON, with so many bytes of data. */
function fileOf(header: unknown, data: number, length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(LENGTH_BYTES + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}

const tensor = (from: number, to: number, shape = [(to - from) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe("a safetensors file", () => {
  it.each<[what: string, file: Uint8Array, message: RegExp]>([
    ["is empty", new Uint8Array(), /shorter than 8 bytes/],
    ["is something else", new TextEncoder().encode("version https://git-lfs"), /may be no safetensors file/],
    ["ends within its header", fileOf({}, 0, 100n), /ends within its header/],
    ["is no JSON", fileOf("{", 0), /not JSON/],
    ["is a list", fileOf([], 0), /no JSON object/],
    ["has an unknown type", fileOf({ a: tensor(0, 4, [1], "Q4") }, 4), /"a" is of the type Q4/],
    ["has a wrong length", fileOf({ a: tensor(0, 8, [3]) }, 8), /has 8 bytes, and 12 by its shape \[3\]/],
    ["has negative places", fileOf({ a: tensor(-4, 0, [1]) }, 0), /not described as the format demands/],
    ["has sizes beyond any number", fileOf({ a: tensor(0, 4, [2 ** 50, 2 ** 50]) }, 4), /too large/],
    ["overlaps", fileOf({ a: tensor(0, 8), b: tensor(4, 12) }, 12), /"b" overlaps another one/],
    ["has a hole", fileOf({ a: tensor(0, 4), b: tensor(8, 12) }, 12), /"b" leaves a gap/],
    ["was cut off", fileOf({ a: tensor(0, 40) }, 30), /cut off, so copy it again/],
    ["has more than its tensors", fileOf({ a: tensor(0, 4) }, 6), /2 bytes at its end/],
    ["says no text of itself", fileOf({ __metadata__: { step: 3 } }, 0), /__metadata__/],
  ])("that %s is refused with a sentence", (_, file, message) => {
    expect(() => tensorsIn(inMemory(file))).toThrow(message);
    expect(() => tensorsIn(inMemory(file))).toThrow(expect.objectContaining({ code: "bad-safetensors" }));
  });

  it("must not hold a tensor that another file of the model holds", () => {
    const file = fileOf({ a: tensor(0, 4) }, 4);
    expect(() => tensorsIn(inMemory(file, file))).toThrow(/"a" is in two/);
  });

  it("is what its writer wrote, with data at a multiple of 8", () => {
    const wanted = [
      { name: 'odd "name"', dtype: "F32" as Dtype, shape: [2, 3] },
      { name: "__proto__", dtype: "BF16" as Dtype, shape: [] },
      { name: "empty", dtype: "U8" as Dtype, shape: [0, 4] },
    ];
    const { bytes, tensors, fileBytes } = encodeHeader(wanted, { format: "pt" });
    expect(bytes.length % 8).toBe(0);
    const file = new Uint8Array(fileBytes);
    file.set(bytes);
    const read = headerOf(inMemory(file), 0);
    expect(read.metadata).toEqual({ format: "pt" });
    expect(read.tensors.toSorted((a, b) => a.from - b.from)).toEqual(tensors);
  });

  it.each(FAMILY_FOLDERS)("%s: what Transformers wrote is written again bit by bit", (name) => {
    for (const path of readdirSync(familyFolder(name)).filter((each) => each.endsWith(".safetensors"))) {
      const file = new Uint8Array(readFileSync(join(familyFolder(name), path)));
      const files = inMemory(file);
      const { tensors, metadata } = headerOf(files, 0);
      const again = encodeHeader(tensors, metadata);
      expect(again.fileBytes).toBe(file.length);
      expect(Buffer.from(again.bytes).equals(file.subarray(0, again.bytes.length))).toBe(true);
    }
  });
});

describe("numbers of a file", () => {
  const values = Float32Array.of(0, -0, 1, -2.5, 3.2015, 65_504, 1e-7, 1e30);
  it.each(["F32", "F64"] as const)("%s keeps every value", (dtype) => {
    expect(decodeNumbers(dtype, encodeNumbers(dtype, values))).toEqual(values);
  });

  it("bfloat16 and float16 give the nearest value, and what they hold comes back", () => {
    expect(
      [...decodeNumbers("BF16", encodeNumbers("BF16", values))].map((each) => Math.fround(each)),
    ).toEqual([0, -0, 1, -2.5, 3.203125, 65_536, 1.0011717677116394e-7, 1.0002555517425873e30]);
    // Ties go to even: 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷.
    expect([
      ...decodeNumbers("BF16", encodeNumbers("BF16", Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8))),
    ]).toEqual([1, 1 + 2 ** -6]);
    const halves = encodeNumbers("F16", Float32Array.of(1 / 3, 65_504));
    expect([...decodeNumbers("F16", halves)]).toEqual([0.333251953125, 65_504]);
  });

  it.each<[shape: number[], transposed: boolean]>([
    [[3, 5], false],
    [[3, 5], true],
    [[1500, 1300], true],
    [[7], false],
  ])("[%s] (exchanged: %s) is read in pieces as it was written", (shape, transposed) => {
    const random = randomStream("safetensors.test");
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, () => random());
    const stored = transposed ? shape.toReversed() : shape;
    const { bytes, tensors, fileBytes } = encodeHeader([{ name: "w", dtype: "F32", shape: stored }], {});
    const place = { ...(tensors[0] as StoredTensor), dtype: "F32" as const };
    const file = new Uint8Array(fileBytes);
    file.set(bytes);
    let at = bytes.length;
    for (const piece of parameterBytes(place, transposed, values)) {
      file.set(piece, at);
      at += piece.length;
    }
    expect(at).toBe(fileBytes);
    const read = new Float32Array(size);
    readParameter(inMemory(file), { name: "w", shape, size, decay: true, transposed }, read);
    expect(read).toEqual(values);
    // Row 0, column 1 of what is trained is row 1, column 0 of the file.
    const inFile = new Float32Array(file.slice(bytes.length).buffer);
    expect(inFile[transposed ? (shape[0] ?? 0) : 1]).toBe(values[1]);
  });
});

describe("10,000 mutated files", () => {
  it("give a sentence, or tensors that lie within the file", () => {
    const random = randomStream("safetensors.fuzz");
    const below = (count: number): number => Math.floor(random() * count);
    const originals = ["llama", "gpt2", "gemma3"].map(
      (name) => new Uint8Array(readFileSync(join(familyFolder(name), "model.safetensors"))),
    );
    const parts = [
      '"dtype":"F16"',
      '"shape":[1,',
      "[0,0]",
      "1e9",
      "-1",
      "9007199254740993",
      "null",
      "{",
      "]",
      '"',
    ];
    let refused = 0;
    for (let round = 0; round < 10_000; round++) {
      const original = originals[round % originals.length] as Uint8Array;
      let file = original.slice(0, random() < 0.1 ? below(original.length) : original.length);
      const header = Math.min(file.length, 8 + Number(new DataView(original.buffer).getBigUint64(0, true)));
      for (let i = 0; i < 1 + below(3); i++) {
        const at = below(Math.max(1, random() < 0.2 ? 8 : header));
        if (random() < 0.5) file[at] = below(256);
        else {
          const part = new TextEncoder().encode(parts[below(parts.length)]);
          file.set(part.subarray(0, Math.max(0, file.length - at)), at);
        }
      }
      if (random() < 0.05) file = new Uint8Array([...file, 0]);
      try {
        const tensors = [...tensorsIn(inMemory(file)).values()];
        const isWithin = ({ from, to, shape }: StoredTensor): boolean =>
          from >= 8 && from <= to && to <= file.length && shape.reduce((a, b) => a * b, 1) <= file.length;
        expect(tensors.every(isWithin)).toBe(true);
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== "bad-safetensors") throw error;
        if (error.message.length > 500) throw error;
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(2_000);
    expect(refused).toBeLessThan(10_000);
  }, 60_000);
});
