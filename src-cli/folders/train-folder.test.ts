import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { familyFolder } from "../../src-engine/families/folder.test-support.ts";
import { headerOf } from "../../src-engine/families/model-files.ts";
import { readParameter } from "../../src-engine/families/stored-parameter.ts";
import { parseRecord } from "../../src-protocol/run-record.ts";
import { trainSingle } from "../../src-worker/replay/single.ts";
import type { TrainingResult } from "../model-train.ts";
import { openModelFolder } from "./model-folder.ts";

const STEPS = 4;
/** The fixtures know 40 tokens. */
const TEXT = "the cat sat on the mat and the dog ran to the cat but the bird flew over the house ".repeat(40);

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "tah-train-folder-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

it("a sharded folder trains in three processes as in one, and is written back", async () => {
  const model = join(home, "model");
  cpSync(familyFolder("llama-3"), model, { recursive: true });
  mkdirSync(join(home, "data"));
  const tokens = Uint16Array.from(TEXT, (letter) => (letter.codePointAt(0) ?? 0) % 40);
  writeFileSync(join(home, "data", "letters.u16"), tokens);
  const words = [
    "--data",
    join(home, "data"),
    "--steps",
    String(STEPS),
    "--sequence",
    "12",
    "--learning-rate",
    "3e-3",
  ];
  const tah = async (...given: string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(import.meta.dirname, "..", "tah.ts"), ...given, "--json"],
      {
        env: {
          ...process.env,
          TMPDIR: home,
          TAH_HOME: join(home, "tah"),
          HOME: home,
          XDG_CACHE_HOME: join(home, "cache"),
        },
      },
    );
    return JSON.parse(stdout);
  };
  const freeze = ["--freeze", "*.0.mlp.*"];
  const result = (await tah("model", "train", model, ...words, ...freeze, "--exact")) as TrainingResult;
  const out = join(home, "model.trained");
  expect(result).toMatchObject({ out, writtenStep: STEPS, stages: 3, processes: 5 });

  // Three beginnings of held-out data, and what the model made of each before and after.
  expect(result.samples).toHaveLength(3);
  for (const { prompt, trained } of result.samples) {
    expect(prompt).toMatch(/^\d+( \d+){5}$/);
    expect(trained).toMatch(/^( \d+){40}$/);
  }

  const { run } = parseRecord(readFileSync(`${out}.record.jsonl`, "utf8"));
  const [before, after] = [openModelFolder(model), openModelFolder(out)];
  const last = new Map<string, Float32Array>();
  const alone = await trainSingle({
    spec: run,
    corpus: new Uint8Array(tokens.buffer),
    files: before.paths,
    steps: STEPS,
    threads: 1,
    onStep: (_, weights) => {
      for (const [name, values] of weights()) last.set(name, values.slice());
    },
  });
  expect(result.lossLast).toBeCloseTo(alone.at(-1)?.loss ?? 0, 3);
  let frozen = 0;
  for (const info of decoderParameters({ ...after.stored.model, files: [] })) {
    const [old, found] = [before, after].map(({ files }) => {
      const values = new Float32Array(info.size);
      readParameter(files, info, values);
      return values;
    }) as [Float32Array, Float32Array];
    const expected = last.get(info.name) ?? old;
    if (expected === old) frozen += 1;
    const distance = Math.max(...found.map((value, i) => Math.abs(value - (expected[i] ?? Number.NaN))));
    expect.soft(distance, info.name).toBeLessThan(1e-4);
  }
  expect(frozen).toBe(6);
  expect(headerOf(after.files, 0).metadata).toMatchObject({
    format: "pt",
    "train-at-home.step": String(STEPS),
  });
  for (const folder of [before, after]) folder.close();
  // Done again from the folder before, link by link.
  const verified = await tah("run", "verify", out, "--model", model, "--data", join(home, "data"));
  expect(verified).toMatchObject({ startStep: 0, step: STEPS, same: 3 * STEPS, differs: null });
}, 120_000);
