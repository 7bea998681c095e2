import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { CHUNKED_FROM_BYTES, CORPUS_CHUNK_BYTES, chunkListFile } from "../../src-protocol/corpus-chunks.ts";
import { gatherData } from "../gather-data.ts";
import type { DataOptions } from "../gather-data.ts";
import { findTokenizer } from "../tokenizer.ts";
import type { TextPart } from "../tokenizer.ts";
import { DataJournal } from "./data-journal.ts";
import type { ReadingState } from "./data-journal.ts";
import { DataSink } from "./data-sink.ts";
import { makeRoom } from "./kept-data.ts";
import { prepareApart } from "./prepare-apart.ts";
import { prepareData } from "./prepared-data.ts";
import type { Preparation } from "./prepared-data.ts";

const fixtures = join(import.meta.dirname, "..", "fixtures");
let root: string;
let data: string;
let cache: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tah prepared "));
  data = join(root, "data");
  cache = join(root, "cache");
  mkdirSync(data);
  return () => rmSync(root, { recursive: true, force: true });
});

const put = (name: string, content: string | Buffer): void => writeFileSync(join(data, name), content);
const wanted = (change: Partial<Preparation> = {}): Preparation => ({
  given: data,
  cache,
  vocabulary: 50_257,
  ...change,
});
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const words = (count: number, name: string): string =>
  Array.from({ length: count }, (_, i) => `${name} ${i} of many ${"lines ".repeat(i % 7)}.\n`).join("");

