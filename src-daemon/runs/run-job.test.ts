import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { runJob } from "./run-job.ts";
import { planRun } from "./run-plan.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah job "));
  return () => rmSync(folder, { recursive: true, force: true });
});

const run = planRun({
  corpus: { name: "x", sha256: "ab".repeat(32), bytes: 1_000_000 },
  size: "tiny",
  steps: 5,
  workers: 2,
});

function jobOf(content: string | null) {
  const runFile = join(folder, "run.json");
  if (content !== null) writeFileSync(runFile, content);
  return runJob({ runFile, data: null, model: "default", steps: null }, folder, 3);
}

it("a run in a file is taken as it stands there", async () => {
  const job = { run, corpusFile: "/data", modelFiles: ["/model.onnx"] };
  expect(await jobOf(JSON.stringify(job))).toEqual(job);
});

it.each([
  ["there is none", null, /there is no such file, or it is empty/],
  ["it is empty", "", /there is no such file, or it is empty/],
  ["it is no JSON", "{", /it is not JSON/],
  ["it is larger than any run", " ".repeat(2 ** 20 + 1), /it has 1048577 bytes/],
  [
    "it is something else",
    JSON.stringify({ run: { ...run, stages: 0 }, corpusFile: "/d", modelFiles: [] }),
    /run\.stages: /,
  ],
])("a run file is refused in one sentence when %s", async (_, content, sentence) => {
  await expect(jobOf(content)).rejects.toThrow(sentence);
});

it("without one, the built-in model learns the owner's text, and its files are named", async () => {
  writeFileSync(join(folder, "a.txt"), "Call me Ishmael. ".repeat(2_000));
  writeFileSync(join(folder, "valid.jsonl"), JSON.stringify({ text: "Ahab. ".repeat(500) }));
  writeFileSync(join(folder, "README.md"), "About it.");
  const said: string[] = [];
  const options = { runFile: null, data: folder, model: "tiny" as const, steps: 7 };
  const job = await runJob(options, join(folder, "cache"), 2, (lines) => said.push(...lines));
  expect(job).toMatchObject({ modelFiles: [], run: { steps: 7, stages: 2, model: { kind: "llama" } } });
  expect(job.run.corpus).toMatchObject({ trainingTokens: 34_002, bytes: 34_002 + 3002 });
  expect(said).toEqual([
    expect.stringMatching(/37,004 bytes of text in 2 files; 3,002 of the validation set are held out$/),
    "a.txt: text, 91.9 %",
    'valid.jsonl: JSON lines, column "text", validation set, 8.1 %',
    "left out: README.md: about the data, not part of it",
  ]);
});
