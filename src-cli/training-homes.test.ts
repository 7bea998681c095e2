import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TrainingHomes } from "./training-homes.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah homes "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("scratch folders of commands that were killed are removed at the next start, and nothing else", () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const dead = join(folder, `scratch-${pid}-abc123`);
  const alive = join(folder, `scratch-${process.ppid}-abc123`);
  const training = join(folder, "train-0123456789abcdef");
  for (const each of [dead, alive, training]) {
    mkdirSync(each);
    writeFileSync(join(each, "model.onnx"), "half");
  }
  const own = new TrainingHomes(folder).scratch();
  expect([dead, alive, training, own].map((each) => existsSync(each))).toEqual([false, true, true, true]);
  // A second one of this process leaves the first one's alone.
  expect(new TrainingHomes(folder).others("train-0123456789abcdef").count).toBe(0);
  expect(readdirSync(folder)).toHaveLength(3);
});

it("a training is in one command's hands, and what it wrote is known until somebody changes it", async () => {
  const homes = new TrainingHomes(folder);
  const home = await homes.open("train-1", { fresh: false });
  await expect(homes.open("train-1", { fresh: false })).rejects.toMatchObject({ code: "training-running" });
  const out = join(folder, "out.onnx");
  writeFileSync(out, "trained");
  home.remember(out);
  home.release();
  expect(homes.hasWritten(out)).toBe(true);
  writeFileSync(out, "somebody's own");
  expect(homes.hasWritten(out)).toBe(false);
  expect(homes.others("train-2").count).toBe(2);
  const anew = await homes.open("train-1", { fresh: true });
  expect(readdirSync(anew.folder)).toEqual(["training.lock"]);
  anew.remove();
  expect(existsSync(join(folder, "train-1"))).toBe(false);
});
