import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writeFile } from "node:fs/promises";
import { llamaModel, llamaScores } from "../../src-engine/llama-model.ts";
import { recordHeaderLine, RUN_RECORD_FILE } from "../../src-protocol/run-record.ts";
import { tinyRun } from "../tiny-run.test-support.ts";
import { Scorer } from "../compute/scorer.ts";
import { writeRun } from "./write-run.ts";

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "tah writes "))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const request = {
  type: "write-run" as const,
  prompts: ["The "],
  bytes: 4,
  temperature: 0,
  seed: 0,
  mostMs: null,
};

it("says that nothing is stored yet, as long as that is so", async () => {
  const refused = writeRun({ ...request, networkFolder: folder }, 1);
  await expect(refused).rejects.toMatchObject({ code: "nothing-stored" });
  await writeFile(join(folder, RUN_RECORD_FILE), recordHeaderLine(tinyRun()));
  await expect(writeRun({ ...request, networkFolder: folder }, 1)).rejects.toMatchObject({
    code: "nothing-stored",
  });
});

it("scores of the built-in model lead to the loss that it trains with", async () => {
  const { model } = tinyRun();
  if (model.kind !== "llama") throw new Error("the tiny run has the built-in model");
  const shape = { batch: 2, sequence: 8 };
  const { parameters, initial } = llamaModel(model, shape);
  const weights = new Map(
    parameters.map((info) => {
      const values = new Float32Array(info.size);
      initial(info, 1, values);
      return [info.name, values] as const;
    }),
  );
  const scorer = await Scorer.openLlama(model, weights, { ...shape, threads: 1 });
  try {
    const tokens = Int32Array.from({ length: 16 }, (_, i) => (i * 7) % model.vocabulary);
    const scores = await scorer.scores(tokens);
    expect(scores).toHaveLength(16 * model.vocabulary);
    expect(llamaScores(model, shape).scores.shape).toEqual([16, model.vocabulary]);
    // An untrained model knows nothing: about as likely each.
    const loss =
      tokens.reduce((sum, token, row) => {
        const own = scores.subarray(row * model.vocabulary, (row + 1) * model.vocabulary);
        return sum + Math.log(own.reduce((all, score) => all + Math.exp(score), 0)) - (own[token] ?? 0);
      }, 0) / 16;
    expect(loss).toBeCloseTo(Math.log(model.vocabulary), 0);
  } finally {
    await scorer.close();
  }
});
