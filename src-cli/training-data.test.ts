import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../src-protocol/signing.ts";
import { gatherData } from "./training-data.ts";
import type { DataOptions, TrainingData } from "./training-data.ts";

let folder: string;
let into: string;
beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), "tah data "));
  folder = join(root, "novels");
  into = join(root, "gathered");
  mkdirSync(folder);
  return () => rmSync(root, { recursive: true, force: true });
});

const put = (name: string, content: string | NodeJS.ArrayBufferView): void => {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), content);
};
const gather = (options: Partial<DataOptions> = {}): TrainingData =>
  gatherData(folder, { vocabulary: 300, into, tokenizer: null, ...options });
const codeOf = (options: Partial<DataOptions> = {}): string => {
  try {
    gather(options);
    return "accepted";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("a data folder", () => {
  it("of text becomes its bytes, file by file in the order of their names", () => {
    put("b/two.md", "zwei ä");
    put("a.txt", "eins\n");
    put("c.txt", "drei");
    put(".hidden.txt", "nothing");
    put("picture.png", Uint8Array.of(137, 80, 78, 71, 0, 1));
    put("latin1.txt", Uint8Array.of(0xe4, 0x20, 0xe4));
    const data = gather();
    expect(readFileSync(into, "utf8")).toBe("eins\n\n\nzwei ä\n\ndrei\n\n");
    expect(data).toMatchObject({ kind: "bytes of text", files: 3, skipped: 2, tokens: 22 });
    expect(data.corpus).toEqual({
      name: "novels",
      sha256: sha256(readFileSync(into)),
      bytes: 22,
      tokenBytes: 1,
    });
  });

  it("ends where the last text ends, also when something longer that is none came after it", () => {
    put("a.txt", "text");
    put("b.txt", Buffer.concat([Buffer.from("line\n".repeat(500_000)), Buffer.from([0xff])]));
    expect(gather().corpus).toMatchObject({ bytes: 6, sha256: sha256("text\n\n") });
    expect(readFileSync(into, "utf8")).toBe("text\n\n");
  });

  it("takes letters apart nowhere, however the file is read", () => {
    const text = "ä😀".repeat(400_000);
    put("a.txt", text);
    gather();
    expect(readFileSync(into, "utf8")).toBe(`${text}\n\n`);
  });

  it("of token numbers is taken as it is, whatever else lies there", () => {
    put("train.bin", new Uint16Array([1, 299, 2]));
    put("val.bin", new Uint16Array([7]));
    put("readme.md", "how the tokens were made");
    const data = gather();
    expect(data).toMatchObject({ kind: "token numbers of 16 bits", tokens: 4, files: 2, skipped: 1 });
    expect(data.corpus.tokenBytes).toBe(2);
    expect(new Uint16Array(new Uint8Array(readFileSync(into)).buffer)).toEqual(Uint16Array.of(1, 299, 2, 7));
  });

  it("of text is encoded with the model's tokenizer, line by line", () => {
    put("a.txt", "a b\nc");
    put("tokenizer.json", "{}");
    const tokenizer = { name: "test", encode: (text: string) => [...text].map((c) => c.charCodeAt(0) + 100) };
    const data = gather({ tokenizer });
    expect(data).toMatchObject({ kind: "tokens of test", files: 1, tokens: 7 });
    expect([...new Uint16Array(new Uint8Array(readFileSync(into)).buffer)].slice(0, 4)).toEqual([
      197, 132, 198, 110,
    ]);
    expect(gather({ tokenizer, vocabulary: 100_000 }).corpus).toMatchObject({ tokenBytes: 4, bytes: 28 });
  });

  it("with a link is read where the link stays inside, once", () => {
    put("real/a.txt", "text");
    symlinkSync("real/a.txt", join(folder, "again.txt"));
    symlinkSync("..", join(folder, "real", "up"));
    expect(gather()).toMatchObject({ files: 1 });
    symlinkSync(join(folder, "..", "gathered"), join(folder, "out.txt"));
    expect(() => gather()).toThrow(/out\.txt in the data folder is a link to .*, outside of the folder/);
  });

  it.each<[string, string, Partial<DataOptions>, () => void]>([
    ["nothing", "data-empty", {}, () => undefined],
    ["empty token files", "data-empty", {}, () => put("a.u16", "")],
    ["no text", "data-not-text", {}, () => put("a.txt", Uint8Array.of(0, 1))],
    ["text for few tokens", "data-needs-tokens", { vocabulary: 255 }, () => put("a.txt", "text")],
    ["too much", "data-too-large", { largestBytes: 5 }, () => put("a.txt", "text")],
    ["half a number", "data-bad-length", {}, () => put("a.u32", "abcdef")],
    ["foreign tokens", "data-beyond-vocabulary", {}, () => put("a.u32", new Uint32Array([1, 300]))],
    [
      "two widths",
      "data-mixed",
      {},
      () => {
        put("a.u16", "ab");
        put("b.u32", "abcd");
      },
    ],
    [
      "a tokenizer of another model",
      "data-beyond-vocabulary",
      { tokenizer: { name: "other", encode: () => [300] } },
      () => put("a.txt", "text"),
    ],
  ])("with %s is refused: %s", (_, code, options, prepare) => {
    prepare();
    expect(codeOf(options)).toBe(code);
  });

  it("that is none is refused", () => {
    put("file", "text");
    const of = (path: string) => () => gatherData(path, { vocabulary: 300, into, tokenizer: null });
    expect(of(join(folder, "gone"))).toThrow(/There is no .*gone\. Check the name/);
    expect(of(join(folder, "file"))).toThrow(/is a file, and --data needs a folder/);
  });
});
