import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { familyFolder, familyGolden, familySpec } from "../../src-engine/families/folder.test-support.ts";
import { Scorer } from "./scorer.ts";
import { sightOf } from "../trial/sight.ts";

it.each(["llama-3", "gpt2", "gemma3"])(
  "%s: a folder's scores are those of Transformers, and see only back",
  async (name) => {
    const [spec, golden] = [familySpec(name), familyGolden(name)];
    const paths = readdirSync(familyFolder(name))
      .filter((each) => each.endsWith(".safetensors"))
      .map((each) => join(familyFolder(name), each));
    const scorer = await Scorer.openDecoder(paths, spec, { ...golden, threads: 1 });
    try {
      const scores = await scorer.scores(Int32Array.from(golden.tokens));
      const losses = golden.targets.map((target, row) => {
        const own = scores.subarray(row * spec.vocabulary, (row + 1) * spec.vocabulary);
        return Math.log(own.reduce((sum, score) => sum + Math.exp(score), 0)) - (own[target] ?? Number.NaN);
      });
      expect(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toBeCloseTo(golden.loss, 4);
      expect(await sightOf(scorer)).toBe("causal");
    } finally {
      await scorer.close();
    }
  },
);
