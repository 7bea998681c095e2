import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { FAMILY_FOLDERS, familyFolder } from "../../src-engine/families/folder.test-support.ts";
import { encodeHeader } from "../../src-engine/families/safetensors.ts";
import { headerOf, tensorsIn } from "../../src-engine/families/model-files.ts";
import { readParameter } from "../../src-engine/families/stored-parameter.ts";
import { fileDigests } from "./file-digests.ts";
import { writeFolder } from "./folder-output.ts";
import type { ParameterSource } from "./folder-output.ts";
import { openModelFolder } from "./model-folder.ts";
import type { ModelFolder } from "./model-folder.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "tah-folder-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function copied(name: string): string {
  const path = join(home, name);
  cpSync(familyFolder(name), path, { recursive: true });
  return path;
}

/** What the folder itself holds, each number with `add`. */
function own(folder: ModelFolder, add = 0): ParameterSource {
  const infos = decoderParameters({ ...folder.stored.model, files: [] });
  return {
    names: new Set(infos.map(({ name }) => name)),
    read: (name) => {
      const info = infos.find((each) => each.name === name);
      if (!info) throw new Error(name);
      const values = new Float32Array(info.size);
      readParameter(folder.files, info, values);
      return values.map((value) => value + add);
    },
  };
}

describe("a model's folder", () => {
  it.each(FAMILY_FOLDERS)("%s: untrained, it is written as it was, bit by bit", (name) => {
    const folder = openModelFolder(familyFolder(name));
    const out = join(home, "out");
    writeFolder(folder, out, own(folder), { properties: {}, type: "kept" });
    folder.close();
    for (const file of folder.names)
      expect(readFileSync(join(out, file)).equals(readFileSync(join(familyFolder(name), file)))).toBe(true);
    const config = (path: string): string => readFileSync(join(path, "config.json"), "utf8");
    expect(config(out)).toEqual(config(familyFolder(name)));
  });

  it("is written with trained numbers, in the type they had or as float32, and says so", () => {
    const path = copied("llama-3");
    writeFileSync(join(path, "tokenizer.json"), "{}");
    writeFileSync(join(path, "pytorch_model.bin"), "weights from before");
    const before = openModelFolder(path);
    const out = join(home, "out");
    writeFolder(before, out, own(before, 1), { properties: { "train-at-home.step": "3" }, type: "kept" });
    const after = openModelFolder(out);
    const name = "model.layers.1.mlp.down_proj.weight";
    expect(own(after).read(name)).toEqual(own(before, 1).read(name));
    expect(headerOf(after.files, 2).metadata).toMatchObject({ format: "pt", "train-at-home.step": "3" });
    expect(readdirSync(out)).toContain("tokenizer.json");
    expect(readdirSync(out)).not.toContain("pytorch_model.bin");
    // Over itself, when it is asked for.
    writeFolder(after, out, own(after, 1), { properties: {}, type: "float32" });
    after.close();
    const again = openModelFolder(out);
    expect(own(again).read(name)).toEqual(
      own(before, 1)
        .read(name)
        .map((value) => value + 1),
    );
    expect(again.config).toMatchObject({ dtype: "float32" });
    expect(readdirSync(home)).toEqual(["llama-3", "out"]);
    for (const each of [before, again]) each.close();
  });

  it("of half-precision numbers keeps them, or becomes float32", () => {
    const path = copied("gpt2");
    const whole = openModelFolder(path);
    const infos = decoderParameters({ ...whole.stored.model, files: [] });
    whole.close();
    const out = join(home, "half");
    // Written by hand: a header with other types, and values that bfloat16 has.
    const half = openModelFolder(path);
    const tensors = [...tensorsIn(half.files).values()].map(({ name, shape }) => ({
      name,
      shape,
      dtype: "BF16" as const,
    }));
    half.close();
    mkdirSync(out);
    cpSync(join(path, "config.json"), join(out, "config.json"));
    writeFileSync(join(out, "model.safetensors"), bf16File(tensors));
    const folder = openModelFolder(out);
    const trained: ParameterSource = {
      names: new Set(infos.map(({ name }) => name)),
      read: (name) => new Float32Array(infos.find((each) => each.name === name)?.size ?? 0).fill(1 + 2 ** -9),
    };
    for (const [type, dtype, value] of [
      ["kept", "BF16", 1],
      ["float32", "F32", 1 + 2 ** -9],
    ] as const) {
      writeFolder(folder, join(home, type), trained, { properties: {}, type });
      const written = openModelFolder(join(home, type));
      expect(new Set([...tensorsIn(written.files).values()].map((each) => each.dtype))).toEqual(
        new Set([dtype]),
      );
      expect(own(written).read("transformer.wte.weight")[0]).toBe(value);
      written.close();
    }
    folder.close();
  });

  it.each<[what: string, spoil: (path: string) => void, message: RegExp]>([
    ["has no config", (path) => rmSync(join(path, "config.json")), /has no config\.json/],
    ["has a broken config", (path) => writeFileSync(join(path, "config.json"), "{"), /not JSON/],
    ["has no weights", (path) => clear(path, ".index.json"), /has no model\.safetensors and no/],
    [
      "has a pickle only",
      (path) => {
        clear(path, ".safetensors");
        clear(path, ".index.json");
        writeFileSync(join(path, "pytorch_model.bin"), "");
      },
      /only pytorch_model\.bin\. Load the model in Transformers/,
    ],
    [
      "is an adapter",
      (path) => {
        clear(path, ".index.json");
        writeFileSync(join(path, "adapter_model.safetensors"), "");
      },
      /an adapter \(LoRA\)/,
    ],
    [
      "lacks a file",
      (path) => rmSync(join(path, "model-00002-of-00004.safetensors")),
      /model-00002-of-00004\.safetensors cannot be read/,
    ],
    [
      "was never fetched",
      (path) =>
        writeFileSync(
          join(path, "model-00001-of-00004.safetensors"),
          "version https://git-lfs.github.com/spec/v1\n",
        ),
      /pointer of Git LFS/,
    ],
    [
      "has an index that leads out",
      (path) => index(path, { "model.norm.weight": "../secret.safetensors" }),
      /no plain name of a file/,
    ],
    [
      "has an index of another model",
      (path) => index(path, { "other.weight": "model-00001-of-00004.safetensors" }),
      /"other\.weight" is in model-00001/,
    ],
  ])("that %s is refused with a sentence", (_, spoil, message) => {
    const path = copied("llama-3");
    spoil(path);
    expect(() => openModelFolder(path)).toThrow(message);
  });
});

it("files are known by digests of the whole and of their chunks, however they are read", async () => {
  const path = join(home, "file");
  const bytes = new Uint8Array(2 * 1024 * 1024 + 17).map((_, i) => i % 251);
  writeFileSync(path, bytes);
  const { sha256 } = await import("../../src-protocol/signing.ts");
  const { chunksDigest } = await import("../../src-protocol/chunks.ts");
  const mib = 1024 * 1024;
  const chunks = [0, 1, 2].map((i) => sha256(bytes.subarray(i * mib, (i + 1) * mib)));
  expect(await fileDigests([path])).toEqual([
    { sha256: sha256(bytes), bytes: bytes.length, chunksSha256: chunksDigest(chunks) },
  ]);
});

function clear(path: string, ending: string): void {
  for (const name of readdirSync(path)) if (name.endsWith(ending)) rmSync(join(path, name));
}

function index(path: string, map: Record<string, string>): void {
  writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
}

function bf16File(tensors: readonly { name: string; shape: readonly number[]; dtype: "BF16" }[]): Uint8Array {
  const { bytes, fileBytes } = encodeHeader(tensors, { format: "pt" });
  const file = new Uint8Array(fileBytes);
  file.set(bytes);
  return file;
}
