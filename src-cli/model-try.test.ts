import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { evaluate, fixture, golden } from "../src-engine/import/golden.test-support.ts";
import { importModel } from "../src-engine/import/import-model.ts";
import { type TryOptions, tryModel, tryText } from "./model-try.ts";

const OPTIONS: Omit<TryOptions, "model"> = {
  prompts: ["3 1 4"],
  count: 1,
  length: 5,
  temperature: 0,
  seed: 1,
  tokenizer: null,
  tokens: null,
  scores: null,
  fixed: {},
  sizes: {},
  sequence: null,
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah try "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const FIXTURES = join(import.meta.dirname, "..", "src-engine", "fixtures");

function model(name: string): string {
  const path = join(folder, `${name}.onnx`);
  copyFileSync(join(FIXTURES, `${name}.onnx`), path);
  return path;
}

const quiet = (): void => undefined;

describe("tah model try", () => {
  it("writes the likeliest token after what the framework's own scores say", async () => {
    // Of "hf-gpt2" batch and window are fixed: 2 and 6.
    const numbers = golden("hf-gpt2");
    const { output } = await evaluate(importModel(fixture("hf-gpt2")), numbers);
    const last = (output ?? new Float32Array()).subarray(5 * 24, 6 * 24);
    const prompt = [...(numbers.inputs["input"] as ArrayLike<number> as number[])].slice(0, 6).join(" ");
    const found = await tryModel(
      { ...OPTIONS, model: model("hf-gpt2"), prompts: [prompt], length: 1 },
      quiet,
    );
    expect(found).toMatchObject({ tokens: "numbers", window: 6 });
    expect(found.samples).toEqual([{ prompt, text: ` ${last.indexOf(Math.max(...last))}`, tokens: 1 }]);
  });

  it("writes several texts at once, the same for the same seed", async () => {
    const words = { ...OPTIONS, model: model("llama-tied"), count: 3, temperature: 1 };
    const [first, again, other] = [
      await tryModel(words, quiet),
      await tryModel(words, quiet),
      await tryModel({ ...words, seed: 2 }, quiet),
    ];
    expect(first.samples).toHaveLength(3);
    expect(first).toEqual(again);
    expect(first.samples).not.toEqual(other.samples);
    expect(tryText(first)).toMatch(/^3 1 4▸ \d/);
  });

  it("says what is wrong with a prompt", async () => {
    const file = model("llama-tied");
    const tried = (prompt: string) => tryModel({ ...OPTIONS, model: file, prompts: [prompt] }, quiet);
    await expect(tried("the cat")).rejects.toMatchObject({ code: "bad-prompt" });
    await expect(tried("3 24")).rejects.toThrow(/knows those below 24/);
    await expect(tried("")).rejects.toThrow(/holds no token/);
    await expect(
      tryModel({ ...OPTIONS, model: file, tokenizer: join(folder, "none") }, quiet),
    ).rejects.toMatchObject({ code: "no-tokenizer" });
  });
});