describe("data", () => {
  it("is read once, and again when a file, the tokenizer or a wish changed", async () => {
    put("a.txt", "one");
    copyFileSync(join(fixtures, "tokenizers", "gpt-2.json"), join(root, "tokenizer.json"));
    const first = await prepareData(wanted({ tokenizers: [root] }));
    expect(first.file).toBe(join(cache, `${first.corpus.sha256}.tokens`));
    expect(sha256(readFileSync(first.file))).toBe(first.corpus.sha256);
    expect(readdirSync(cache)).toHaveLength(2);
    expect(await prepareData(wanted({ tokenizers: [root] }))).toEqual(first);
    expect(readdirSync(cache)).toHaveLength(2);

    expect((await prepareData(wanted())).kind).toBe("bytes of text");
    put("b.txt", "two");
    expect((await prepareData(wanted({ tokenizers: [root] }))).taken).toHaveLength(2);
    expect((await prepareData(wanted({ tokenizers: [root], exclude: ["b.txt"] }))).taken).toHaveLength(1);
    writeFileSync(join(root, "tokenizer_config.json"), JSON.stringify({ eos_token: "a" }));
    expect((await prepareData(wanted({ tokenizers: [root] }))).notes[0]).toMatch(/end-of-text token a \(/);
  });

  it("that lies damaged in the cache is read again", async () => {
    put("a.txt", "one");
    const { file } = await prepareData(wanted());
    truncateSync(file, 1);
    expect(readFileSync((await prepareData(wanted())).file, "utf8")).toBe("one\n\n");
  });

  it("comes the same from a process of its own, with its failures, and nothing of it is left behind", async () => {
    put("a.jsonl", '{"text": "one"}\n{"text": "two"}\n');
    const apart = await prepareApart(wanted());
    rmSync(cache, { recursive: true });
    expect(await prepareData(wanted())).toEqual(apart);
    rmSync(join(data, "a.jsonl"));
    put("a.png", "\x89PNG");
    await expect(prepareApart(wanted())).rejects.toMatchObject({ code: "data-not-text" });
    expect(readdirSync(cache)).toHaveLength(2);
  });

  it("that two want at once is read by one of them", async () => {
    put("a.txt", words(20_000, "line"));
    const [one, two] = await Promise.all([prepareApart(wanted()), prepareApart(wanted())]);
    expect(one).toEqual(two);
    expect(readdirSync(cache)).toHaveLength(2);
  });

  it("is given up at once when it is asked to", async () => {
    put("a.txt", words(200_000, "line"));
    copyFileSync(join(fixtures, "tokenizers", "gpt-2.json"), join(root, "tokenizer.json"));
    const abort = new AbortController();
    const preparing = prepareApart(wanted({ tokenizers: [root] }), {
      signal: abort.signal,
      onProgress: ({ stage }) => {
        if (stage === "reading") abort.abort();
      },
    });
    await expect(preparing).rejects.toMatchObject({ code: "interrupted" });
  });
});

describe("a reading that broke off", () => {
  const tokenizer = async (kind: string) => {
    mkdirSync(join(root, kind), { recursive: true });
    copyFileSync(join(fixtures, "tokenizers", `${kind}.json`), join(root, kind, "tokenizer.json"));
    return await findTokenizer([join(root, kind)]);
  };

  /** Reads until the journal was written so often, as after a power cut: what came later is lost. */
  async function brokenOff(options: Partial<DataOptions>, entries: number): Promise<ReadingState> {
    const journal = new CuttingJournal(join(root, "journal"), entries);
    const abort = new AbortController();
    journal.onCut = () => abort.abort();
    const reading = gatherData(data, { ...base(options), journal, signal: abort.signal });
    await expect(reading).rejects.toMatchObject({ code: "interrupted" });
    const state = journal.read();
    if (state === null) throw new Error("nothing was written down");
    // Anything may be behind what counts.
    appendFileSync(join(root, "into"), "rubbish");
    return state;
  }

  const base = (options: Partial<DataOptions>): DataOptions => ({
    vocabulary: 50_257,
    into: join(root, "into"),
    tokenizer: null,
    keepEveryMs: 0,
    ...options,
  });

  class CuttingJournal extends DataJournal {
    onCut = (): void => {};
    #left: number;

    constructor(path: string, entries: number) {
      super(path);
      this.#left = entries;
    }

    override write(state: ReadingState): void {
      if (this.#left > 0) super.write(state);
      this.#left -= 1;
      if (this.#left === 0) this.onCut();
    }
  }

  const KINDS: readonly (readonly [string, () => void, string | null])[] = [
    ["text as bytes", () => put("b.txt", words(60_000, "line")), null],
    ["text as tokens", () => put("b.txt", words(24_000, "line")), "gpt-2"],
    ["tokens of a tokenizer that marks beginnings", () => put("b.txt", words(24_000, "line")), "llama-2"],
    [
      "packed records",
      () =>
        put(
          "b.jsonl.gz",
          gzipSync(
            Array.from({ length: 9_000 }, (_, i) =>
              i % 50 === 7 ? "no JSON" : JSON.stringify({ text: words(3, `r${i}`) }),
            ).join("\n"),
          ),
        ),
      "gpt-2",
    ],
    [
      "token numbers",
      () => put("b.u16", Buffer.from(Uint16Array.from({ length: 700_000 }, (_, i) => i % 50_000).buffer)),
      null,
    ],
  ];

  it.each(KINDS.flatMap((kind) => [1, 3].map((entries) => [kind[0], entries, kind] as const)))(
    "goes on to the same tokens, digest and notes: %s, after entry %i",
    async (_, entries, [, make, kind]) => {
      make();
      const isTokens = existsSync(join(data, "b.u16"));
      if (!isTokens) put("a.txt", "the first");
      put(isTokens ? "c.u16" : "c.txt", "the last, even!!");
      const own = kind === null ? null : await tokenizer(kind);
      const whole = await gatherData(data, { ...base({ tokenizer: own }), into: join(root, "whole") });
      const state = await brokenOff({ tokenizer: own }, entries);
      const before = state.bytes;
      expect(before).toBeLessThan(whole.corpus.bytes);

      let encoded = 0;
      const counting = own && {
        ...own,
        encode: (parts: readonly TextPart[]) => {
          for (const { text } of parts) encoded += text.length;
          return own.encode(parts);
        },
      };
      const journal = new DataJournal(join(root, "journal"));
      const again = await gatherData(data, { ...base({ tokenizer: counting }), journal });
      expect(again).toEqual(whole);
      expect(readFileSync(join(root, "into")).equals(readFileSync(join(root, "whole")))).toBe(true);
      // Nothing is encoded a second time.
      const isInTheMiddle = own !== null && state.done.length > 0 && state.pieces > 0;
      expect(encoded).toBeLessThan(isInTheMiddle ? 0.8 * words(24_000, "line").length : 1e9);
    },
  );

  it("begins anew where the token file has lost what the journal speaks of", async () => {
    put("a.txt", words(60_000, "line"));
    await brokenOff({}, 1);
    truncateSync(join(root, "into"), 10);
    const journal = new DataJournal(join(root, "journal"));
    const again = await gatherData(data, { ...base({}), journal });
    expect(again).toEqual(await gatherData(data, { ...base({}), into: join(root, "whole") }));
  });

  it("begins anew with a damaged journal, or one of other files", async () => {
    put("a.txt", words(60_000, "line"));
    const whole = await gatherData(data, { ...base({}), into: join(root, "whole") });
    await brokenOff({}, 2);
    writeFileSync(join(root, "journal"), '{"bytes": -1');
    const journal = new DataJournal(join(root, "journal"));
    expect(await gatherData(data, { ...base({}), journal })).toEqual(whole);
    journal.write({
      bytes: 3,
      done: [{ name: "z.txt", tokens: 3, notes: [] }],
      begins: 3,
      pieces: 0,
      last: -1,
    });
    expect(await gatherData(data, { ...base({}), journal })).toEqual(whole);
  });
});

describe("a disk", () => {
  it("that is too small is told before anything is written", async () => {
    put("a.txt", "some text");
    const reading = gatherData(data, {
      vocabulary: 256,
      into: join(root, "into"),
      tokenizer: null,
      roomBytes: () => 5,
    });
    await expect(reading).rejects.toMatchObject({
      code: "disk-too-small",
      message: expect.stringMatching(/at least 9 B .* where 5 B may be used/),
    });
    expect(existsSync(join(root, "into"))).toBe(false);
  });

  it("that fills up ends the reading with a sentence, and what was read is kept", async () => {
    put("a.txt", words(60_000, "line"));
    const journal = new DataJournal(join(root, "journal"));
    let room = 1e9;
    const options = {
      vocabulary: 256,
      into: join(root, "into"),
      tokenizer: null,
      journal,
      keepEveryMs: 0,
      roomBytes: () => ((room -= 4e8) > 0 ? room : 0),
    };
    await expect(gatherData(data, options)).rejects.toMatchObject({
      code: "disk-full",
      message: expect.stringMatching(/What was read until now is kept/),
    });
    const kept = journal.read()?.bytes ?? 0;
    expect(kept).toBeGreaterThan(0);
    const again = await gatherData(data, { ...options, roomBytes: () => 1e9 });
    expect(again.corpus.bytes).toBeGreaterThan(kept);
  });

  it("gives room by what was not used for longest, and by what nobody names", async () => {
    const prepared = [];
    for (const name of ["old", "new"]) {
      put("a.txt", name);
      prepared.push(await prepareData(wanted()));
    }
    const [old, recent] = prepared;
    for (const [i, { index }] of prepared.entries()) utimesSync(index, i, i);
    writeFileSync(join(cache, `${"ab".repeat(32)}.txt`), "of an earlier version");
    writeFileSync(join(cache, "earlier.json"), "{}");
    makeRoom(cache, 100, Date.now(), () => (existsSync(old?.file ?? "") ? 0 : 100));
    expect(readdirSync(cache).sort()).toEqual(
      [recent?.file ?? "", recent?.index ?? ""].map((path) => path.slice(cache.length + 1)).sort(),
    );
  });
});

describe("a large corpus", () => {
  it("has a list of its chunks' digests beside it, named by its own digest", async () => {
    const path = join(root, "large");
    const sink = await DataSink.open(path);
    const piece = Buffer.alloc(1024 * 1024 + 17);
    for (let i = 0; sink.bytes < CHUNKED_FROM_BYTES; i++) sink.write(piece.fill(i));
    const { sha256: digest, chunks } = sink.finish();
    sink.close();
    const bytes = readFileSync(path);
    expect(digest).toBe(sha256(bytes));
    const digests = [];
    for (let at = 0; at < bytes.length; at += CORPUS_CHUNK_BYTES)
      digests.push(
        createHash("sha256")
          .update(bytes.subarray(at, at + CORPUS_CHUNK_BYTES))
          .digest(),
      );
    expect(readFileSync(chunkListFile(path)).equals(Buffer.concat(digests))).toBe(true);
    expect(chunks).toEqual({ bytes: CORPUS_CHUNK_BYTES, sha256: sha256(Buffer.concat(digests)) });
  });

  it("a small one has none", async () => {
    const sink = await DataSink.open(join(root, "small"));
    sink.write(Buffer.from("x"));
    expect(sink.finish()).toEqual({ sha256: sha256(Buffer.from("x")) });
    sink.close();
  });
});
